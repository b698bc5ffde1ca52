"""Wrong arithmetic: another operator, swapped operands, a term too many, the grouping."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from selfheal.repair.edit import Splice
from selfheal.repair.edits.kinds import DICT, LIST, NUMBER, SET, TEXT, TUPLE
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site
from selfheal.repair.source import names_in

_OTHERS: dict[str, tuple[tuple[str, float], ...]] = {
    "+": (("-", 1.0), ("*", 0.4), ("|", 0.1)),
    "-": (("+", 1.0), ("*", 0.2), ("/", 0.2), ("%", 0.2)),
    "*": (("/", 0.8), ("+", 0.7), ("**", 0.7), ("//", 0.5), ("-", 0.2)),
    "/": (("//", 1.0), ("*", 0.8), ("%", 0.3), ("-", 0.1)),
    "//": (("/", 1.0), ("%", 0.7), ("*", 0.5), (">>", 0.1)),
    "%": (("//", 1.0), ("/", 0.4), ("*", 0.2), ("-", 0.2)),
    "**": (("*", 1.0), ("^", 0.1)),
    "&": (("|", 1.0), ("^", 0.6), ("-", 0.2)),
    "|": (("&", 1.0), ("^", 0.6), ("+", 0.2)),
    "^": (("&", 1.0), ("|", 0.7), ("**", 0.7)),
    "<<": ((">>", 1.0), ("*", 0.2)),
    ">>": (("<<", 1.0), ("//", 0.2)),
    "@": (("*", 1.0),),
}
_SYMBOL = re.compile(r"\*\*|//|<<|>>|[-+*/%&|^@]")
_ORDERED = ast.Sub | ast.Div | ast.FloorDiv | ast.Mod | ast.Pow | ast.LShift | ast.RShift
_SEQUENCES = frozenset({TEXT, LIST, TUPLE})


def symbol(site: Site, left: ast.expr, right: ast.expr) -> Splice | None:
    """Where the operator between two operands stands."""
    start, stop = site.source.span(left)[1], site.source.span(right)[0]
    found = _SYMBOL.search(site.source.text, start, stop)
    if found is None or "#" in site.source.text[start : found.start()]:
        return None
    return Splice(path=site.source.path, start=found.start(), stop=found.end(), text=found[0])


def swap_arithmetic(site: Site) -> Iterator[Draft]:
    """Every arithmetic or bitwise operator becomes another one of its family."""
    for node in site.of(ast.BinOp):
        assert isinstance(node, ast.BinOp)
        if isinstance(node.op, ast.Mod) and site.scope.kinds.of(node.left) == TEXT:
            continue
        yield from _swapped(symbol(site, node.left, node.right))
    if isinstance(site.statement, ast.AugAssign):
        yield from _swapped(symbol(site, site.statement.target, site.statement.value))


def _swapped(found: Splice | None) -> Iterator[Draft]:
    for other, weight in _OTHERS.get(found.text, ()) if found else ():
        assert found is not None
        yield Draft(
            (found.model_copy(update={"text": other}),),
            weight,
            f"computes with `{found.text}` where `{other}` was meant",
        )


def assignments(site: Site) -> Iterator[Draft]:
    """``x += e`` becomes ``x = e``; ``x = e`` becomes ``x += e`` where x had a value before."""
    node = site.statement
    if isinstance(node, ast.AugAssign):
        found = symbol(site, node.target, node.value)
        if found is not None:
            gone = found.model_copy(update={"text": ""})
            yield Draft((gone,), 0.5, "adds to a variable that was to be replaced")
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        if isinstance(target, ast.Tuple | ast.List):
            return
        start = site.source.text.index("=", site.source.span(target)[1])
        kind = site.scope.kinds.of(node.value)
        for sign in ("|", "&") if kind in (SET, DICT) else ("+", "-", "*"):
            splice = Splice(path=site.source.path, start=start, stop=start, text=sign)
            weight = 1.0 if sign in "+|" else 0.3
            yield Draft((splice,), weight, "replaces a variable that was to be added to")


def drop_operand(site: Site) -> Iterator[Draft]:
    """One side of an operation alone."""
    for node in site.of(ast.BinOp):
        assert isinstance(node, ast.BinOp)
        if isinstance(node.op, ast.Mod) and site.scope.kinds.of(node.left) == TEXT:
            continue
        for kept, gone in ((node.left, node.right), (node.right, node.left)):
            one = isinstance(gone, ast.Constant) and gone.value in (1, -1)
            shown = site.text(gone)
            yield site.draft(
                node, site.text(kept), 1.0 if one else 0.5, f"has the term `{shown}` too many"
            )


def swap_operands(site: Site) -> Iterator[Draft]:
    """The operands of an operation whose order counts."""
    for node in site.of(ast.BinOp):
        assert isinstance(node, ast.BinOp)
        joined = isinstance(node.op, ast.Add) and (
            site.scope.kinds.of(node.left) in _SEQUENCES
            or site.scope.kinds.of(node.right) in _SEQUENCES
            or isinstance(node.left, ast.Call)
            or isinstance(node.right, ast.Call)
        )
        if not joined and not isinstance(node.op, _ORDERED):
            continue
        if isinstance(node.op, ast.Mod) and site.scope.kinds.of(node.left) == TEXT:
            continue
        yield Draft(
            (
                site.replace(node.left, site.text(node.right)),
                site.replace(node.right, site.text(node.left)),
            ),
            0.8,
            f"has the operands of `{' '.join(site.text(node).split())}` the wrong way round",
        )


def regroup(site: Site) -> Iterator[Draft]:
    """Parentheses that are missing or too many: ``a + b * c``, ``(a + b) * c``."""
    for node in site.of(ast.BinOp, ast.BoolOp):
        operands = [node.left, node.right] if isinstance(node, ast.BinOp) else node.values  # type: ignore[attr-defined]
        for position, inner in enumerate(operands):
            if not isinstance(inner, type(node)):
                continue
            if site.outer_span(inner) != site.source.span(inner):
                yield from _opened(site, inner)
                continue
            parts = [inner.left, inner.right] if isinstance(inner, ast.BinOp) else inner.values  # type: ignore[attr-defined]
            if position > 0:
                yield from _around(site, operands[position - 1], parts[0])
            if position + 1 < len(operands):
                yield from _around(site, parts[-1], operands[position + 1])


def _around(site: Site, first: ast.expr, last: ast.expr) -> Iterator[Draft]:
    start, stop = site.outer_span(first)[0], site.outer_span(last)[1]
    path = site.source.path
    splices = (
        Splice(path=path, start=start, stop=start, text="("),
        Splice(path=path, start=stop, stop=stop, text=")"),
    )
    shown = " ".join(site.source.text[start:stop].split())
    yield Draft(splices, 0.6, f"lacks parentheses around `{shown}`")


def _opened(site: Site, node: ast.expr) -> Iterator[Draft]:
    """The node without the parentheses around it."""
    start, stop = site.source.span(node)
    outer_start, outer_stop = site.outer_span(node)
    path = site.source.path
    splices = (
        Splice(path=path, start=outer_start, stop=start, text=""),
        Splice(path=path, start=stop, stop=outer_stop, text=""),
    )
    yield Draft(splices, 0.5, f"has parentheses around `{site.text(node)}` too many")


def change_sign(site: Site) -> Iterator[Draft]:
    """``-x`` becomes ``x``, and a number that is returned, passed or assigned its negative."""
    for node in site.of(ast.UnaryOp):
        assert isinstance(node, ast.UnaryOp)
        if isinstance(node.op, ast.USub | ast.Invert):
            yield site.draft(node, site.text(node.operand), 0.7, "has the sign turned")
    for node in site.loads(ast.Name, ast.Call, ast.BinOp, ast.Attribute, ast.Subscript):
        parent = site.parent(node)
        placed = isinstance(parent, ast.Return | ast.keyword | ast.Assign | ast.AugAssign) or (
            isinstance(parent, ast.Call) and node is not parent.func
        )
        key = isinstance(parent, ast.Lambda) and node is parent.body
        key = key or (isinstance(parent, ast.Tuple) and isinstance(site.parent(parent), ast.Lambda))
        if key or (placed and site.scope.kinds.guess(node) == NUMBER):
            yield site.draft(node, f"-{site.within(node, 13)}", 0.6, "lacks a minus sign")


def add_operand(site: Site) -> Iterator[Draft]:
    """A term is missing: ``e + n``, ``e - n``, ``e * n`` with a number that is near."""
    kinds, unread = site.scope.kinds, site.scope.unread
    for node in site.loads(ast.Name, ast.Attribute, ast.Call, ast.Subscript):
        parent = site.parent(node)
        if isinstance(parent, ast.Attribute) or node is getattr(parent, "func", None):
            continue
        if kinds.guess(node) not in (None, NUMBER):
            continue
        text, used = site.text(node), names_in(node)
        names = [each for each in site.scope.locals if each not in used | {"self", "cls"}]
        names = [each for each in names if kinds.guess(ast.Name(each)) == NUMBER or each in unread]
        names.sort(key=lambda each: each not in unread)
        named = [(name, name in unread) for name in names[:5]]
        for name, kind in site.scope.own_attributes.items():
            if kind in (None, NUMBER) and f".{name}" not in text:
                sure = kind == NUMBER or kinds.guess(ast.Name(name)) == NUMBER
                if sure or name in site.scope.own_unread:
                    named.append((f"{site.scope.self_name}.{name}", name in site.scope.own_unread))
        for rank, (name, forgotten) in enumerate(named[:8]):
            weight = 1.5 if forgotten else 0.8 / (1 + 0.2 * rank)
            for sign, factor in (("+", 1.0), ("-", 0.8), ("*", 0.7)):
                yield site.draft(
                    node, f"{text} {sign} {name}", weight * factor, f"lacks `{sign} {name}`"
                )


OPERATORS = (
    Operator(
        "arithmetic",
        0.8,
        swap_arithmetic,
        (
            OperatorExample("def f(a, b):\n    return a - b\n", "def f(a, b):\n    return a + b\n", 2),
            OperatorExample("def f(a, b):\n    a -= b\n    return a\n", "def f(a, b):\n    a += b\n    return a\n", 2),
        ),
        fits={"ZeroDivisionError": 0.6, "": 0.5, "TypeError": 0.9, "IndexError": 0.8},
    ),
    Operator(
        "drop_operand",
        0.55,
        drop_operand,
        (OperatorExample("def f(a):\n    return len(a) - 1\n", "def f(a):\n    return len(a)\n", 2),),
        fits={"TypeError": 0.8, "": 0.4, "IndexError": 1.2},
    ),
    Operator(
        "operand_order",
        0.4,
        swap_operands,
        (OperatorExample("def f(a, b):\n    return a[0] - b\n", "def f(a, b):\n    return b - a[0]\n", 2),),
        fits={"": 0.3},
    ),
    Operator(
        "assignment",
        0.45,
        assignments,
        (
            OperatorExample("def f(xs):\n    n = 0\n    for x in xs:\n        n = x\n    return n\n", "def f(xs):\n    n = 0\n    for x in xs:\n        n += x\n    return n\n", 4),
            OperatorExample("def f(n):\n    n += 1\n    return n\n", "def f(n):\n    n = 1\n    return n\n", 2),
        ),
        fits={"": 0.3},
    ),
    Operator(
        "grouping",
        0.4,
        regroup,
        (
            OperatorExample("def f(a, b):\n    return a + b / 2\n", "def f(a, b):\n    return (a + b) / 2\n", 2),
            OperatorExample("def f(a, b):\n    return (a + b) / 2\n", "def f(a, b):\n    return a + b / 2\n", 2),
            OperatorExample("def f(a, b, c):\n    return a or b and c\n", "def f(a, b, c):\n    return (a or b) and c\n", 2),
        ),
        fits={"": 0.3, "TypeError": 0.6},
    ),
    Operator(
        "missing_operand",
        0.12,
        add_operand,
        (OperatorExample("def f(n, step):\n    return n\n", "def f(n, step):\n    return n + step\n", 2),),
        fits={"": 0.3},
    ),
    Operator(
        "sign",
        0.3,
        change_sign,
        (
            OperatorExample("def f(x):\n    return -x\n", "def f(x):\n    return x\n", 2),
            OperatorExample("def f(xs):\n    xs.sort(key=lambda x: x[1])\n", "def f(xs):\n    xs.sort(key=lambda x: -x[1])\n", 2),
        ),
        fits={"": 0.2},
    ),
)  # fmt: skip
