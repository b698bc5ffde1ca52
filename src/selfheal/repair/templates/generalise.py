"""Anti-unification: the least general template of changes.

Two changes are walked together. Where they agree the template is concrete; where they
differ it has a hole, and equal pairs of differing code have the same hole on both sides of
the arrow (Plotkin, "A note on inductive generalization", 1970; Reynolds, 1970). As in
Getafix (Bader et al., OOPSLA 2019) a template has to know on the left side every hole that
it needs on the right, and must not fit everything.
"""

from __future__ import annotations

import ast
import builtins
import copy
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from selfheal.artifacts.patterns import EditTemplate
from selfheal.repair.templates.difference import Change

HOLE = re.compile(r"HOLE_\d+\Z")
SMALLEST_ANCHOR = 2

Syntax = tuple[ast.AST, ...]
Kind = Literal["name", "literal", "expression", "statement", "identifier"]


class Sides(NamedTuple):
    """A template as syntax; holes are names that `HOLE` matches."""

    before: Syntax
    after: Syntax


class _Unlike(Exception):
    """Two pieces of syntax have no template but a hole around them."""


def template_of(change: Change) -> EditTemplate | None:
    """The template of one change: its variables become holes, all else stays.

    A variable is a name that the old version has and that is neither called nor a builtin.
    None where what is left is too general, or the change itself has such names.
    """
    if any(_is_hole(node) for node in _walk((*change.before, *change.after))):
        return None
    every = _walk((*change.before, *change.after))
    called = {id(node.func) for node in every if isinstance(node, ast.Call)}
    known = {
        node.id
        for node in _walk(change.before)
        if isinstance(node, ast.Name) and id(node) not in called and not hasattr(builtins, node.id)
    }
    names = {name: f"HOLE_{number}" for number, name in enumerate(_in_order(change, known), 1)}
    before, after = (_renamed(side, names, called) for side in (change.before, change.after))
    return _checked(Sides(before, after), dict.fromkeys(names.values(), "name"), support=1)


def generalised(one: EditTemplate, two: EditTemplate) -> EditTemplate | None:
    """The least general template that both are instances of; None where it says too little.

    Its support is the sum of both.
    """
    if one.form != two.form:
        return None
    left, right = sides(one), sides(two)
    table = _Table(one.holes, two.holes)
    try:
        found = Sides(table.block(left.before, right.before), table.block(left.after, right.after))
    except _Unlike:
        return None
    found, holes = _numbered(found, table.kinds)
    return _checked(found, holes, support=one.support + two.support)


def sides(template: EditTemplate) -> Sides:
    """The template's syntax, which nobody may change: it is parsed once."""
    return Sides(*(_parsed(text, template.form) for text in (template.before, template.after)))


def specificity(template: EditTemplate) -> int:
    """How many pieces of concrete syntax a template has: the more, the fewer places it fits."""
    return sum(_concrete(node) for side in sides(template) for node in _walk(side))


@lru_cache(maxsize=4096)
def _parsed(text: str, form: str) -> Syntax:
    if form == "expression":
        return (ast.parse(text, mode="eval").body,)
    return tuple(ast.parse(text).body)


class _Table:
    """The holes of one generalisation, by the pair of what differs."""

    def __init__(self, left: dict[str, str], right: dict[str, str]) -> None:
        self.kinds: dict[str, str] = {}
        self._left, self._right = left, right
        self._names: dict[tuple[str, str, str], str] = {}

    def block(self, one: Sequence[ast.AST], two: Sequence[ast.AST]) -> Syntax:
        if len(one) != len(two):
            raise _Unlike
        return tuple(self.node(mine, other) for mine, other in zip(one, two, strict=True))

    def node(self, one: ast.AST, two: ast.AST) -> ast.AST:
        if _is_hole(one) or _is_hole(two):
            return self._hole(one, two)
        try:
            return self._alike(one, two)
        except _Unlike:
            return self._hole(one, two)

    def _alike(self, one: ast.AST, two: ast.AST) -> ast.AST:
        if type(one) is not type(two):
            raise _Unlike
        made: dict[str, object] = {}
        for name in one._fields:
            made[name] = self._value(one, name, getattr(one, name, None), getattr(two, name, None))
        return type(one)(**made)

    def _value(self, owner: ast.AST, field: str, one: object, two: object) -> object:
        if isinstance(one, ast.AST) and isinstance(two, ast.AST):
            if isinstance(one, ast.expr | ast.stmt) and isinstance(two, ast.expr | ast.stmt):
                return self.node(one, two)
            return self._alike(one, two)
        if isinstance(one, list) and isinstance(two, list):
            if len(one) != len(two):
                raise _Unlike
            pairs = zip(one, two, strict=True)
            return [self._value(owner, field, mine, other) for mine, other in pairs]
        hole = isinstance(one, str) and HOLE.match(one)
        if type(one) is type(two) and one == two and not hole:
            return one
        if isinstance(one, str) and isinstance(two, str) and (type(owner), field) in _IDENTIFIERS:
            return self._named("identifier", one, two, "identifier")
        raise _Unlike

    def _hole(self, one: ast.AST, two: ast.AST) -> ast.AST:
        if isinstance(one, ast.stmt) and isinstance(two, ast.stmt):
            kind = "statement"
        elif isinstance(one, ast.expr) and isinstance(two, ast.expr):
            kind = _joined(_kind(one, self._left), _kind(two, self._right))
        else:
            raise _Unlike
        name = ast.Name(id=self._named(kind, _dump(one), _dump(two), kind), ctx=ast.Load())
        return ast.Expr(value=name) if kind == "statement" else name

    def _named(self, sort: str, one: str, two: str, kind: str) -> str:
        sort = sort if sort in ("identifier", "statement") else "expression"
        name = self._names.setdefault((sort, one, two), f"HOLE_{len(self._names) + 1}")
        self.kinds[name] = kind
        return name


