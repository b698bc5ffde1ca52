"""Statements in their block: what stands before and after, lines taken out, lines moved in."""

from __future__ import annotations

import ast

from selfheal.repair.edit import Splice
from selfheal.repair.source import FUNCTIONS, Function, Source, blocks_of, last_line


def first_statement(source: Source, function: Function) -> ast.stmt | None:
    """The statement before which preparation stands: the first after the docstring, on its own line."""
    body = function.body
    documented = (
        isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    )
    rest = body[1:] if documented else body
    rest = [each for each in rest if not isinstance(each, ast.Global | ast.Nonlocal)]
    return rest[0] if rest and source.insertable(rest[0]) else None


def block_of(source: Source, statement: ast.stmt) -> list[ast.stmt]:
    """The statements of the block that a statement stands in."""
    parent = source.parent(statement)
    for block in blocks_of(parent) if parent is not None else ():
        if statement in block:
            return block
    return [statement]


def following(source: Source, statement: ast.stmt) -> list[ast.stmt]:
    """The statements of the same block after a statement."""
    block = block_of(source, statement)
    return block[block.index(statement) + 1 :]


def removed_lines(source: Source, statement: ast.stmt) -> Splice | None:
    """The lines of a statement taken out; None where it shares them with other code."""
    start, stop = source.line_start(statement.lineno), source.next_line(statement)
    rest = source.text[source.span(statement)[1] : stop].strip()
    if not source.starts_line(statement) or (rest and not rest.startswith("#")):
        return None
    return Splice(path=source.path, start=start, stop=stop, text="")


def replaced_lines(source: Source, statement: ast.stmt, lines: list[str]) -> Splice | None:
    """The lines of a statement replaced by others at its indentation."""
    removed = removed_lines(source, statement)
    if removed is None:
        return None
    indent, end = source.indent(statement), source.newline
    text = "".join(f"{indent}{line}{end}" for line in lines)
    if not source.text[removed.start : removed.stop].endswith(("\n", "\r")):
        text = text.removesuffix(end)
    return removed.model_copy(update={"text": text})


def enclosed(
    source: Source, body: list[ast.stmt], head: list[str], tail: list[str] | None = None
) -> list[Splice] | None:
    """Consecutive statements one level in, `head` before them and `tail` after.

    None where one of them shares its line with other code.
    """
    first, last = body[0], body[-1]
    if not all(source.insertable(each) for each in body):
        return None
    tailed = source.text[source.span(last)[1] : source.next_line(last)].strip()
    if tailed and not tailed.startswith("#"):
        return None
    start = first.lineno
    if isinstance(first, (*FUNCTIONS, ast.ClassDef)):
        start = min([first.lineno, *(each.lineno for each in first.decorator_list)])
    splices = [
        source.insert_before(first, head),
        *source.indented_lines(start, last_line(last)),
    ]
    if tail:
        splices.append(source.insert_after(last, tail, indent=source.indent(first)))
    return splices


def uses(nodes: list[ast.stmt], name: str) -> bool:
    """Whether some statements mention a name."""
    return any(
        isinstance(each, ast.Name) and each.id == name for node in nodes for each in ast.walk(node)
    )
