"""Wrong variable, attribute or element: another name that is near and of a like kind."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from functools import lru_cache

from selfheal.repair.edits.kinds import NUMBER, SIZED, fits
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site

PER_NAME = 10
DOUBLED = 1.6
NEAR = 0.25
_MISSING = re.compile(
    r"name '(\w+)' is not defined|has no attribute '(\w+)'|'(\w+)' where it is not"
)


@lru_cache(maxsize=20_000)
def similarity(one: str, other: str) -> float:
    """How alike two names are (0–1): shared words count as much as shared letters."""
    words, others = set(one.lower().split("_")), set(other.lower().split("_"))
    shared = len(words & others) / max(len(words | others), 1)
    letters = SequenceMatcher(None, one.lower(), other.lower(), autojunk=False).ratio()
    if len(one) == len(other) == 1:
        letters = 0.6
    return max(shared, letters)


def likely(
    site: Site,
    name: str,
    candidates: Iterable[str],
    kind: str | None = None,
    most: int = PER_NAME,
) -> list[tuple[str, float]]:
    """The candidates for a name with weights, best first."""
    kinds = site.scope.kinds.names
    parameters = set(site.scope.parameters)
    found = []
    for candidate in candidates:
        other = kinds.get(candidate)
        if candidate == name or candidate in ("self", "cls") or not fits(kind, other):
            continue
        weight = 0.4 + 0.3 * similarity(name, candidate)
        weight += 0.15 * (kind is not None and kind == other)
        weight += 0.15 * ((name in parameters) == (candidate in parameters))
        weight += 0.4 * (candidate in site.scope.unread)
        found.append((candidate, weight))
    return sorted(found, key=lambda each: -each[1])[:most]


def other_name(site: Site) -> Iterator[Draft]:
    """A variable that is read, or assigned to, becomes another one of its scope."""
    kinds = site.scope.kinds
    bound = _comprehended(site)
    for node in site.of(ast.Name):
        assert isinstance(node, ast.Name)
        parent = site.parent(node)
        if isinstance(parent, ast.Call) and node is parent.func:
            continue
        store = not isinstance(node.ctx, ast.Load)
        pool = site.scope.locals if store else [*bound, *site.scope.readable]
        if isinstance(parent, ast.BoolOp | ast.If | ast.While) or _is_negated(parent):
            pool = [each for each in pool if each not in site.scope.module.always_true]
        for name, weight in likely(site, node.id, dict.fromkeys(pool), kinds.of(node)):
            wrong = f"uses `{node.id}` where `{name}` was meant"
            factor = 0.5 if store else DOUBLED if id(node) in site.doubled else 1.0
            yield site.draft(node, name, weight * factor, wrong)


def _is_negated(node: ast.AST | None) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _comprehended(site: Site) -> list[str]:
    """The loop variables of the statement's comprehensions and the parameters of its lambdas."""
    found: list[str] = []
    for node in site.expressions:
        for generator in getattr(node, "generators", ()):
            found += [each.id for each in ast.walk(generator.target) if isinstance(each, ast.Name)]
        if isinstance(node, ast.Lambda):
            found += [each.arg for each in node.args.args]
    return found


def undefined_name(site: Site) -> Iterator[Draft]:
    """A name that a failure says is not there becomes one that is."""
    missing = {
        name
        for message in site.hints.messages
        for groups in _MISSING.findall(message)
        for name in groups
        if name
    }
    if not missing:
        return
    module = site.scope.module
    known = [*site.scope.readable, *module.names, *module.functions, *_BUILTIN]
    attributes = sorted({each for names in module.attributes.values() for each in names})
    attributes += sorted(module.functions)
    for node in site.of(ast.Name, ast.Attribute):
        name = node.id if isinstance(node, ast.Name) else node.attr  # type: ignore[attr-defined]
        if name not in missing:
            continue
        pool = known if isinstance(node, ast.Name) else attributes
        if _is_part_of(site.parent(node), node):  # Of a builtin nobody wants an element.
            pool = [each for each in pool if each not in _BUILTIN]
        likeliest = sorted(set(pool) - missing, key=lambda each: (-similarity(name, each), each))
        own = set(site.scope.locals if isinstance(node, ast.Name) else ())
        for other in (*likeliest[:8], *(each for each in likeliest[8:] if each in own)):
            text = other
            if isinstance(node, ast.Attribute):
                text = f"{site.text(node.value)}.{other}"
            weight = max(similarity(name, other), 0.2)
            yield site.draft(node, text, weight, f"uses `{name}`, which is not there")
        if isinstance(node, ast.Name) and site.scope.self_name:
            text = f"{site.scope.self_name}.{name}"
            yield site.draft(node, text, 0.9, f"uses `{name}` without `{site.scope.self_name}`")