# Identifiers that may differ between uses of one template; all others are the template's own.
_IDENTIFIERS = {
    (ast.Attribute, "attr"),
    (ast.keyword, "arg"),
    (ast.ExceptHandler, "name"),
    (ast.arg, "arg"),
}


def _kind(node: ast.expr, holes: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return holes.get(node.id, "name")
    return "literal" if isinstance(node, ast.Constant) else "expression"


def _joined(one: str, two: str) -> str:
    return one if one == two else "expression"


def _checked(found: Sides, holes: dict[str, str], *, support: int) -> EditTemplate | None:
    """The template, or None: something of the right side is unknown, or it fits everything."""
    known, needed = (_holes(side) for side in found)
    concrete = sum(_concrete(node) for node in _walk(found.before))
    if needed - known or concrete < SMALLEST_ANCHOR:
        return None
    if [_dump(node) for node in found.before] == [_dump(node) for node in found.after]:
        return None
    form: Literal["expression", "statements"] = (
        "expression" if isinstance(found.before[0], ast.expr) else "statements"
    )
    before, after = (_text(side) for side in found)
    template = EditTemplate(
        form=form,
        before=before,
        after=after,
        holes={name: holes[name] for name in sorted(known, key=lambda each: int(each[5:]))},
        support=support,
    )
    # What does not survive being written down (a bare starred expression) is no template.
    try:
        written = sides(template)
    except SyntaxError:
        return None
    same = all(
        [_dump(node) for node in one] == [_dump(node) for node in two]
        for one, two in zip(written, found, strict=True)
    )
    return template if same else None


def _concrete(node: ast.AST) -> int:
    """1 for syntax that tells something: calls, operators, literals, keywords, known names."""
    if isinstance(node, ast.Name):
        return 0 if _is_hole(node) else 1
    if isinstance(node, ast.Attribute):
        return 0 if HOLE.match(node.attr) else 1
    return int(
        isinstance(node, ast.expr | ast.stmt | ast.operator | ast.cmpop | ast.boolop | ast.unaryop)
        and not isinstance(node, ast.Expr | ast.BinOp | ast.Compare | ast.BoolOp | ast.UnaryOp)
    )


def _numbered(found: Sides, kinds: dict[str, str]) -> tuple[Sides, dict[str, str]]:
    """Holes numbered in the order in which they are met."""
    order: dict[str, str] = {}
    for side in found:
        for name in _hole_names(side):
            order.setdefault(name, f"HOLE_{len(order) + 1}")
    before, after = (
        tuple(_Rename(order).visit(copy.deepcopy(node)) for node in side) for side in found
    )
    return Sides(before, after), {new: kinds[old] for old, new in order.items()}


class _Rename(ast.NodeTransformer):
    """Names, attributes and other identifiers that stand in a table."""

    def __init__(self, names: dict[str, str], apart: frozenset[int] = frozenset()) -> None:
        self._names, self._apart = names, apart

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field, value in ast.iter_fields(node):
            if isinstance(value, str) and (
                isinstance(node, ast.Name) or (type(node), field) in _IDENTIFIERS
            ):
                setattr(node, field, self._names.get(value, value))
        return super().generic_visit(node)


def _renamed(side: Syntax, names: dict[str, str], called: set[int]) -> Syntax:
    """Copies in which variables have their holes' names; what is called keeps its own."""

    class Variables(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            if id(node) in called or node.id not in names:
                return ast.Name(id=node.id, ctx=node.ctx)
            return ast.Name(id=names[node.id], ctx=node.ctx)

        def generic_visit(self, node: ast.AST) -> ast.AST:
            fields = {
                field: [self.visit(each) if isinstance(each, ast.AST) else each for each in value]
                if isinstance(value, list)
                else self.visit(value)
                if isinstance(value, ast.AST)
                else value
                for field, value in ast.iter_fields(node)
            }
            return type(node)(**fields)

    return tuple(Variables().visit(node) for node in side)


def _in_order(change: Change, names: set[str]) -> Iterator[str]:
    met = [node.id for node in _walk(change.before) if isinstance(node, ast.Name)]
    return iter(dict.fromkeys(name for name in met if name in names))


def _holes(side: Syntax) -> set[str]:
    return set(_hole_names(side))


def _hole_names(side: Syntax) -> Iterator[str]:
    for node in _walk(side):
        for field, value in ast.iter_fields(node):
            named = isinstance(node, ast.Name) or (type(node), field) in _IDENTIFIERS
            if named and isinstance(value, str) and HOLE.match(value):
                yield value


def _is_hole(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and HOLE.match(node.id) is not None


def _walk(side: Syntax | Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Depth first, in the order of the text."""
    for node in side:
        yield node
        yield from _walk(list(ast.iter_child_nodes(node)))


def _text(side: Syntax) -> str:
    return "\n".join(ast.unparse(ast.fix_missing_locations(node)) for node in side)


def _dump(node: ast.AST) -> str:
    return re.sub(r"ctx=(Load|Store|Del)\(\)", "ctx=_", ast.dump(node))
