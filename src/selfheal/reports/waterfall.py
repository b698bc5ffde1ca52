"""Single traces, as far as a page can open them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from selfheal.reports.lanes import LANE, arrange
from selfheal.reports.model import Bar, Lane, Waterfall
from selfheal.reports.source import COVERED, Source
from selfheal.telemetry.statistics import iso, significant

SPANS_IN_ALL = 4000
SPANS_OF_ONE = 400

_PICKED = """
CREATE OR REPLACE TEMP TABLE picked AS
SELECT * FROM spans
WHERE trace_id IN (SELECT unnest($traces)) AND start_ns IS NOT NULL AND duration_ms IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY trace_id ORDER BY start_ns, end_ns DESC, id) <= $most
"""
_SPANS = f"""
WITH covered AS ({COVERED.format(spans="picked")})
SELECT p.*, {LANE}, duration_ms - coalesce(below_ms, 0) AS own_ms
FROM picked AS p LEFT JOIN covered USING (trace_id, span_id)
ORDER BY trace_id, start_ns, end_ns DESC, id
"""
_SIZES = """
SELECT trace_id, count(*) AS spans FROM spans
WHERE trace_id IN (SELECT unnest($traces)) GROUP BY trace_id
"""


def waterfalls(
    source: Source, traces: Iterable[str], *, most: int = SPANS_OF_ONE
) -> list[Waterfall]:
    """The traces in the order given, as many as `SPANS_IN_ALL` spans allow.

    Of a trace with more than `most` spans the first ones are taken, and its note says so.
    """
    wanted = list(dict.fromkeys(traces))
    sizes = {row["trace_id"]: row["spans"] for row in source.rows(_SIZES, {"traces": wanted})}
    taken, total = [], 0
    for trace in wanted:
        total += min(sizes.get(trace, 0), most)
        if total > SPANS_IN_ALL:
            break
        taken.append(trace)
    if not taken:
        return []
    source.connection.execute(_PICKED, {"traces": taken, "most": most})
    grouped = {
        trace: _waterfall(source, list(rows), sizes[trace])
        for trace, rows in groupby(source.rows(_SPANS), key=lambda row: row["trace_id"])
    }
    return [grouped[trace] for trace in taken if trace in grouped]


def _waterfall(source: Source, rows: Sequence[Mapping[str, Any]], spans: int) -> Waterfall:
    begun = min(row["start_ns"] for row in rows)
    root = next((row for row in rows if not row["parent_span_id"]), rows[0])
    lanes, bars = laid_out(source, rows, begun)
    release = f", release {root['release']}" if root["release"] else ""
    return Waterfall(
        trace_id=root["trace_id"],
        title=f"{root['operation']}{release}",
        begun=iso(begun) or "",
        lasts_ms=max(bar.at_ms + bar.lasts_ms for bar in bars),
        lanes=lanes,
        bars=bars,
        note=f"the first {len(rows)} of {spans} spans" if spans > len(rows) else "",
    )


def laid_out(
    source: Source, rows: Sequence[Mapping[str, Any]], begun: int
) -> tuple[list[Lane], list[Bar]]:
    """The lanes and bars of spans selected with `LANE`, sorted by start, the longer first.

    `begun` is where times begin, in ns. A row without ``own_ms`` gives a bar without it.
    """
    lanes, arranged = arrange(rows)
    bars = [
        Bar(
            lane=at.lane,
            slot=at.slot,
            depth=at.depth,
            at_ms=(row["start_ns"] - begun) / 1e6,
            lasts_ms=row["duration_ms"],
            own_ms=significant(row["own_ms"]) if "own_ms" in row else None,
            name=row["operation"],
            status=row["status"],
            trace_id=row["trace_id"],
            span_id=row["span_id"],
            place=place_of(source, row),
            statement=row["db_statement"],
            recorded=source.origin(row["source"], row["line"]),
        )
        for row, at in zip(rows, arranged, strict=True)
    ]
    return lanes, bars


def place_of(source: Source, row: Mapping[str, Any]) -> str | None:
    """Where the code of a span is, ``file:line``."""
    place = source.place(row["code_file"], row["code_line"], row["code_function"])
    return str(place) if place else None