def _is_part_of(parent: ast.AST | None, node: ast.expr) -> bool:
    """Whether something is taken out of a name's value: an element, an attribute."""
    return isinstance(parent, ast.Subscript | ast.Attribute) and parent.value is node


_BUILTIN = (
    "True", "False", "None", "len", "range", "list", "dict", "set", "tuple", "str", "int", "float",
    "sorted", "sum", "min", "max", "abs", "enumerate", "zip", "isinstance", "ValueError",
    "TypeError", "KeyError", "IndexError", "AttributeError", "RuntimeError", "NotImplementedError",
)  # fmt: skip


def other_attribute(site: Site) -> Iterator[Draft]:
    """Another attribute of the same thing, an attribute too many, too few, or of self."""
    module, own = site.scope.module, site.scope.self_name
    for node in site.of(ast.Attribute):
        assert isinstance(node, ast.Attribute)
        base = site.text(node.value)
        parent = site.parent(node)
        called = isinstance(parent, ast.Call) and node is parent.func
        pool = [] if called else _attributes(site, node.value)
        for name, weight in _near_first(site, base, likely(site, node.attr, pool, most=99)):
            wrong = f"uses `{base}.{node.attr}` where `{base}.{name}` was meant"
            factor = DOUBLED if id(node) in site.doubled else 1.0
            yield site.draft(node, f"{base}.{name}", weight * factor, wrong)
        if called or not isinstance(node.ctx, ast.Load):
            continue
        if node.attr in site.scope.readable:
            wrong = f"uses `{base}.{node.attr}` where the variable was meant"
            yield site.draft(node, node.attr, 0.8, wrong)
        yield site.draft(node, base, 0.3, f"uses `.{node.attr}` where `{base}` itself was meant")
    for node in site.loads(ast.Name):
        assert isinstance(node, ast.Name)
        parent = site.parent(node)
        if isinstance(parent, ast.Attribute) or (
            isinstance(parent, ast.Call) and node is parent.func
        ):
            continue
        if own and node.id in _attributes(site, ast.Name(own, ast.Load())):
            yield site.draft(node, f"{own}.{node.id}", 0.8, f"uses `{node.id}` without `{own}`")
        for name in module.attributes.get(node.id, ())[:4]:
            if name not in module.functions:
                text = f"{node.id}.{name}"
                yield site.draft(node, text, 0.3, f"uses `{node.id}` where `{text}` was meant")


def _near_first(
    site: Site, base: str, found: Iterable[tuple[str, float]]
) -> list[tuple[str, float]]:
    """Attributes that the same function uses weigh more."""
    used = {
        node.attr
        for node in site.scope.nodes
        if isinstance(node, ast.Attribute) and site.text(node.value) == base
    }
    weighed = [(name, weight + NEAR * (name in used)) for name, weight in found]
    return sorted(weighed, key=lambda each: -each[1])[:PER_NAME]


def _attributes(site: Site, base: ast.expr) -> list[str]:
    """What is read or set on a name of the file; on self, of the class alone."""
    if not isinstance(base, ast.Name):
        return []
    if base.id == site.scope.self_name and site.scope.class_ is not None:
        return site.scope.own_names
    return [
        name
        for name in site.scope.module.attributes.get(base.id, ())
        if name not in site.scope.module.functions
    ]


