"""Profiler: where the time goes, by operation and by path of calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Chart, Column, Facts, Table
from selfheal.reports.lanes import lanes_data
from selfheal.reports.model import Bar, Lane, Options, Report
from selfheal.reports.source import NO_SPANS, Source
from selfheal.reports.text import milliseconds
from selfheal.reports.waterfall import waterfalls
from selfheal.telemetry.statistics import significant

DEPTH = 64
SMALLEST_SHARE = 0.001

_SCOPE = """
    SELECT *, coalesce(service, 'unknown') AS of_service FROM {spans}
    WHERE duration_ms IS NOT NULL AND ($release IS NULL OR release = $release)
"""
_HOTSPOTS = """
SELECT of_service AS service, operation, count(*)::BIGINT AS executions,
    sum(duration_ms) AS total_ms, sum(own_ms) AS own_ms, avg(own_ms) AS avg_own_ms,
    quantile_cont(own_ms, 0.95) AS p95_own_ms, max(own_ms) AS max_own_ms,
    mode(code_file) AS code_file, min(code_line) AS code_line, mode(code_function) AS code_function,
    arg_max(trace_id, own_ms) AS slowest
FROM ({scope}) GROUP BY of_service, operation
ORDER BY own_ms DESC, service, operation
"""
# A path of calls is named by a hash over its operations from the root down. Spans whose
# parent is not in the telemetry are roots.
_PATHS = """
WITH RECURSIVE timed AS (
    SELECT trace_id, span_id, parent_span_id, of_service, operation, duration_ms, own_ms
    FROM ({scope})
), roots AS (
    SELECT t.* FROM timed AS t LEFT JOIN timed AS p
        ON t.trace_id = p.trace_id AND t.parent_span_id = p.span_id
    WHERE p.span_id IS NULL
), tree AS (
    SELECT trace_id, span_id, of_service, operation, duration_ms, own_ms, 0::UBIGINT AS above,
        hash(0::UBIGINT, of_service, operation) AS path, 0 AS depth
    FROM roots
    UNION ALL
    SELECT c.trace_id, c.span_id, c.of_service, c.operation, c.duration_ms, c.own_ms, t.path,
        hash(t.path, c.of_service, c.operation), t.depth + 1
    FROM timed AS c JOIN tree AS t ON c.trace_id = t.trace_id AND c.parent_span_id = t.span_id
    WHERE t.depth < $deepest
)
SELECT path, above, depth, any_value(of_service) AS service, any_value(operation) AS operation,
    count(*)::BIGINT AS executions, sum(duration_ms) AS total_ms, sum(own_ms) AS own_ms
