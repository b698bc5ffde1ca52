"""Names that are not there: an import that is missing, or a name that has moved."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import product

from selfheal.analysis.moved_names import MOVES
from selfheal.repair.edit import Splice
from selfheal.repair.edits.kinds import EMPTY
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site
from selfheal.repair.source import Function
from selfheal.repair.strategies.base import import_splices

_UNDEFINED = re.compile(r"name '(\w+)' is not defined")
_ATTRIBUTE = re.compile(r"'(\w+)' object has no attribute '(\w+)'")
_UNBOUND = re.compile(r"variable '(\w+)'")
_TOOK = re.compile(r"(\w+)\(\) (?:takes|missing|got an unexpected keyword argument) ?(.*)")

# Where well-known names are defined: documentation of the standard library.
_HOMES: dict[str, str] = {
    name: module
    for module, names in {
        "collections": "defaultdict Counter OrderedDict deque namedtuple ChainMap",
        "functools": "partial lru_cache reduce wraps cached_property total_ordering cmp_to_key",
        "itertools": "chain groupby product permutations combinations islice zip_longest accumulate count repeat takewhile dropwhile",
        "datetime": "timedelta timezone datetime date", "decimal": "Decimal", "pathlib": "Path",
        "fractions": "Fraction", "dataclasses": "dataclass field replace asdict", "enum": "Enum IntEnum",
        "contextlib": "contextmanager suppress closing", "copy": "deepcopy", "math": "sqrt ceil floor gcd log pi inf isclose",
        "typing": "Any Optional Union List Dict Tuple Callable Iterable Iterator", "operator": "itemgetter attrgetter",
        "io": "StringIO BytesIO", "urllib.parse": "urlparse urljoin quote unquote urlencode parse_qs",
        "heapq": "heappush heappop heapify nlargest nsmallest", "bisect": "bisect_left bisect_right insort",
        "collections.abc": "Mapping Sequence MutableMapping Hashable", "random": "randint choice shuffle",
        "time": "sleep perf_counter", "string": "ascii_letters ascii_lowercase digits punctuation",
    }.items()
    for name in names.split()
}  # fmt: skip


def missing_import(site: Site) -> Iterator[Draft]:
    """A module or a well-known name that is used and not imported."""
    missing = {name for text in site.hints.messages for name in _UNDEFINED.findall(text)}
    used = {node.id for node in site.loads(ast.Name) if isinstance(node, ast.Name)}
    for name in sorted(missing & used):
        wrong = f"uses `{name}` without importing it"
        if name in sys.stdlib_module_names:
            yield Draft(tuple(import_splices(site.source, name)), 1.0, wrong)
        if name in _HOMES:
            yield Draft(tuple(import_splices(site.source, _HOMES[name], name)), 1.0, wrong)


def moved_name(site: Site) -> Iterator[Draft]:
    """An import, or an attribute of a module, that has another place in newer versions."""
    node, source = site.statement, site.source
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        lines = _moved_imports(node)
        if lines is not None:
            names = ", ".join(f"`{each.name}`" for each in node.names if _move(node, each))
            wrong = f"imports {names} from where newer versions do not have it"
            indent, unit, end = source.indent(node), source.unit, source.newline
            new = f"{end}{indent}".join(lines)
            tried = f"{end}{indent}{unit}".join(lines)
            both = (
                f"try:{end}{indent}{unit}{tried}{end}{indent}except ImportError:{end}"
                f"{indent}{unit}{source.segment(node)}"
            )
            yield Draft((source.replace(node, new),), 0.9, wrong)
            yield Draft((source.replace(node, both),), 0.8, wrong)
    for attribute in site.of(ast.Attribute):
        assert isinstance(attribute, ast.Attribute)
        base = site.text(attribute.value)
        move = MOVES.get(({"np": "numpy"}.get(base, base), attribute.attr))
        if move is None or not move[0]:
            continue
        wrong = f"uses `{base}.{attribute.attr}`, which newer versions do not have"
        if move[0] == {"np": "numpy"}.get(base, base):
            yield site.draft(attribute, f"{base}.{move[1]}", 1.0, wrong)
        else:
            splices = (*import_splices(source, move[0]), site.replace(attribute, ".".join(move)))
            yield Draft(splices, 1.0, wrong)


def _move(node: ast.ImportFrom, given: ast.alias) -> tuple[str, str] | None:
    return MOVES.get((node.module or "", given.name))


def _moved_imports(node: ast.ImportFrom) -> list[str] | None:
    """The lines that import the same names from where they are now; None where none has moved."""
    stay = [each for each in node.names if _move(node, each) is None]
    by_home: dict[str, list[str]] = {}
    for given in node.names:
        if (move := _move(node, given)) is not None:
            name = given.asname or (given.name if move[1] != given.name else None)
            tail = f" as {name}" if name and name != move[1] else ""
            by_home.setdefault(move[0], []).append(f"{move[1]}{tail}")
    if not by_home:
        return None
    kept = [f"{each.name} as {each.asname}" if each.asname else each.name for each in stay]
    lines = [f"from {node.module} import {', '.join(kept)}"] if kept else []
    return lines + [
        f"from {home} import {', '.join(names)}" if home else f"import {', '.join(names)}"
        for home, names in by_home.items()
    ]


def declared(site: Site) -> Iterator[Draft]:
    """A name of the module, or of a function around, that is assigned without saying so."""
    function = site.scope.function
    if function is None:
        return
    unbound = {name for text in site.hints.messages for name in _UNBOUND.findall(text)}
    first = _first(function)
    if not site.source.insertable(first):
        return
    outer = site.source.function_of(function)
    for name in site.scope.locals:
        if name in site.scope.parameters or (unbound and name not in unbound):
            continue
        weight = 1.0 if name in unbound else 0.3
        if outer is not None and name in site.scope.module.scope(outer).locals:
            word = "nonlocal"
        elif name in site.scope.module.names:
            word = "global"
        else:
            continue
        splice = site.source.insert_before(first, [f"{word} {name}"])
        yield Draft((splice,), weight, f"assigns `{name}` without `{word}`")


def first_value(site: Site) -> Iterator[Draft]:
    """A variable, or an attribute, that is read before it has a value gets a first one."""
    function = site.scope.function
    if function is None:
        return
    told = site.hints.messages
    unbound = {name for text in told for name in _UNBOUND.findall(text)}
    undefined = {name for text in told for name in _UNDEFINED.findall(text)}
    known = undefined | set(site.scope.locals) - set(site.scope.parameters)
    used = {node.id for node in site.scope.nodes if isinstance(node, ast.Name)}
    for name in sorted((unbound | undefined) & known & used):
        places = [_first(function), *_loop_starts(site)]
        for place, (value, weight) in product(places, _firsts(site, name)):
            splice = site.source.insert_before(place, [f"{name} = {value}"])
            yield Draft((splice,), weight, f"reads `{name}` before it has a value")
    yield from _first_attribute(site)


def _first_attribute(site: Site) -> Iterator[Draft]:
    read = {node.attr for node in site.of(ast.Attribute) if isinstance(node, ast.Attribute)}
    told = {found for text in site.hints.messages for found in _ATTRIBUTE.findall(text)}
    for name, attribute in sorted(told):
        maker = _initialiser(site, name)
        if maker is None or attribute not in read:
            continue
        own = maker.args.args[0].arg
        for value, weight in _firsts(site, attribute, [each.arg for each in maker.args.args]):
            splice = site.source.insert_after(maker.body[-1], [f"{own}.{attribute} = {value}"])
            yield Draft((splice,), weight, f"reads `{attribute}`, which {name} does not set")


def _loop_starts(site: Site) -> list[ast.stmt]:
    """The first statements of the loops around the statement."""
    return [
        node.body[0]
        for node in site.source.ancestors(site.statement)
        if isinstance(node, ast.For | ast.While) and site.source.insertable(node.body[0])
    ][:3]


def _firsts(site: Site, name: str, names: Sequence[str] = ()) -> Iterator[tuple[str, float]]:
    kind = site.scope.kinds.names.get(name)
    if name in names:
        yield name, 1.2
    values = [EMPTY[kind]] if kind in EMPTY else []
    for rank, value in enumerate(
        dict.fromkeys([*values, "None", "[]", "0", '""', "{}", "False", "set()"])
    ):
        yield value, 0.9 / (1 + 0.15 * rank)


def _first(function: Function) -> ast.stmt:
    """The first statement that is no docstring."""
    first = function.body[0]
    told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.body[1] if told and len(function.body) > 1 else first


def _initialiser(site: Site, name: str) -> ast.FunctionDef | None:
    for node in ast.walk(site.source.tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == "__init__" and each.args.args:
                    return each if site.source.starts_line(each.body[-1]) else None
    return None


def signature(site: Site) -> Iterator[Draft]:
    """A parameter that a definition lacks, or that has no default, as the failure tells."""
    told = [found for text in site.hints.messages for found in _TOOK.findall(text)]
    for name, rest in told:
        function = site.scope.module.functions.get(name)
        if function is None:
            continue
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args]
        for parameter in re.findall(r"'(\w+)'", rest):
            known = next((each for each in every if each.arg == parameter), None)
            if known is not None and known is every[-1]:
                for value in ("None", "0", '""', "()", "False"):
                    stop = site.source.span(known)[1]
                    splice = Splice(path=site.source.path, start=stop, stop=stop, text=f"={value}")
                    yield Draft((splice,), 0.8, f"asks for `{parameter}` where it may be missing")
            elif known is None and every and not arguments.vararg and not arguments.kwonlyargs:
                last = [*every, *arguments.defaults][-1]
                if arguments.defaults:
                    last = arguments.defaults[-1]
                stop = site.source.span(last)[1]
                splice = Splice(
                    path=site.source.path, start=stop, stop=stop, text=f", {parameter}=None"
                )
                yield Draft((splice,), 0.6, f"does not take `{parameter}`")


OPERATORS = (
    Operator(
        "missing_import",
        1.0,
        missing_import,
        (
            OperatorExample('"""Doc."""\n\n\ndef f(a):\n    return json.dumps(a)\n', '"""Doc."""\n\nimport json\n\n\ndef f(a):\n    return json.dumps(a)\n', 5, "NameError: name 'json' is not defined"),
        ),
    ),
    Operator(
        "moved_name",
        0.9,
        moved_name,
        (
            OperatorExample("from collections import Mapping\n\n\ndef f(a):\n    return isinstance(a, Mapping)\n", "from collections.abc import Mapping\n\n\ndef f(a):\n    return isinstance(a, Mapping)\n", 1),
            OperatorExample("from collections import Mapping, OrderedDict as O, Sized\n\n\ndef f(a):\n    return isinstance(a, (O, Mapping, Sized))\n", "from collections import OrderedDict as O\nfrom collections.abc import Mapping, Sized\n\n\ndef f(a):\n    return isinstance(a, (O, Mapping, Sized))\n", 1),
            OperatorExample("import time\n\n\ndef f():\n    return time.clock()\n", "import time\n\n\ndef f():\n    return time.perf_counter()\n", 5),
        ),
        fits={"AssertionError": 0.3},
    ),
    Operator(
        "declaration",
        0.4,
        declared,
        (OperatorExample("count = 0\n\n\ndef f():\n    count += 1\n    return count\n", "count = 0\n\n\ndef f():\n    global count\n    count += 1\n    return count\n", 5, "UnboundLocalError: cannot access local variable 'count' where it is not associated with a value"),),
        fits={"UnboundLocalError": 2.0, "": 0.5},
    ),
    Operator(
        "first_value",
        0.7,
        first_value,
        (
            OperatorExample("def f(xs):\n    for x in xs:\n        y = x\n    return y\n", "def f(xs):\n    y = None\n    for x in xs:\n        y = x\n    return y\n", 4, "UnboundLocalError: cannot access local variable 'y' where it is not associated with a value"),
            OperatorExample("class A:\n    def __init__(self):\n        self.a = 1\n\n    def f(self):\n        return self.b\n", "class A:\n    def __init__(self):\n        self.a = 1\n        self.b = []\n\n    def f(self):\n        return self.b\n", 6, "AttributeError: 'A' object has no attribute 'b'"),
        ),
        fits={"AssertionError": 0.5},
    ),
    Operator(
        "signature",
        0.6,
        signature,
        (OperatorExample("def g(a, b):\n    return b\n\n\ndef f():\n    return g(1)\n", "def g(a, b=None):\n    return b\n\n\ndef f():\n    return g(1)\n", 6, "TypeError: g() missing 1 required positional argument: 'b'"),),
    ),
)  # fmt: skip
