"""Heatmap: operations × time, with executions and latencies, down to traces and source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Chart, Column, Facts, Table
from selfheal.reports.model import Options, Report
from selfheal.reports.source import NO_SPANS, Source
from selfheal.reports.text import milliseconds
from selfheal.reports.times import Buckets, buckets
from selfheal.reports.waterfall import place_of, waterfalls
from selfheal.telemetry.statistics import iso, significant

COLUMNS = 60
TRACES_OF_CELL = 3

_FIGURES = """count(*)::BIGINT AS executions,
    count(*) FILTER (status = 'error' OR coalesce(http_status, 0) >= 500)::BIGINT AS errors,
    min(duration_ms) AS min_ms, avg(duration_ms) AS avg_ms,
    quantile_cont(duration_ms, 0.5) AS p50_ms, quantile_cont(duration_ms, 0.95) AS p95_ms,
    quantile_cont(duration_ms, 0.99) AS p99_ms, max(duration_ms) AS max_ms,
    sum(duration_ms) AS total_ms"""
_TIMED = """
    SELECT *, coalesce(service, 'unknown') AS of_service FROM spans
    WHERE start_ns BETWEEN $start AND $end AND duration_ms IS NOT NULL
        AND ($release IS NULL OR release = $release)
"""
_OPERATIONS = f"""
SELECT of_service AS service, operation, {_FIGURES} FROM ({_TIMED})
GROUP BY ALL ORDER BY total_ms DESC, service, operation
"""
_CELLS = f"""
CREATE OR REPLACE TEMP TABLE shown AS
SELECT row, ((start_ns - $origin) // $width)::INTEGER AS bucket, start_ns, duration_ms, status,
    http_status, {{more}}
FROM ({_TIMED}) JOIN (
    SELECT unnest($services) AS of_service, unnest($operations) AS operation,
        unnest($rows) AS row
) USING (of_service, operation)
"""
_FIGURES_OF_CELLS = f"""
SELECT row, bucket, {_FIGURES} FROM shown GROUP BY row, bucket ORDER BY row, bucket
"""
_OF_SLOWEST = "trace_id, release, code_file, code_line, code_function, source, line"
# Of equally slow ones the later, so that every engine shows the same.
_SLOWEST = f"""
WITH slowest AS (
    SELECT row, bucket, unnest(max(struct_pack(duration_ms, start_ns, id), $most)).id AS id
    FROM shown GROUP BY row, bucket
)
SELECT row, bucket, duration_ms, start_ns, status, {_OF_SLOWEST}
FROM slowest JOIN spans USING (id) ORDER BY row, bucket, duration_ms DESC, start_ns DESC, id DESC
"""
# The same where rows have no numbers and there is no maximum of several.
_SLOWEST_BY_RANK = f"""
SELECT row, bucket, duration_ms, start_ns, status, {_OF_SLOWEST} FROM (
    SELECT *, row_number() OVER (PARTITION BY row, bucket
        ORDER BY duration_ms DESC, start_ns DESC, trace_id DESC, span_id DESC) AS place
    FROM shown
) WHERE place <= $most ORDER BY row, bucket, place
"""


class Operation(Model):
    """All executions of an operation; ms. `trend` is its P95 by column of the map."""

    service: str
    operation: str
    executions: int
    errors: int
    min_ms: float
    avg_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    total_ms: float
    trend: list[float | None] = Field(default_factory=list)


class Cell(Model):
    """One operation in one column of time; `row` and `column` are indices."""

    row: int
    column: int
    executions: int
    errors: int
    min_ms: float
    avg_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    total_ms: float


class SlowTrace(Model):
    """One of the slowest executions of a cell. `recorded` is where telemetry has the span."""

    row: int
    column: int
    trace_id: str
    lasts_ms: float
    status: str
    release: str | None
    began: str
    place: str | None
    recorded: str


class Heatmap(Report):
    """`operations` are the most costly by total time; `columns` ISO 8601 UTC."""

    TITLE: ClassVar[str] = "Performance heatmap"
    QUESTION: ClassVar[str] = "Which operations cost how much, and when?"

    operations: list[Operation] = Field(default_factory=list)
    others: int = 0
    columns: list[str] = Field(default_factory=list)
    width: str = ""
    cells: list[Cell] = Field(default_factory=list)
    slowest: list[SlowTrace] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        total = sum(one.executions for one in self.operations)
        spent = sum(one.total_ms for one in self.operations)
        return [
            Facts(
                [
                    (
                        "operations",
                        f"{len(self.operations)} of {len(self.operations) + self.others}",
                    ),
                    ("executions", f"{total:,}"),
                    ("time in them", milliseconds(spent)),
                    ("a column is", self.width),
                ]
            ),
            self._map(),
            Table.of(
                "operations",
                f"Top {len(self.operations)} operations by total time",
                (Column("operation", "operation"), Column("service", "service"), *_COLUMNS),
                self.operations,
            ),
        ]

    def _map(self) -> Chart:
        several = len({one.service for one in self.operations}) > 1
        labels = [f"{one.service} {one.operation}" if several else one.operation
                  for one in self.operations]  # fmt: skip
        return Chart(
            "heat",
            "map",
            "Operations × time",
            {
                "x": [_clock(moment) for moment in self.columns],
                "y": labels,
                "measures": [
                    {"key": column.key, "title": column.title, "kind": column.kind}
                    for column in (_COLUMNS[5], *_COLUMNS[:5], *_COLUMNS[6:-1])
                ],
                "cells": [
                    {"x": cell.column, "y": cell.row, **cell.model_dump(exclude={"row", "column"})}
                    for cell in self.cells
                ],
                "drill": {
                    "columns": [
                        {"key": column.key, "title": column.title, "kind": column.kind}
                        for column in _DRILL
                    ],
                    "rows": [
                        {"x": one.column, "y": one.row, **one.model_dump(exclude={"row", "column"})}
                        for one in self.slowest
                    ],
                },
            },
            "A click on a field shows its slowest traces.",
        )


_COLUMNS = (
    Column("executions", "executions", "count"),
    Column("errors", "errors", "count"),
    Column("min_ms", "min", "ms"),
    Column("avg_ms", "avg", "ms"),
    Column("p50_ms", "P50", "ms"),
    Column("p95_ms", "P95", "ms"),
    Column("p99_ms", "P99", "ms"),
    Column("max_ms", "max", "ms"),
    Column("total_ms", "total", "ms"),
    Column("trend", "P95 over time", "trend"),
)
_DRILL = (
    Column("trace_id", "trace", "trace"),
    Column("lasts_ms", "takes", "ms"),
    Column("status", "status"),
    Column("release", "release"),
    Column("began", "began"),
    Column("place", "code", "place"),
    Column("recorded", "recorded at", "place"),
)


def build(source: Source, options: Options) -> Heatmap:
    """The heatmap of the most costly operations, `options.top` of them."""
    empty = Heatmap(report="heatmap", run_id=source.run_id, empty=NO_SPANS)
    columns = buckets(source, options, COLUMNS)
    if columns is None:
        return empty
    scope = {"start": columns.start, "end": columns.end, "release": options.release}
    everything = source.rows(_OPERATIONS, scope)
    if not everything:
        return empty
    top, remote = everything[: options.top], source.dataset.remote is not None
    source.connection.execute(
        _CELLS.format(more=f"span_id, {_OF_SLOWEST}" if remote else "id"),
        scope
        | {"origin": columns.origin, "width": columns.width_ns}
        | {
            "services": [row["service"] for row in top],
            "operations": [row["operation"] for row in top],
            "rows": list(range(len(top))),
        },
    )
    cells = [_cell(row) for row in source.rows(_FIGURES_OF_CELLS)]
    statement = _SLOWEST_BY_RANK if remote else _SLOWEST
    slowest = [_slow(source, row) for row in source.rows(statement, {"most": TRACES_OF_CELL})]
    return Heatmap(
        report="heatmap",
        run_id=source.run_id,
        operations=[
            Operation(**_rounded(row), trend=_trend(cells, index, columns))
            for index, row in enumerate(top)
        ],
        others=len(everything) - len(top),
        columns=[iso(moment) or "" for moment in columns.starts],
        width=columns.width,
        cells=cells,
        slowest=slowest,
        notes=_notes(len(everything) - len(top), source),
        traces=waterfalls(
            source,
            [one.trace_id for one in sorted(slowest, key=lambda one: -one.lasts_ms)],
        ),
    )


def _notes(others: int, source: Source) -> list[str]:
    untimed = source.rows("SELECT count(*) AS n FROM spans WHERE duration_ms IS NULL")[0]["n"]
    notes = ["Percentiles are exact, with linear interpolation; durations include what is called."]
    if others:
        notes.append(f"{others} operations with less total time are not shown (--top).")
    if untimed:
        notes.append(f"{untimed} spans without usable times are left out.")
    return notes


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: significant(value) if name.endswith("_ms") else value for name, value in row.items()
    }


def _cell(row: dict[str, Any]) -> Cell:
    return Cell(column=row.pop("bucket"), **_rounded(row))


def _slow(source: Source, row: dict[str, Any]) -> SlowTrace:
    return SlowTrace(
        row=row["row"],
        column=row["bucket"],
        trace_id=row["trace_id"],
        lasts_ms=significant(row["duration_ms"]),
        status=row["status"],
        release=row["release"],
        began=iso(row["start_ns"]) or "",
        place=place_of(source, row),
        recorded=source.origin(row["source"], row["line"]),
    )


def _trend(cells: Sequence[Cell], row: int, columns: Buckets) -> list[float | None]:
    found = {cell.column: cell.p95_ms for cell in cells if cell.row == row}
    return [found.get(index) for index in range(columns.number)]


def _clock(moment: str) -> str:
    """The time of day with what a column's width needs; the date is in the JSON."""
    return moment[11:23].removesuffix(".000")
