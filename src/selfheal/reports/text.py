"""A report as text for a terminal. Charts are left out: their figures stand in the tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from selfheal.reports.blocks import Block, Chapter, Chart, Code, Column, ColumnKind, Facts, Table
from selfheal.reports.model import Report

SPARKS = "▁▂▃▄▅▆▇█"
NUMERIC: frozenset[ColumnKind] = frozenset({"count", "number", "ms", "share", "ratio"})
MAXIMUM_CELL = 72


def render(report: Report, *, rows: int = 20) -> str:
    """The text. The longest tables are cut to `rows`, and say so."""
    parts = [f"{report.TITLE}  ·  run {report.run_id}"]
    if report.empty:
        parts.append(f"nothing to show: {report.empty}")
    else:
        parts += _texts(report.blocks(), rows)
    if report.notes:
        parts.append("\n".join(f"note: {note}" for note in report.notes))
    return "\n\n".join(part for part in parts if part)


def _texts(blocks: Iterable[Block], rows: int) -> Iterable[str]:
    for block in blocks:
        match block:
            case Facts():
                width = max((len(label) for label, _ in block.items), default=0)
                yield "\n".join(f"{label:<{width}}  {text}" for label, text in block.items)
            case Table():
                yield _table(block, rows)
            case Code():
                yield f"{block.title}\n\n{block.text.rstrip()}"
            case Chapter():
                heading = f"== {block.title} =="
                yield "\n".join(part for part in (heading, block.note) if part)
                yield from _texts(block.blocks, rows)
            case Chart():
                pass


def _table(table: Table, shown: int) -> str:
    lines = [table.title]
    if table.note:
        lines.append(table.note)
    if not table.rows:
        return "\n".join([*lines, "  none"])
    cells = [
        [cell(row.get(column.key), column.kind) for column in table.columns]
        for row in table.rows[:shown]
    ]
    lines += _aligned(table.columns, cells)
    hidden = len(table.rows) - shown
    if hidden > 0:
        lines.append(f"  … and {hidden} more (--top {len(table.rows)}, or --format csv)")
    return "\n".join(lines)


def _aligned(columns: Sequence[Column], cells: list[list[str]]) -> list[str]:
    titles = [column.title.upper() for column in columns]
    widths = [
        max(len(title), *(len(row[index]) for row in cells)) for index, title in enumerate(titles)
    ]
    return [
        "  "
        + "  ".join(
            text.rjust(width) if column.kind in NUMERIC else text.ljust(width)
            for text, width, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in [titles, *cells]
    ]


def cell(value: Any, kind: ColumnKind) -> str:
    """One value as people read it; nothing measured is a dash."""
    if value is None or value in ("", []):
        return "–"
    match kind:
        case "ms":
            return milliseconds(float(value))
        case "share":
            return f"{value:.1%}"
        case "ratio":
            return f"×{value:.2f}"
        case "number":
            return f"{value:.4g}"
        case "count":
            return f"{value:,}"
        case "trend":
            return spark(value)
        case _:
            return _short(value)


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= MAXIMUM_CELL else text[: MAXIMUM_CELL - 1] + "…"


def milliseconds(value: float) -> str:
    """A duration with a unit that keeps it short."""
    if value >= 60_000:
        return f"{value / 60_000:.1f} min"
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    if value >= 1 or value == 0:
        return f"{value:.2f} ms"
    return f"{value * 1000:.0f} µs"


def spark(values: Sequence[float | None]) -> str:
    """Numbers as a line of bars; a gap where nothing was measured."""
    top = max((value for value in values if value), default=0)
    steps = len(SPARKS) - 1
    return "".join(
        "·" if value is None else SPARKS[round(value / top * steps) if top else 0]
        for value in values
    )
