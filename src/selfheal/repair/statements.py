"""Statements that change places: what they depend on, and the lines that go with them."""

from __future__ import annotations

import ast
from typing import NamedTuple

from selfheal.repair.blocks import block_of
from selfheal.repair.edit import Splice
from selfheal.repair.loops import changed_in
from selfheal.repair.source import FUNCTIONS, Source, last_line, names_in

_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break, ast.Yield, ast.YieldFrom)


class Block(NamedTuple):
    """Two statements lifted to the block that holds both; `first` comes before `second`."""

    statements: list[ast.stmt]
    first: int
    second: int


def common_block(source: Source, one: ast.stmt, other: ast.stmt) -> Block | None:
    """The innermost block with both statements, or what holds them, in different places of it."""
    for outer in _lifted(source, one):
        block = block_of(source, outer)
        for candidate in _lifted(source, other):
            if candidate in block and candidate is not outer:
                places = sorted((block.index(outer), block.index(candidate)))
                return Block(block, places[0], places[1])
    return None


def _lifted(source: Source, statement: ast.stmt) -> list[ast.stmt]:
    """A statement and the compound statements around it, up to the function."""
    found = [statement]
    for each in source.ancestors(statement):
        if isinstance(each, (*FUNCTIONS, ast.ClassDef)):
            break
        if isinstance(each, ast.stmt):
            found.append(each)
    return found


def independent(one: ast.stmt, others: list[ast.stmt]) -> bool:
    """Whether a statement may trade places with others: neither reads what the other binds or changes.

    Bernstein's conditions ("Analysis of programs for parallel processing", 1966) over the
    names that are bound, or changed by a method or an item.
    """
    writes, reads = changed_in(one), names_in(one)
    for other in others:
        changed = changed_in(other)
        if writes & (changed | names_in(other)) or reads & changed:
            return False
    return True


def leaves(statements: list[ast.stmt]) -> bool:
    """Whether some statements may leave the block early."""
    return any(isinstance(node, _LEAVES) for each in statements for node in ast.walk(each))


def lines_of(source: Source, statement: ast.stmt) -> tuple[int, int] | None:
    """The offsets of a statement's lines with the comments right above it.

    None where it shares a line with other code.
    """
    start, stop = source.line_start(_first(statement)), source.next_line(statement)
    tail = source.text[source.span(statement)[1] : stop].strip()
    if not source.insertable(statement) or (tail and not tail.startswith("#")):
        return None
    line = _first(statement) - 1
    indent = source.indent(statement)
    while line > 0:
        above = source.text[source.line_start(line) : source.line_start(line + 1)]
        if not above.startswith(f"{indent}#"):
            break
        start = source.line_start(line)
        line -= 1
    return start, stop


def _first(statement: ast.stmt) -> int:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return min([statement.lineno, *(each.lineno for each in statement.decorator_list)])
    return statement.lineno


def moved_before(source: Source, statement: ast.stmt, anchor: ast.stmt) -> list[Splice] | None:
    """The lines of a statement before those of another one of the same block."""
    lines, target = lines_of(source, statement), lines_of(source, anchor)
    if lines is None or target is None:
        return None
    text = ended(source, source.text[slice(*lines)])
    return [
        Splice(path=source.path, start=target[0], stop=target[0], text=text),
        Splice(path=source.path, start=lines[0], stop=lines[1], text=""),
    ]


def moved_after(source: Source, statement: ast.stmt, anchor: ast.stmt) -> list[Splice] | None:
    """The lines of a statement after those of another one of the same block."""
    lines, target = lines_of(source, statement), lines_of(source, anchor)
    if lines is None or target is None or not source.text[: target[1]].endswith(("\n", "\r")):
        return None
    text = ended(source, source.text[slice(*lines)])
    return [
        Splice(path=source.path, start=target[1], stop=target[1], text=text),
        Splice(path=source.path, start=lines[0], stop=lines[1], text=""),
    ]


def ended(source: Source, text: str) -> str:
    """A text that ends with a new line."""
    return text if text.endswith(("\n", "\r")) else f"{text}{source.newline}"


def dropped(source: Source, statement: ast.stmt) -> Splice | None:
    """The lines of a statement taken out; ``pass`` in its place where the block had no other."""
    lines = lines_of(source, statement)
    if lines is None:
        return None
    if len(block_of(source, statement)) == 1:
        return source.replace(statement, "pass")
    return Splice(path=source.path, start=lines[0], stop=lines[1], text="")


def relocated(good: Source, statement: ast.stmt, indent: str, newline: str) -> str | None:
    """A statement's lines from another text, at a new indentation.

    None where it shares a line, or where a string runs over lines and the indentation differs.
    """
    lines = lines_of(good, statement)
    if lines is None:
        return None
    old = good.indent(statement)
    text = good.text[slice(*lines)]
    if old != indent and last_line(statement) > statement.lineno:
        long = any(
            isinstance(node, ast.Constant | ast.JoinedStr)
            and (node.end_lineno or node.lineno) > node.lineno
            for node in ast.walk(statement)
        )
        if long:
            return None
    moved = [
        indent + line.removeprefix(old) if line.strip() else line for line in text.splitlines()
    ]
    return "".join(f"{line}{newline}" for line in moved)
