"""Off by one: indices, ranges, slices, bounds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.edits.kinds import DICT, LIST, NUMBER, SET, SIZED, TEXT
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site

_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_COUNTED = (ast.Name, ast.Call, ast.BinOp, ast.Attribute, ast.Subscript)


def shift(site: Site) -> Iterator[Draft]:
    """A number that counts or points becomes one more or one less."""
    for node in site.loads(*_COUNTED, ast.Constant):
        weight = _counting(site, node)
        if not weight:
            continue
        if isinstance(node, ast.Constant):
            if type(node.value) is int:
                for value in (node.value + 1, node.value - 1):
                    wrong = f"has `{node.value}` where `{value}` was meant"
                    yield site.draft(node, str(value), 0.8 * weight, wrong)
            continue
        text = site.within(node, 11)
        for step in ("+ 1", "- 1"):
            yield site.draft(node, f"{text} {step}", weight, f"is off by one at `{text}`")


# So many values are looked at as the limit of another.
LIMITS = 6
_LIMITED = (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp)


def limits(site: Site) -> Iterator[Draft]:
    """The greater or the lesser of a value and another one that stands near it."""
    if not isinstance(site.statement, ast.Assign | ast.Return | ast.Expr | ast.AugAssign):
        return
    near: dict[str, float] = {}
    for other, weight in _near(site):
        near.setdefault(other, weight)
    for node in site.loads(*_LIMITED):
        parent = site.parent(node)
        value = isinstance(parent, ast.Assign | ast.Return | ast.AugAssign | ast.Tuple | ast.Call)
        callee = isinstance(parent, ast.Call) and node is parent.func
        if not value or callee or site.scope.kinds.of(node) not in (None, NUMBER):
            continue
        text = site.text(node)
        for other, weight in [*near.items()][:LIMITS]:
            for name in ("max", "min") if other != text else ():
                wrong = f"lacks `{name}` of `{text}` and `{other}`"
                yield site.draft(node, f"{name}({text}, {other})", weight, wrong)


def _near(site: Site) -> Iterator[tuple[str, float]]:
    """Values of the conditions around a statement, then of the statement itself."""
    for outer in site.source.ancestors(site.statement):
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
            break
        for node in ast.walk(outer.test) if isinstance(outer, ast.If | ast.While) else ():
            sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            yield from ((site.text(e), 1.0) for e in sides if isinstance(e, _LIMITED))
    for node in site.loads(ast.Name, ast.Attribute, ast.Subscript):
        if not isinstance(site.parent(node), ast.Attribute | ast.Call | ast.Subscript):
            yield site.text(node), 0.6


def _counting(site: Site, node: ast.expr) -> float:
    """How likely a place is to be off by one; 0 where no number can stand."""
    kind = site.scope.kinds.of(node)
    if kind not in (None, NUMBER) or _shifted(node):
        return 0
    parent = site.parent(node)
    known = kind == NUMBER
    match parent:
        case ast.Slice():
            return 1.0
        case ast.Subscript() if node is parent.slice:
            if known or "IndexError" in site.hints.exceptions:
                return 0.9
            return 0.4 * (site.scope.kinds.of(parent.value) not in (DICT, SET))
        case ast.Call(func=ast.Name(id="range")):
            return 1.0
        case ast.Compare() if any(isinstance(each, _ORDER) for each in parent.ops):
            return 0.7 if known else 0.4
        case ast.Compare():
            return 0.4 if known else 0
        case ast.BinOp():
            return 0.3 if known and not isinstance(parent.op, ast.Pow) else 0.12
        case ast.Return() | ast.Assign() | ast.AugAssign():
            return 0.5 if known else 0.15 if isinstance(node, ast.Name | ast.Call) else 0
        case ast.Call() | ast.keyword():
            return 0.4 if known else 0.1 if node not in (getattr(parent, "func", None),) else 0
        case ast.Tuple() | ast.IfExp() | ast.List() | ast.Yield():
            return 0.3 if known else 0
    return 0


def _shifted(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Add | ast.Sub)
        and isinstance(node.right, ast.Constant)
        and node.right.value == 1
    )


def ranges(site: Site) -> Iterator[Draft]:
    """Another start, another end, another direction of a range."""
    for node in site.of(ast.Call):
        assert isinstance(node, ast.Call)
        if not (isinstance(node.func, ast.Name) and node.func.id == "range") or node.keywords:
            continue
        if any(isinstance(each, ast.Starred) for each in node.args):
            continue
        wrong = f"goes over `{site.text(node)}`"
        texts = [site.within(each, 11) for each in node.args]
        if len(texts) == 1:
            (n,) = texts
            starts = [f"range(1, {n})", f"range(1, {n} + 1)", f"range({n} - 1, -1, -1)"]
            starts += [f"range({name}, {n})" for name in _counters(site)]
        elif len(texts) == 2:
            a, b = texts
            starts = [f"range({b})", f"range({a} + 1, {b} + 1)", f"range({a}, {b}, -1)"]
            starts += [f"range({a} - 1, {b} - 1)", f"range({a}, {b}, 2)", f"range({b}, {a}, -1)"]
            starts.append(f"range({b} - 1, {a} - 1, -1)")
        else:
            a, b, step = texts
            starts = [f"range({a}, {b})", f"range({a}, {b} + 1, {step})"]
            starts += [f"range({a}, {b} - 1, {step})", f"range({a} - 1, {b}, {step})"]
        for rank, text in enumerate(starts):
            yield site.draft(node, text, 1 / (1 + 0.3 * rank), f"{wrong} where `{text}` was meant")


def _counters(site: Site) -> list[str]:
    """Names that hold numbers here, the last bound first."""
    kinds = site.scope.kinds.names
    return [name for name in reversed(site.scope.locals) if kinds.get(name) == NUMBER][:4]


def slices(site: Site) -> Iterator[Draft]:
    """A bound of a slice too many or missing, the other end of a sequence."""
    for node in site.loads(ast.Subscript):
        assert isinstance(node, ast.Subscript)
        base = site.within(node.value, 16)
        wrong = f"takes `{' '.join(site.text(node).split())}`"
        if isinstance(node.slice, ast.Slice):
            found = list(_other_slices(site, node.slice))
        else:
            found = [(text, 0.9) for text in _other_ends(site, node.slice)]
        for text, weight in found:
            other = f"{base}[{text}]"
            yield site.draft(node, other, weight, f"{wrong} where `{other}` was meant")
    for node in site.loads(ast.Name, ast.Attribute):
        parent = site.parent(node)
        whole = isinstance(parent, ast.For | ast.comprehension) or (
            isinstance(parent, ast.Call) and node in parent.args
        )
        if whole and site.scope.kinds.of(node) in (None, *SIZED):
            sure = 0.4 if site.scope.kinds.of(node) in (LIST, TEXT) else 0.2
            for part, weight in (("1:", 1.0), (":-1", 0.9), ("::-1", 0.7), (":", 0.5)):
                text = f"{site.text(node)}[{part}]"
                yield site.draft(node, text, sure * weight, f"takes all of `{site.text(node)}`")


def _other_slices(site: Site, node: ast.Slice) -> Iterator[tuple[str, float]]:
    lower, upper, step = (
        site.text(each) if each is not None else "" for each in (node.lower, node.upper, node.step)
    )
    tail = f":{step}" if step else ""
    if lower:
        yield f":{upper}{tail}", 0.7
        yield f":{lower}{tail}", 0.4
    if upper:
        yield f"{lower}:{tail}", 0.7
        yield f"{upper}:{tail}", 0.4
        if upper.startswith("-"):
            yield f"{lower}:{upper[1:]}{tail}", 0.3
    else:
        yield f"{lower}:-1{tail}", 0.5
    if step:
        yield f"{lower}:{upper}", 0.6
    elif not lower and not upper:
        yield "::-1", 0.6
    if not lower:
        yield f"1:{upper}{tail}", 0.6
    for name in _counters(site):
        if not lower:
            yield f"{name}:{upper}{tail}", 0.4
            yield f"{name} + 1:{upper}{tail}", 0.3
        if not upper:
            yield f"{lower}:{name}{tail}", 0.4
            yield f"{lower}:{name} + 1{tail}", 0.3


def _other_ends(site: Site, index: ast.expr) -> Iterator[str]:
    text = site.text(index)
    if text in ("0", "1"):
        yield "-1"
    elif text in ("-1", "-2"):
        yield "0"
    elif site.scope.kinds.of(index) == NUMBER:
        yield f"-{site.within(index, 13)}"


OPERATORS = (
    Operator(
        "off_by_one",
        0.8,
        shift,
        (
            OperatorExample("def f(xs):\n    return xs[len(xs)]\n", "def f(xs):\n    return xs[len(xs) - 1]\n", 2),
            OperatorExample("def f(n):\n    return list(range(n))\n", "def f(n):\n    return list(range(n + 1))\n", 2),
            OperatorExample("def f(xs):\n    return xs[:2]\n", "def f(xs):\n    return xs[:3]\n", 2),
        ),
        fits={"IndexError": 1.5, "RecursionError": 1.0, "": 0.35, "TypeError": 0.2},
    ),
    Operator(
        "limit",
        0.3,
        limits,
        (
            OperatorExample("def f(a, b, last):\n    if a <= last[1]:\n        last = (a, b)\n    return last\n", "def f(a, b, last):\n    if a <= last[1]:\n        last = (a, max(b, last[1]))\n    return last\n", 3),
        ),
        fits={"TypeError": 0.2, "": 0.3},
    ),
    Operator(
        "range",
        0.5,
        ranges,
        (OperatorExample("def f(n):\n    return sum(range(n))\n", "def f(n):\n    return sum(range(1, n + 1))\n", 2),),
        fits={"IndexError": 1.5, "": 0.4},
    ),
    Operator(
        "slice",
        0.4,
        slices,
        (
            OperatorExample("def f(xs):\n    return xs[0]\n", "def f(xs):\n    return xs[-1]\n", 2),
            OperatorExample("def f(xs):\n    return xs[1:]\n", "def f(xs):\n    return xs[:]\n", 2),
            OperatorExample("def f(xs):\n    return g(xs)\n", "def f(xs):\n    return g(xs[:-1])\n", 2),
        ),
        fits={"IndexError": 1.4, "": 0.4, "ValueError": 0.8},
    ),
)  # fmt: skip
