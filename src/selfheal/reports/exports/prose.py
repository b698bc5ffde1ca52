"""A report as Markdown, for a repository's own documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from selfheal.reports.blocks import Block, Chapter, Code, Facts, Table
from selfheal.reports.model import Report
from selfheal.reports.text import NUMERIC, cell


def markdown(report: Report) -> str:
    """Headings, lists and pipe tables; charts are left out."""
    lines = [f"# {report.TITLE}", "", report.QUESTION]
    if report.empty:
        lines += ["", f"Nothing to show: {report.empty}."]
    else:
        lines += _lines(report.blocks(), 2)
    if report.notes:
        lines += ["", *(f"- {_safe(note)}" for note in report.notes)]
    return "\n".join(lines)


def _lines(blocks: Iterable[Block], level: int) -> Iterator[str]:
    for block in blocks:
        match block:
            case Facts():
                yield ""
                yield from (f"- {_safe(label)}: {_safe(text)}" for label, text in block.items)
            case Table():
                yield from ("", f"{'#' * level} {_safe(block.title)}", "")
                yield from _table(block)
            case Code():
                yield from ("", f"{'#' * level} {_safe(block.title)}", "")
                yield from ("```", block.text.rstrip().replace("```", "'''"), "```")
            case Chapter():
                yield from ("", f"{'#' * level} {_safe(block.title)}")
                if block.note:
                    yield from ("", _safe(block.note))
                yield from _lines(block.blocks, level + 1)


def _table(table: Table) -> Iterator[str]:
    if table.note:
        yield from (_safe(table.note), "")
    if not table.rows:
        yield "none"
        return
    yield f"| {' | '.join(_safe(column.title) for column in table.columns)} |"
    marks = ("---:" if column.kind in NUMERIC else "---" for column in table.columns)
    yield f"| {' | '.join(marks)} |"
    for row in table.rows:
        cells = (_safe(cell(row.get(column.key), column.kind)) for column in table.columns)
        yield f"| {' | '.join(cells)} |"


def _safe(text: str) -> str:
    """Text that neither opens HTML nor ends a cell."""
    plain = " ".join(text.split())
    for mark, shown in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("`", "\\`"), ("*", "\\*")):
        plain = plain.replace(mark, shown)
    return plain
