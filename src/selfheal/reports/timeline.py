"""Timeline: span by span on lanes, with what is idle apart from work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Chart, Column, Facts, Table
from selfheal.reports.lanes import LANE, Idle, lane_of, lanes_data
from selfheal.reports.model import Bar, Lane, Options, Report
from selfheal.reports.source import NO_SPANS, Source, ns_of
from selfheal.reports.text import milliseconds
from selfheal.reports.times import buckets
from selfheal.reports.waterfall import laid_out
from selfheal.telemetry.statistics import iso, significant

SPANS = 3000
GAPS = 400
COLUMNS = 120

_WINDOW = """
CREATE OR REPLACE TEMP TABLE shown AS
WITH timed AS (
    SELECT * FROM spans WHERE start_ns IS NOT NULL AND duration_ms IS NOT NULL
        AND ($trace IS NULL OR trace_id = $trace) AND ($release IS NULL OR release = $release)
        AND ($end IS NULL OR start_ns <= $end) AND end_ns >= $start
)
SELECT * FROM timed ORDER BY start_ns, end_ns DESC, id LIMIT $most
"""
_SPANS = f"SELECT *, {LANE} FROM shown ORDER BY start_ns, end_ns DESC, id"
# What is between the latest end so far and the next start is idle.
_GAPS = f"""
WITH ahead AS (
    SELECT {LANE}, start_ns, max(end_ns) OVER (
        PARTITION BY lane_service, lane_instance, lane_thread ORDER BY start_ns, end_ns
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS free_ns
    FROM shown
)
SELECT lane_service, lane_instance, lane_thread, free_ns, start_ns FROM ahead
WHERE start_ns > free_ns ORDER BY start_ns - free_ns DESC, free_ns LIMIT $most
"""
_LANES = f"""
WITH placed AS (SELECT {LANE}, start_ns, end_ns FROM shown), ahead AS (
    SELECT *, max(end_ns) OVER (PARTITION BY lane_service, lane_instance, lane_thread
        ORDER BY start_ns, end_ns ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS free_ns
    FROM placed
)
SELECT lane_service, lane_instance, lane_thread, count(*)::BIGINT AS spans,
    sum(greatest(0, end_ns - greatest(start_ns, coalesce(free_ns, start_ns)))) / 1e6 AS busy_ms,
    (max(end_ns) - min(start_ns)) / 1e6 AS lasts_ms,
    count(*) FILTER (start_ns > free_ns)::BIGINT AS gaps
FROM ahead GROUP BY ALL ORDER BY ALL
"""
_OVERVIEW = f"""
SELECT {LANE}, ((start_ns - $origin) // $width)::INTEGER AS bucket, count(*)::BIGINT AS spans
FROM spans WHERE start_ns BETWEEN $start AND $end AND ($release IS NULL OR release = $release)
GROUP BY ALL ORDER BY ALL
"""


class LaneUse(Model):
    """What a lane did in what is shown: `busy_ms` has a span, `idle_ms` between spans has none."""

    lane: str
    spans: int
    busy_ms: float
    idle_ms: float
    gaps: int

    @property
    def busy(self) -> float | None:
        lasts = self.busy_ms + self.idle_ms
        return self.busy_ms / lasts if lasts else None


class Gap(Model):
    """A stretch without any span on a lane, between two that have one."""

    lane: int
    at_ms: float
    lasts_ms: float


class Activity(Model):
    """How many spans began on a lane by column of the whole time."""

    lane: str
    begun: list[int]


class Timeline(Report):
    """`begun` is the zero of all ``at_ms``; `all_spans` are in the telemetry, `bars` are shown."""

    TITLE: ClassVar[str] = "Timeline"
    QUESTION: ClassVar[str] = "What ran when, what waited, and where was nothing to do?"

    begun: str = ""
    lasts_ms: float = 0.0
    all_spans: int = 0
    lanes: list[Lane] = Field(default_factory=list)
    bars: list[Bar] = Field(default_factory=list)
    idle: list[Gap] = Field(default_factory=list)
    use: list[LaneUse] = Field(default_factory=list)
    times: list[str] = Field(default_factory=list)
    activity: list[Activity] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        gaps = [Idle(gap.lane, gap.at_ms, gap.lasts_ms) for gap in self.idle]
        blocks: list[Block] = [
            Facts(
                [
                    ("shown", f"{len(self.bars):,} of {self.all_spans:,} spans"),
                    ("from", self.begun),
                    ("lasts", milliseconds(self.lasts_ms)),
                    ("lanes", str(len(self.lanes))),
                ]
            )
        ]
        if self.activity:
            blocks.append(
                Chart(
                    "lines",
                    "activity",
                    "Spans begun over the whole time",
                    {
                        "x": [moment[11:23].removesuffix(".000") for moment in self.times],
                        "unit": "count",
                        "series": [
                            {"name": one.lane, "values": one.begun} for one in self.activity
                        ],
                    },
                )
            )
        return [
            *blocks,
            Chart(
                "lanes",
                "timeline",
                "Spans",
                lanes_data(self.lanes, self.bars, gaps, lasts_ms=self.lasts_ms, zoom="in"),
                "A click zooms to a span, a double click out again; the wheel and the slider zoom "
                "too. Dashed: idle. Red frame: failed.",
            ),
            Table.of("lanes", "Work and idle time by lane", _USE, self.use),
            Table(
                "gaps",
                "Longest idle gaps",
                (
                    Column("lane", "lane"),
                    Column("at_ms", "from", "ms"),
                    Column("lasts_ms", "idle", "ms"),
                ),
                [gap.model_dump() | {"lane": self.lanes[gap.lane].title} for gap in self.idle],
            ),
            Table.of("spans", "Spans in order", _SPANS_SHOWN, self.bars),
        ]

    def lanes_and_bars(self) -> tuple[list[Lane], list[Bar]]:
        return self.lanes, self.bars


_USE = (
    Column("lane", "lane"),
    Column("spans", "spans", "count"),
    Column("busy_ms", "work", "ms"),
    Column("idle_ms", "idle", "ms"),
    Column("busy", "busy", "share"),
    Column("gaps", "gaps", "count"),
)
_SPANS_SHOWN = (
    Column("at_ms", "from", "ms"),
    Column("lasts_ms", "takes", "ms"),
    Column("depth", "depth", "count"),
    Column("name", "operation"),
    Column("status", "status"),
    Column("place", "code", "place"),
    Column("recorded", "recorded at", "place"),
    Column("trace_id", "trace", "trace"),
)


def build(source: Source, options: Options) -> Timeline:
    """The spans of one trace, or of a stretch of time that begins where trouble was seen."""
    base = Timeline(report="timeline", run_id=source.run_id, all_spans=source.count("spans"))
    if not base.all_spans:
        return base.model_copy(update={"empty": NO_SPANS})
    trace = source.trace_id(options)
    start, why = (0, "") if trace else _start(source, options)
    source.connection.execute(
        _WINDOW,
        {
            "trace": trace,
            "release": options.release,
            "start": start,
            "end": ns_of(options.end),
            "most": SPANS,
        },
    )
    rows = source.rows(_SPANS)
    if not rows:
        return base.model_copy(update={"empty": "no span with usable times lies in this window"})
    begun = rows[0]["start_ns"]
    lanes, bars = laid_out(source, rows, begun)
    notes = ["Lanes are service, instance and thread; without thread.id, concurrent traces of an "
             "instance lie below each other."]  # fmt: skip
    if len(bars) < base.all_spans and not trace:
        notes.append(
            f"{len(bars):,} of {base.all_spans:,} spans are shown{why}; --trace, --start and --end "
            "choose others."
        )
    times, activity = ([], []) if trace else _activity(source, options)
    return base.model_copy(
        update={
            "begun": iso(begun) or "",
            "lasts_ms": max(bar.at_ms + bar.lasts_ms for bar in bars),
            "lanes": lanes,
            "bars": bars,
            "idle": _idle(source, lanes, begun),
            "use": [_use(row) for row in source.rows(_LANES)],
            "notes": notes,
            "times": times,
            "activity": activity,
        }
    )


def _start(source: Source, options: Options) -> tuple[int, str]:
    """Where to begin: as asked, else at the first trace of the gravest anomaly."""
    if options.start:
        return ns_of(options.start) or 0, ""
    for anomaly in source.found_anomalies():
        traces = [str(id) for id in anomaly.evidence.get("trace_ids") or ()]
        found = source.rows(
            "SELECT min(start_ns) AS start FROM spans WHERE list_contains($traces, trace_id)",
            {"traces": traces},
        )[0]["start"]
        if found is not None:
            return int(found), f", from the first trace of {anomaly.title!r} on"
    return 0, ", the first ones"


def _idle(source: Source, lanes: Sequence[Lane], begun: int) -> list[Gap]:
    return [
        Gap(
            lane=lanes.index(lane_of(row)),
            at_ms=(row["free_ns"] - begun) / 1e6,
            lasts_ms=(row["start_ns"] - row["free_ns"]) / 1e6,
        )
        for row in source.rows(_GAPS, {"most": GAPS})
    ]


def _use(row: dict[str, Any]) -> LaneUse:
    return LaneUse(
        lane=lane_of(row).title,
        spans=row["spans"],
        busy_ms=significant(row["busy_ms"]),
        idle_ms=significant(row["lasts_ms"] - row["busy_ms"]),
        gaps=row["gaps"],
    )


def _activity(source: Source, options: Options) -> tuple[list[str], list[Activity]]:
    columns = buckets(source, Options(), COLUMNS)
    if columns is None:
        return [], []
    rows = source.rows(
        _OVERVIEW,
        {
            "origin": columns.origin,
            "width": columns.width_ns,
            "start": columns.start,
            "end": columns.end,
            "release": options.release,
        },
    )
    begun: dict[str, list[int]] = {}
    for row in rows:
        begun.setdefault(lane_of(row).title, [0] * columns.number)[row["bucket"]] += row["spans"]
    return (
        [iso(moment) or "" for moment in columns.starts],
        [Activity(lane=lane, begun=counts) for lane, counts in begun.items()],
    )
