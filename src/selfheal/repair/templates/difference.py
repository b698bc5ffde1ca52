"""The smallest changes between two versions of a file, as pairs of syntax.

Functions are compared by their qualified names. Within one, a change is narrowed down to
the innermost expression or run of statements in which both versions differ, as the
tree-differencing of Getafix does before it generalises (Bader et al., OOPSLA 2019, §3).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from selfheal.repair.source import FUNCTIONS, Function

LARGEST = 120


class Change(NamedTuple):
    """`before` became `after` in `function`: one expression each, or runs of statements.

    `line` is the first changed line of the old version. An insertion has the statement
    that follows it (or, at the end of a block, the one before it) on both sides.
    """

    function: str
    line: int
    before: tuple[ast.expr, ...] | tuple[ast.stmt, ...]
    after: tuple[ast.expr, ...] | tuple[ast.stmt, ...]

    @property
    def of_expressions(self) -> bool:
        return isinstance(self.before[0], ast.expr)


def changes_between(before: str, after: str, *, context: int = 1) -> list[Change]:
    """The changes of functions that both versions have, in the order of the old version.

    `context` is by how many enclosing expressions a changed expression is widened, for an
    operand alone says little. Changes of more than `LARGEST` nodes are left out. Raises
    SyntaxError where a version is no Python.
    """
    old, new = functions_by_name(ast.parse(before)), functions_by_name(ast.parse(after))
    found: list[Change] = []
    for name, function in old.items():
        other = new.get(name)
        if other is None or ast.dump(function) == ast.dump(other):
            continue
        for pair in _differing(function, other, context):
            size = sum(1 for node in (*pair.before, *pair.after) for _ in ast.walk(node))
            if size <= LARGEST:
                found.append(Change(name, pair.line, pair.before, pair.after))  # type: ignore[arg-type]
    return found


def functions_by_name(tree: ast.Module) -> dict[str, Function]:
    """The functions by qualified name; those inside of functions belong to the outer one."""
    found: dict[str, Function] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, FUNCTIONS):
                found[prefix + node.name] = node
            elif isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")

    visit(tree.body, "")
    return found


class _Pair(NamedTuple):
    """`wider`: by how many enclosing expressions it may still be widened."""

    before: tuple[ast.AST, ...]
    after: tuple[ast.AST, ...]
    line: int
    wider: int


def _differing(one: ast.AST, two: ast.AST, context: int) -> list[_Pair]:
    """The changed pairs below two nodes of one type; none where the nodes themselves differ."""
    if type(one) is not type(two):
        return []
    pairs: list[_Pair] = []
    for name in one._fields:
        mine, other = getattr(one, name, None), getattr(two, name, None)
        if name in ("ctx", "type_comment", "kind") or _same(mine, other):
            continue
        found = list(_field(mine, other, context))
        if not found:
            return []
        pairs += found
    if isinstance(one, ast.expr) and isinstance(two, ast.expr):
        if len(pairs) > 1:
            return [_Pair((one,), (two,), one.lineno, 0)]
        return [_widened(one, two, pair) for pair in pairs]
    return pairs


def _field(mine: object, other: object, context: int) -> Iterator[_Pair]:
    if isinstance(mine, list) and isinstance(other, list):
        if mine and isinstance(mine[0], ast.stmt) and other:
            yield from _statements(mine, other, context)
        elif len(mine) == len(other):
            for one, two in zip(mine, other, strict=True):
                if not _same(one, two):
                    yield from _node(one, two, context)
    elif isinstance(mine, ast.AST) and isinstance(other, ast.AST):
        yield from _node(mine, other, context)


def _node(one: object, two: object, context: int) -> Iterator[_Pair]:
    if not isinstance(one, ast.AST) or not isinstance(two, ast.AST):
        return
    inner = _differing(one, two, context)
    if inner:
        yield from inner
    elif isinstance(one, ast.expr) and isinstance(two, ast.expr):
        yield _Pair((one,), (two,), one.lineno, context)


def _statements(mine: list[ast.stmt], other: list[ast.stmt], context: int) -> Iterator[_Pair]:
    """Blocks are cut where they are alike at both ends; what is left is one change."""
    head = 0
    while head < min(len(mine), len(other)) and _same(mine[head], other[head]):
        head += 1
    tail = 0
    while tail < min(len(mine), len(other)) - head and _same(mine[-1 - tail], other[-1 - tail]):
        tail += 1
    one, two = mine[head : len(mine) - tail], other[head : len(other) - tail]
    if len(one) == len(two) == 1:
        inner = _differing(one[0], two[0], context)
        if inner:
            yield from inner
            return
    line = (one or mine[head : head + 1] or mine[-1:])[0].lineno
    if not one or not two:
        if tail:
            kept = mine[len(mine) - tail]
            one, two = [*one, kept], [*two, kept]
        else:
            kept = mine[head - 1]
            one, two = [kept, *one], [kept, *two]
    yield _Pair(tuple(one), tuple(two), line, 0)


def _widened(one: ast.expr, two: ast.expr, pair: _Pair) -> _Pair:
    """A changed expression with the expression around it, where that is not too large."""
    small = sum(1 for _ in ast.walk(one)) <= LARGEST // 4
    if not pair.wider or not small or not isinstance(pair.before[0], ast.expr):
        return pair
    return _Pair((one,), (two,), pair.line, pair.wider - 1)


def _same(one: object, two: object) -> bool:
    if isinstance(one, ast.AST) and isinstance(two, ast.AST):
        return ast.dump(one) == ast.dump(two)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_same, one, two))
    return type(one) is type(two) and one == two
