"""Whole statements as text: taken out, moved, set at another indentation."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from selfheal.repair.edit import Splice
from selfheal.repair.source import FUNCTIONS, Source, first_line


def movable(source: Source, statement: ast.stmt) -> bool:
    """Whether a statement, no definition, has its lines for itself."""
    if isinstance(statement, (*FUNCTIONS, ast.ClassDef)) or not source.insertable(statement):
        return False
    stop = source.span(statement)[1]
    rest = source.text[stop : source.next_line(statement)].strip()
    return not rest or rest.startswith("#")


def guarded_alone(source: Source, statement: ast.stmt, block: Sequence[ast.stmt]) -> bool:
    """Whether a statement is all that a ``try`` tries: without it the handlers are dead."""
    parent = source.parent(statement)
    return isinstance(parent, ast.Try) and len(block) == 1 and block[0] is parent.body[0]


def extent(source: Source, statements: Sequence[ast.stmt]) -> tuple[int, int]:
    """From the first line of the first to the end of the last line of the last."""
    first = statements[0]
    line = first_line(first) if isinstance(first, FUNCTIONS) else first.lineno
    return source.line_start(line), source.next_line(statements[-1])


def text_of(source: Source, statements: Sequence[ast.stmt]) -> str:
    """Their lines, each with its end."""
    start, stop = extent(source, statements)
    text = source.text[start:stop]
    return text if text.endswith(("\n", "\r")) else text + source.newline


def removal(source: Source, statements: Sequence[ast.stmt], block: Sequence[ast.stmt]) -> Splice:
    """Takes statements out; ``pass`` stays where a block would be empty."""
    start, stop = extent(source, statements)
    left = ""
    if len(statements) == len(block):
        left = f"{source.indent(statements[0])}pass{source.newline}"
    return Splice(path=source.path, start=start, stop=stop, text=left)


def insertion(source: Source, after: ast.stmt, text: str) -> Splice:
    """Whole lines after a statement."""
    start = source.next_line(after)
    if start and source.text[start - 1] not in "\r\n":
        text = source.newline + text
    return Splice(path=source.path, start=start, stop=start, text=text)


def reindented(source: Source, statements: Sequence[ast.stmt], indent: str) -> str:
    """Their lines at another indentation; lines inside of strings stay as they are."""
    old = source.indent(statements[0])
    first, last = statements[0].lineno, statements[-1].end_lineno or statements[-1].lineno
    if isinstance(statements[0], FUNCTIONS):
        first = first_line(statements[0])
    found = []
    for line in range(first, last + 1):
        start, stop = source.line_start(line), source.line_start(line + 1)
        text = source.text[start : stop if line < source.lines else len(source.text)]
        if line not in source.string_lines and text.startswith(old) and text.strip():
            text = indent + text[len(old) :]
        found.append(text)
    whole = "".join(found)
    return whole if whole.endswith(("\n", "\r")) else whole + source.newline


def around(source: Source, statement: ast.stmt) -> ast.stmt | None:
    """The compound statement, no function or class, whose block holds a statement."""
    parent = source.parent(statement)
    if isinstance(parent, ast.ExceptHandler):
        parent = source.parent(parent)
    compound = ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try
    return parent if isinstance(parent, compound) else None


def last_blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks whose ends are the end of a compound statement, outermost first."""
    found: list[list[ast.stmt]] = []
    current: ast.stmt | None = statement
    while isinstance(current, ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.Try):
        block = list(getattr(current, "finalbody", []) or getattr(current, "orelse", []))
        if not block and isinstance(current, ast.Try):
            block = list(current.handlers[-1].body)
        block = block or list(current.body)
        found.append(block)
        current = block[-1]
    return found
