"""Exceptions that are caught too narrowly, too widely, or in the wrong place.

Nothing here catches everything, and nothing swallows a failure without a word: a caught
exception is raised as the one that is asked for, or answered as the code does already.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from selfheal.repair.edit import Splice
from selfheal.repair.edits.blocks import extent, movable, reindented
from selfheal.repair.edits.kinds import NUMBER
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site
from selfheal.repair.source import FUNCTIONS
from selfheal.repair.strategies.base import import_splices

_NEIGHBOURS = {
    "KeyError": ("IndexError", "TypeError", "AttributeError"), "ValueError": ("TypeError", "KeyError"),
    "IndexError": ("KeyError", "TypeError"), "TypeError": ("ValueError", "AttributeError"),
    "AttributeError": ("TypeError", "KeyError"), "ImportError": ("AttributeError",),
    "ZeroDivisionError": ("ValueError", "TypeError"), "UnicodeDecodeError": ("ValueError",),
    "OSError": ("ValueError",), "FileNotFoundError": ("OSError",), "StopIteration": ("ValueError",),
    "ModuleNotFoundError": ("ImportError",),
}  # fmt: skip
_TOO_WIDE = ("Exception", "BaseException", "AssertionError", "SystemExit", "KeyboardInterrupt")


def _known(site: Site, names: Iterator[str] | tuple[str, ...]) -> list[str]:
    """Exceptions that can be named here and are narrow enough to be caught."""
    module = set(site.scope.module.names)
    return [
        name
        for name in names
        if name not in _TOO_WIDE and (hasattr(builtins, name) or name in module)
    ]


def handlers(site: Site) -> Iterator[Draft]:
    """A handler around the statement catches one type more, or another one."""
    child: ast.AST = site.statement
    for node in [site.statement, *site.source.ancestors(site.statement)]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return
        if isinstance(node, ast.Try) and (child in node.body or child is node):
            yield from _widened(site, node)
        child = node


def _widened(site: Site, node: ast.Try) -> Iterator[Draft]:
    for handler in node.handlers:
        if handler.type is None:
            continue
        types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        caught = [site.text(each) for each in types]
        found = dict.fromkeys(_known(site, site.hints.exceptions), 1.5)
        for name in caught:
            for rank, other in enumerate(_NEIGHBOURS.get(name, ())):
                found.setdefault(other, 0.6 / (1 + rank))
        for name, weight in found.items():
            if name in caught:
                continue
            both = f"({', '.join([*caught, name])})"
            wrong = f"does not catch {name} beside {', '.join(caught)}"
            yield site.draft(handler.type, both, weight, wrong)
            wrong = f"catches {', '.join(caught)} where {name} was meant"
            yield site.draft(handler.type, name, 0.7 * weight, wrong)


def translate(site: Site) -> Iterator[Draft]:
    """A failure is raised as the exception that the tests expect."""
    node, source = site.statement, site.source
    wanted = [
        name for name in site.hints.wanted or site.hints.exceptions if name != "AssertionError"
    ]
    seen = _known(site, tuple(each for each in site.hints.exceptions if each != "Failed"))
    if not movable(source, node) or not isinstance(
        node, ast.Assign | ast.Expr | ast.Return | ast.AugAssign
    ):
        return
    start, stop = extent(source, [node])
    indent, unit, end = source.indent(node), source.unit, source.newline
    text = reindented(source, [node], indent + unit)
    module = set(site.scope.module.names)
    raised = site.scope.module.raised
    targets = [
        each
        for each in dict.fromkeys([*wanted, *raised])
        if hasattr(builtins, each) or each in module or "." in each
    ]
    for caught in seen[:3]:
        for target in targets[:5]:
            if target == caught:
                continue
            whole = (
                f"{indent}try:{end}{text}{indent}except {caught} as error:{end}"
                f"{indent}{unit}raise {target}(str(error)) from error{end}"
            )
            splice = Splice(path=source.path, start=start, stop=stop, text=whole)
            yield Draft((splice,), 0.8, f"lets {caught} through where {target} was meant")


def refused(site: Site) -> Iterator[Draft]:
    """What tests want to be refused: an exit without a word, and an index outside, raise."""
    node, source = site.statement, site.source
    for name, home in _wanted(site).items():
        if home is None and not _known(site, (name,)):
            continue
        imports = import_splices(source, home, name) if home else ()
        if _is_silent_exit(site):
            given = site.scope.given
            told = f'f"{given[0]} is not accepted: {{{given[0]}!r}}"' if given else '"not accepted"'
            splice = source.replace(node, f"raise {name}({told})")
            wrong = f"leaves without a word where {name} was meant"
            yield Draft((*imports, splice), 1.0, wrong)
        if name == "IndexError" and isinstance(source.parent(node), FUNCTIONS):
            for condition, told in _outside(site):
                lines = [
                    f"if {condition}:",
                    f'{source.unit}raise IndexError("{told} out of range")',
                ]
                wrong = f"accepts `{told}` where `{condition}`"
                yield from site.before(lines, 0.9, wrong)


def _wanted(site: Site) -> dict[str, str | None]:
    """The exceptions that tests waited for, with the modules that define those not known here."""
    homes = dict(site.hints.homes)
    unknown = set(homes) - set(site.scope.module.names)
    return {name: homes[name] if name in unknown else None for name in site.hints.wanted}


def _is_silent_exit(site: Site) -> bool:
    """Nothing is returned, or nothing done, in a branch or a handler."""
    node = site.statement
    if not isinstance(site.source.parent(node), ast.If | ast.ExceptHandler):
        return False
    if isinstance(node, ast.Return):
        value = node.value
        empty = isinstance(value, ast.Constant) and (value.value is None or value.value is False)
        return value is None or empty
    return isinstance(node, ast.Pass | ast.Continue)


def _outside(site: Site) -> Iterator[tuple[str, str]]:
    """Conditions on numbers that are outside of a sequence that the function measures."""
    measured = [
        site.text(node)
        for node in site.scope.nodes
        if isinstance(node, ast.Call) and site.text(node.func) == "len"
    ]
    for name in site.scope.given[:3]:
        if site.scope.kinds.names.get(name) in (None, NUMBER):
            for length in list(dict.fromkeys(measured))[:3]:
                yield f"{name} < 0 or {name} >= {length}", name


OPERATORS = (
    Operator(
        "refused",
        0.6,
        refused,
        (
            OperatorExample("def f(xs, a):\n    if a in xs:\n        return\n    xs.append(a)\n", 'def f(xs, a):\n    if a in xs:\n        raise ValueError(f"xs is not accepted: {xs!r}")\n    xs.append(a)\n', 3, "DID NOT RAISE <class 'ValueError'>"),
            OperatorExample("def f(xs, i):\n    if i < 0:\n        i += len(xs)\n    return xs.item(i)\n", 'def f(xs, i):\n    if i < 0:\n        i += len(xs)\n    if i < 0 or i >= len(xs):\n        raise IndexError("i out of range")\n    return xs.item(i)\n', 4, "DID NOT RAISE <class 'IndexError'>"),
            OperatorExample("def f(a):\n    if not a:\n        return\n    g(a)\n", 'from lib.errors import Broken\n\ndef f(a):\n    if not a:\n        raise Broken(f"a is not accepted: {a!r}")\n    g(a)\n', 3, "DID NOT RAISE <class 'lib.errors.Broken'>"),
        ),
    ),
    Operator(
        "caught_type",
        0.35,
        handlers,
        (
            OperatorExample("def f(d):\n    try:\n        return d['a']['b']\n    except KeyError:\n        return None\n", "def f(d):\n    try:\n        return d['a']['b']\n    except (KeyError, TypeError):\n        return None\n", 3, "TypeError: 'NoneType' object is not subscriptable"),
            OperatorExample("def f(d):\n    try:\n        return int(d)\n    except KeyError:\n        return None\n", "def f(d):\n    try:\n        return int(d)\n    except ValueError:\n        return None\n", 3, "ValueError: invalid literal"),
        ),
        fits={"": 2.0},
    ),
    Operator(
        "translated",
        0.3,
        translate,
        (OperatorExample("def f(d, k):\n    if not k:\n        raise ValueError(k)\n    return d[k]\n", "def f(d, k):\n    if not k:\n        raise ValueError(k)\n    try:\n        return d[k]\n    except KeyError as error:\n        raise ValueError(str(error)) from error\n", 4, "KeyError: 'a'"),),
    ),
)  # fmt: skip