FROM tree GROUP BY path, above, depth ORDER BY depth, total_ms DESC, service, operation
"""


class Hotspot(Model):
    """An operation: `own_ms` is time that no child span covers, `share` its part of all own time."""

    service: str
    operation: str
    executions: int
    total_ms: float
    own_ms: float
    avg_own_ms: float
    p95_own_ms: float
    max_own_ms: float
    share: float
    place: str | None
    function: str | None
    slowest: str


class CallPath(Model):
    """All executions of an operation below the same callers; `calls` are what it calls."""

    service: str
    operation: str
    executions: int
    total_ms: float
    own_ms: float
    calls: list[CallPath] = Field(default_factory=list)


class Profile(Report):
    TITLE: ClassVar[str] = "Profiler"
    QUESTION: ClassVar[str] = "Where does the time go?"

    hotspots: list[Hotspot] = Field(default_factory=list)
    own_ms: float = 0.0
    paths: list[CallPath] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        shown = self.hotspots[:20]
        first = self.hotspots[0]
        lanes, bars = self.lanes_and_bars()
        lasts = max((bar.at_ms + bar.lasts_ms for bar in bars), default=0.0)
        return [
            Facts(
                [
                    ("time measured", milliseconds(self.own_ms)),
                    ("operations", f"{len(self.hotspots)}"),
                    ("hottest", f"{first.operation}, {first.share:.1%} of it"),
                ]
            ),
            Chart(
                "bars",
                "hottest",
                "Hotspots: own time and time in what is called",
                {
                    "labels": [f"{one.operation}" for one in shown],
                    "unit": "ms",
                    "stacked": True,
                    "series": [
                        {"name": "own", "values": [one.own_ms for one in shown]},
                        {
                            "name": "in what it calls",
                            "values": [
                                significant(max(one.total_ms - one.own_ms, 0)) for one in shown
                            ],
                        },
                    ],
                },
            ),
            Chart(
                "lanes",
                "paths",
                "Paths of calls",
                lanes_data(lanes, bars, [], lasts_ms=lasts, zoom="in") | {"aggregate": True},
                "Each row is one call deeper; the width is the total time of all executions. "
                "A click zooms in, a double click out.",
            ),
            Table.of("hotspots", "Operations by own time", _COLUMNS, self.hotspots),
        ]

    def lanes_and_bars(self) -> tuple[list[Lane], list[Bar]]:
        """The paths laid out side by side, as if run one after the other."""
        lane = Lane(service="all traces")
        places = {(one.service, one.operation): one.place for one in self.hotspots}
        return [lane], list(_laid_out(self.paths, 0.0, 1.0, 0, places))


_COLUMNS = (
    Column("operation", "operation"),
    Column("service", "service"),
    Column("executions", "executions", "count"),
    Column("own_ms", "own", "ms"),
    Column("share", "share", "share"),
    Column("avg_own_ms", "avg own", "ms"),
    Column("p95_own_ms", "P95 own", "ms"),
    Column("max_own_ms", "max own", "ms"),
    Column("total_ms", "total", "ms"),
    Column("place", "code", "place"),
    Column("slowest", "slowest", "trace"),
)


def _laid_out(
    paths: Sequence[CallPath],
    at: float,
    scale: float,
    depth: int,
    places: Mapping[tuple[str, str], str | None],
) -> Iterator[Bar]:
    for path in paths:
        lasts = path.total_ms * scale
        yield Bar(
            lane=0,
            slot=0,
            depth=depth,
            at_ms=at,
            lasts_ms=lasts,
            own_ms=path.own_ms,
            name=path.operation,
            status="unset",
            trace_id="",
            span_id="",
            place=places.get((path.service, path.operation)),
        )
        # Calls that ran at the same time are longer together than their caller.
        below = sum(call.total_ms for call in path.calls)
        inner = scale * min(1.0, path.total_ms / below) if below else scale
        yield from _laid_out(path.calls, at, inner, depth + 1, places)
        at += lasts


def build(source: Source, options: Options) -> Profile:
    """The profile of all traces, or of one release's."""
    scope = _SCOPE.format(spans=source.with_own_times())
    asked = {"release": options.release}
    rows = source.rows(_HOTSPOTS.format(scope=scope), asked)
    if not rows:
        return Profile(report="profiler", run_id=source.run_id, empty=NO_SPANS)
    everything = sum(row["own_ms"] for row in rows)
    paths = source.rows(_PATHS.format(scope=scope), asked | {"deepest": DEPTH})
    hotspots = [_hotspot(source, row, everything) for row in rows]
    roots, hidden = _tree(paths, everything * SMALLEST_SHARE)
    notes = [
        "Own time is a span's duration less the union of its children's; it includes waiting "
        "for what has no span.",
    ]
    if hidden:
        notes.append(
            f"{hidden} paths with less than {SMALLEST_SHARE:.1%} of the time are not drawn."
        )
    return Profile(
        report="profiler",
        run_id=source.run_id,
        hotspots=hotspots,
        own_ms=significant(everything),
        paths=roots,
        notes=notes,
        traces=waterfalls(source, [one.slowest for one in hotspots[: options.top]]),
    )


def _hotspot(source: Source, row: dict[str, Any], everything: float) -> Hotspot:
    place = source.place(row.pop("code_file"), row.pop("code_line"), row.pop("code_function"))
    share = row["own_ms"] / everything if everything else 0.0
    figures = {
        name: significant(value) if name.endswith("_ms") else value for name, value in row.items()
    }
    return Hotspot(
        **figures,
        share=significant(share),
        place=str(place) if place else None,
        function=place.function if place else None,
    )


def _tree(rows: Sequence[Mapping[str, Any]], smallest: float) -> tuple[list[CallPath], int]:
    """The paths as trees, and how many are too small to be drawn."""
    roots: list[CallPath] = []
    found: dict[int, CallPath] = {}
    for row in rows:
        if row["total_ms"] < smallest or (row["depth"] and row["above"] not in found):
            continue
        path = CallPath(
            service=row["service"],
            operation=row["operation"],
            executions=row["executions"],
            total_ms=significant(row["total_ms"]),
            own_ms=significant(row["own_ms"]),
        )
        found[row["path"]] = path
        (found[row["above"]].calls if row["depth"] else roots).append(path)
    return roots, len(rows) - len(found)
