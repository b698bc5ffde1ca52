"""Small conditions made of what stands around a place: for missing terms and guards."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import islice

from selfheal.repair.edits.kinds import (
    BOOL,
    COLLECTION,
    DICT,
    LIST,
    NUMBER,
    SET,
    SIZED,
    TEXT,
    TUPLE,
    fits,
)
from selfheal.repair.edits.site import Site
from selfheal.repair.source import names_in

LIMIT = 80
_ATTRIBUTE_OF_NONE = re.compile(r"'NoneType' object has no attribute '(\w+)'")
_CONTAINERS = (LIST, DICT, SET, TUPLE, COLLECTION, TEXT)
_OPPOSITE: dict[type[ast.cmpop], str] = {
    ast.Lt: ">=", ast.LtE: ">", ast.Gt: "<=", ast.GtE: "<", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
Atom = tuple[str, float]


def negation(site: Site, node: ast.expr) -> str:
    """The opposite of a condition."""
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return site.text(inner)
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            opposite = _OPPOSITE[type(operator)]
            return f"{site.within(left, 7)} {opposite} {site.within(right, 7)}"
    return f"not {site.within(node, 5)}"


def atoms(site: Site, near: ast.AST) -> list[Atom]:
    """Conditions that could be missing at `near`, with weights (0–1.5), likeliest first."""
    best: dict[str, float] = {}
    made = (_beside, _of_none, bounds, _present, _made, _listed)
    for text, weight in (each for atoms_of in made for each in atoms_of(site, near)):
        best[text] = max(weight, best.get(text, 0))
    ordered = sorted(best.items(), key=lambda each: -each[1])
    return list(islice(ordered, LIMIT))


def _beside(site: Site, near: ast.AST) -> Iterator[Atom]:
    """What stands beside the same condition elsewhere in the file."""
    for term in site.scope.module.beside.get(ast.dump(near), ()):
        if "\n" not in site.text(term) and names_in(term) <= site.scope.nameable:
            yield site.within(term, 5), 1.5


def _of_none(site: Site, _near: ast.AST) -> Iterator[Atom]:
    """What the statement asks for the attribute that, the failure says, None does not have."""
    missing = {name for text in site.hints.messages for name in _ATTRIBUTE_OF_NONE.findall(text)}
    for node in ast.walk(site.statement) if missing else ():
        if isinstance(node, ast.Attribute) and node.attr in missing and is_short(site, node.value):
            text = site.text(node.value)
            yield text, 1.3
            yield f"{text} is not None", 1.2


def _present(site: Site, near: ast.AST) -> Iterator[Atom]:
    """Conditions of the same function, and their opposites."""
    known = set(site.scope.readable)
    for node in site.scope.conditions:
        if node is near or isinstance(node, ast.BoolOp):
            continue
        if "\n" in site.text(node) or not names_in(node) <= known | set(site.scope.module.names):
            continue
        yield site.within(node, 5), 0.9
        yield negation(site, node), 0.7


def bounds(site: Site, near: ast.AST) -> Iterator[Atom]:
    """An index within its sequence, a key within its mapping."""
    for root in (near, site.statement):
        for node in ast.walk(root):
            if not isinstance(node, ast.Subscript) or isinstance(node.slice, ast.Slice):
                continue
            if isinstance(node.slice, ast.Constant | ast.UnaryOp) and is_short(site, node.value):
                yield site.text(node.value), 1.2
            if isinstance(node.slice, ast.Name) and is_short(site, node):
                base, key = site.text(node.value), site.text(node.slice)
                number = site.scope.kinds.of(node.slice) == NUMBER
                yield f"{key} < len({base})", 1.2 if number else 0.6
                yield f"{key} in {base}", 0.5 if number else 1.0
                yield f"{key} not in {base}", 0.3 if number else 0.8


def _made(site: Site, near: ast.AST) -> Iterator[Atom]:
    subjects = _subjects(site, near)
    for rank, (text, kind) in enumerate(subjects):
        fade = 1 / (1 + 0.25 * rank)
        of_text = of_one(text, kind, optional=text not in site.scope.variadic)
        yield from ((atom, weight * fade) for atom, weight in of_text)
    for rank, (text, kind) in enumerate(subjects[:5]):
        for type_ in site.scope.module.types[:3] if kind not in (NUMBER, BOOL) else ():
            yield f"isinstance({text}, {type_})", 0.6 / (1 + 0.25 * rank)
            yield f"not isinstance({text}, {type_})", 0.5 / (1 + 0.25 * rank)
    for rank, (one, kind) in enumerate(subjects):
        fade = 1 / (1 + 0.25 * rank)
        for other, other_kind in subjects:
            if one == other:
                continue
            if kind == NUMBER and other_kind in (*SIZED, None):
                yield f"{one} < len({other})", 0.7 * fade
            if kind not in _CONTAINERS[:5] and other_kind in _CONTAINERS:
                yield f"{one} in {other}", 0.5 * fade
                yield f"{one} not in {other}", 0.6 * fade
            if fits(kind, other_kind) and not (kind == other_kind == COLLECTION):
                for operator, weight in (("==", 0.4), ("!=", 0.5), ("<", 0.4), ("<=", 0.4)):
                    if weight == 0.4 and operator != "==" and NUMBER not in (kind, other_kind):
                        continue
                    yield f"{one} {operator} {other}", weight * fade


def _listed(site: Site, near: ast.AST) -> Iterator[Atom]:
    """A value among those that a constant of the module lists, or not."""
    tables = site.scope.module.tables[:3]
    for rank, (text, kind) in enumerate(_subjects(site, near)[:4]):
        if kind in (LIST, DICT, SET) or text in tables:
            continue
        for place, table in enumerate(tables):
            fade = 1 / (1 + 0.25 * rank + 0.25 * place)
            yield f"{text} in {table}", 0.5 * fade
            yield f"{text} not in {table}", 0.4 * fade


def of_one(text: str, kind: str | None, *, optional: bool = True) -> Iterator[Atom]:
    """Conditions on one value, which may be None if `optional`."""
    if kind == NUMBER:
        yield from ((f"{text} > 0", 0.8), (f"{text} >= 0", 0.6), (f"{text} != 0", 0.6))
        yield from ((f"{text} == 0", 0.6), (f"{text} < 0", 0.5), (f"{text} > 1", 0.5))
        yield from ((f"{text} <= 0", 0.4), (f"{text} == 1", 0.4))
        return
    yield text, 0.8
    yield f"not {text}", 0.8
    if kind != BOOL and optional:
        yield f"{text} is not None", 0.75
        yield f"{text} is None", 0.7
    if kind in (LIST, TEXT, TUPLE, COLLECTION):
        yield f"len({text}) > 1", 0.4


def _subjects(site: Site, near: ast.AST) -> list[tuple[str, str | None]]:
    """Values to ask about: those at the place first, then those of its block, then others."""
    kinds = site.scope.kinds
    texts: dict[str, str | None] = {}
    readable = set(site.scope.readable) - site.scope.module.always_true
    for root in (near, site.statement):
        for node in ast.walk(root):
            if isinstance(node, ast.Name) and node.id in readable | kinds.loops:
                texts.setdefault(node.id, kinds.of(node))
            elif isinstance(node, ast.Attribute | ast.Subscript) and is_short(site, node):
                texts.setdefault(site.text(node), kinds.of(node))
    unread = site.scope.unread
    latest = site.scope.locals[::-1]
    for name in sorted(latest, key=lambda each: each not in unread):
        if name not in ("self", "cls", "_"):
            texts.setdefault(name, kinds.names.get(name))
    for dull in ("self", "cls", "_"):
        texts.pop(dull, None)
    return list(texts.items())[:10]


def is_short(site: Site, node: ast.expr) -> bool:
    text = site.text(node)
    called = site.parent(node)
    return (
        len(text) <= 40
        and "\n" not in text
        and isinstance(getattr(node, "ctx", None), ast.Load)
        and not (isinstance(called, ast.Call) and called.func is node)
    )