def elements(site: Site) -> Iterator[Draft]:
    """An element for the whole, the whole for an element, another element of a pair."""
    numbers = [
        name
        for name in [*_comprehended(site), *reversed(site.scope.locals)]
        if site.scope.kinds.names.get(name) == NUMBER
    ]
    for node in site.loads(ast.Subscript):
        assert isinstance(node, ast.Subscript)
        if isinstance(node.slice, ast.Slice):
            continue
        base, index = site.text(node.value), site.text(node.slice)
        wrong = f"takes `{site.text(node)}`"
        yield site.draft(node, base, 0.4, f"{wrong} where `{base}` was meant")
        yield site.draft(node, index, 0.3, f"{wrong} where `{index}` was meant")
        if isinstance(node.slice, ast.Constant) and type(node.slice.value) is int:
            for other in {0: "1", 1: "0", 2: "1"}.get(node.slice.value, ""):
                yield site.draft(node, f"{base}[{other}]", 0.7, f"{wrong}, another element")
    for node in site.loads(ast.Name, ast.Attribute):
        parent = site.parent(node)
        if isinstance(parent, ast.Attribute | ast.Starred) or (
            isinstance(parent, ast.Call) and node is parent.func
        ):
            continue
        if site.scope.kinds.of(node) not in (None, *SIZED) or not _subscripted(site, node):
            continue
        for index in ["0", "1", "-1", *numbers[:3]]:
            text = f"{site.text(node)}[{index}]"
            if index != site.text(node):
                yield site.draft(node, text, 0.35, f"takes all of `{site.text(node)}`")


def _subscripted(site: Site, node: ast.expr) -> bool:
    """Whether elements of a thing are taken elsewhere, or its kind has elements."""
    text = site.text(node)
    return site.scope.kinds.of(node) in SIZED or any(
        isinstance(each, ast.Subscript) and site.text(each.value) == text
        for each in site.scope.nodes
        if isinstance(each, ast.Subscript) and each.lineno == each.end_lineno
    )


def like_assignment(site: Site) -> Iterator[Draft]:
    """A variable gets what it gets elsewhere in the function, or what is put beside it."""
    node = site.statement
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return
    target, value = site.text(node.targets[0]), site.text(node.value)
    counts = Counter(
        site.text(each.value)
        for each in site.scope.nodes
        if isinstance(each, ast.Assign)
        and any(site.text(other) == target for other in each.targets)
    )
    del counts[value]
    for text, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:4]:
        if "\n" not in text:
            wrong = f"gives `{target}` `{value}` where `{text}` was meant"
            yield site.draft(node.value, text, min(0.6 + 0.3 * count, 1.5), wrong)


def other_expression(site: Site) -> Iterator[Draft]:
    """A value becomes another expression that the same function has."""
    pool: dict[str, ast.expr] = {}
    for each in site.scope.nodes:
        if isinstance(each, ast.Subscript | ast.Call | ast.Attribute | ast.BinOp) and isinstance(
            getattr(each, "ctx", None), ast.Load | None
        ):
            text = site.text(each)
            if len(text) <= 60 and "\n" not in text:
                pool.setdefault(text, each)
    for node in site.loads(ast.Name, ast.Subscript, ast.Attribute, ast.Call):
        parent = site.parent(node)
        # What is raised is no value: another expression would only raise by being wrong.
        if isinstance(parent, ast.Attribute | ast.Raise) or node is getattr(parent, "func", None):
            continue
        text = site.text(node)
        kind = site.scope.kinds.of(node)
        found = []
        for other, each in pool.items():
            inside = text in other and len(text) > 1
            if other == text or not fits(kind, site.scope.kinds.of(each)):
                continue
            near = SequenceMatcher(None, text, other, autojunk=False).ratio()
            found.append((other, 0.4 + 0.4 * near + 0.2 * inside))
        for other, weight in sorted(found, key=lambda each: (-each[1], each[0]))[:8]:
            yield site.draft(node, other, weight, f"uses `{text}` where `{other}` was meant")


