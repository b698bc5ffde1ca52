"""What a report shows, independent of how: facts, tables, charts, texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

ColumnKind = Literal[
    "text", "count", "number", "ms", "share", "ratio", "time", "place", "trace", "grade", "trend"
]
ChartKind = Literal["bars", "heat", "lines", "graph", "lanes", "dumbbell", "scatter"]


@dataclass(frozen=True)
class Column:
    """One column of a table. `kind` says how its values are written and sorted.

    `place` is ``file:line``, `trace` a trace id, `grade` a severity or a verdict, `trend`
    a list of numbers.
    """

    key: str
    title: str
    kind: ColumnKind = "text"


@dataclass(frozen=True)
class Facts:
    """The few figures that come first: (label, text)."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """Rows by column key. `name` identifies it for exports and tests."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    note: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        title: str,
        columns: Sequence[Column],
        items: Iterable[BaseModel],
        note: str = "",
    ) -> Table:
        """A table of models: their fields and properties that the columns name."""
        rows = [{column.key: getattr(item, column.key) for column in columns} for item in items]
        return cls(name, title, columns, rows, note)


@dataclass(frozen=True)
class Chart:
    """A picture of `data`, whose shape goes with `kind` (see page/charts.js). HTML only."""

    kind: ChartKind
    name: str
    title: str
    data: Mapping[str, Any]
    note: str = ""


@dataclass(frozen=True)
class Code:
    """A text in a fixed-width font, such as a program or a diagram's source."""

    name: str
    title: str
    text: str


@dataclass(frozen=True)
class Chapter:
    """A heading with what belongs under it."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
    note: str = ""


Block = Facts | Table | Chart | Code | Chapter


def flat(blocks: Iterable[Block]) -> Iterable[Block]:
    """All blocks in order, those of chapters after their chapter."""
    for block in blocks:
        yield block
        if isinstance(block, Chapter):
            yield from flat(block.blocks)