def target_order(site: Site) -> Iterator[Draft]:
    """Two things that are unpacked, returned or listed, the other way round."""
    for node in site.of(ast.Tuple):
        assert isinstance(node, ast.Tuple)
        for one, other in zip(node.elts, node.elts[1:], strict=False):
            if not isinstance(one, ast.Starred) and not isinstance(other, ast.Starred):
                splices = (site.replace(one, site.text(other)), site.replace(other, site.text(one)))
                wrong = f"has `{site.text(one)}` and `{site.text(other)}` swapped"
                yield Draft(splices, 1.0, wrong)


def index_order(site: Site) -> Iterator[Draft]:
    """``a[i][j]`` with its indices the other way round."""
    for node in site.of(ast.Subscript):
        assert isinstance(node, ast.Subscript)
        inner = node.value
        if isinstance(inner, ast.Subscript):
            splices = (
                site.replace(inner.slice, site.text(node.slice)),
                site.replace(node.slice, site.text(inner.slice)),
            )
            yield Draft(splices, 1.0, f"has the indices of `{site.text(node)}` swapped")


OPERATORS = (
    Operator(
        "variable",
        0.55,
        other_name,
        (
            OperatorExample("def area(width, height):\n    return width * width\n", "def area(width, height):\n    return width * height\n", 2),
            OperatorExample("def f(xs):\n    total = 0\n    count = 0\n    for x in xs:\n        count += x\n    return total\n", "def f(xs):\n    total = 0\n    count = 0\n    for x in xs:\n        total += x\n    return total\n", 5),
        ),
        fits={"NameError": 0.6, "TypeError": 1.0, "AttributeError": 0.9, "KeyError": 1.0, "": 0.8},
        spreads=True,
    ),
    Operator(
        "undefined_name",
        1.0,
        undefined_name,
        (OperatorExample("def f(colour):\n    return color\n", "def f(colour):\n    return colour\n", 2, "NameError: name 'color' is not defined"),),
        fits={"NameError": 1.0, "UnboundLocalError": 1.0, "AttributeError": 1.0},
        spreads=True,
    ),
    Operator(
        "attribute",
        0.5,
        other_attribute,
        (
            OperatorExample("class A:\n    def f(self, o):\n        o.end = 1\n        return o.start\n", "class A:\n    def f(self, o):\n        o.end = 1\n        return o.end\n", 4),
            OperatorExample("class A:\n    def f(self, n):\n        self.n = 2\n        return n\n", "class A:\n    def f(self, n):\n        self.n = 2\n        return self.n\n", 4),
        ),
        fits={"AttributeError": 1.3, "": 0.7},
        spreads=True,
    ),
    Operator(
        "element",
        0.35,
        elements,
        (
            OperatorExample("def f(p):\n    return p[0]\n", "def f(p):\n    return p[1]\n", 2),
            OperatorExample("def f(p):\n    return p[0]\n", "def f(p):\n    return p\n", 2),
        ),
        fits={"IndexError": 1.2, "TypeError": 1.2, "": 0.5},
    ),
    Operator(
        "like_assignment",
        0.45,
        like_assignment,
        (OperatorExample("def f(o, kind):\n    if kind:\n        n = o.place\n        return n + 1\n    n = o\n    return n + 2\n", "def f(o, kind):\n    if kind:\n        n = o.place\n        return n + 1\n    n = o.place\n    return n + 2\n", 5),),
    ),
    Operator(
        "expression",
        0.25,
        other_expression,
        (OperatorExample("def f(a):\n    b = a.strip()\n    g(b)\n    return a\n", "def f(a):\n    b = a.strip()\n    g(b)\n    return a.strip()\n", 4),),
    ),
    Operator(
        "index_order",
        0.3,
        index_order,
        (OperatorExample("def f(a, i, j):\n    return a[i][j]\n", "def f(a, i, j):\n    return a[j][i]\n", 2),),
        fits={"IndexError": 1.5, "KeyError": 1.5, "": 0.5},
    ),
    Operator(
        "order",
        0.3,
        target_order,
        (OperatorExample("def f(a, b):\n    return a, b\n", "def f(a, b):\n    return b, a\n", 2),),
        fits={"": 0.6},
    ),
)  # fmt: skip
