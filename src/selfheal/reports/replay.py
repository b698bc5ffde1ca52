"""Replay: which captured traces can be sent again, and one of them as a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Code, Column, Facts, Table
from selfheal.reports.model import Options, Report
from selfheal.reports.reproducer import Repository, TraceTest, replay_command, trace_test
from selfheal.reports.source import NO_SPANS, Source
from selfheal.reports.waterfall import waterfalls
from selfheal.telemetry.statistics import iso, significant

_OF_OPERATION = 3

_ENTRIES = """
CREATE OR REPLACE TEMP TABLE captured AS
SELECT trace_id, coalesce(service, 'unknown') AS service, operation, release, start_ns, duration_ms,
    http_method, http_path, http_query, http_status, session_id, request_body,
    request_content_type, source, line, id,
    status = 'error' OR coalesce(http_status, 0) >= 500 AS failed,
    http_method IS NOT NULL AND http_path IS NOT NULL AS sendable
FROM spans
WHERE kind IN ('server', 'consumer') AND start_ns IS NOT NULL AND duration_ms IS NOT NULL
    AND ($release IS NULL OR release = $release)
"""
_COUNTS = """
SELECT count(*) AS entries, count(*) FILTER (sendable) AS sendable,
    count(*) FILTER (session_id IS NOT NULL) AS with_session,
    count(*) FILTER (request_body IS NOT NULL) AS with_body FROM captured
"""
_CHOSEN = """
WITH ranked AS (
    SELECT *, list_contains($accused, trace_id) AS accused,
        row_number() OVER (PARTITION BY service, operation, failed
            ORDER BY duration_ms DESC, start_ns DESC, trace_id DESC, id) AS slow
    FROM captured WHERE sendable
), chosen AS (
    SELECT * FROM ranked WHERE accused OR slow <= $each
), before AS (
    SELECT c.id, count(*) AS requests FROM chosen AS c
    JOIN captured AS b ON b.session_id = c.session_id AND b.service = c.service
        AND b.release IS NOT DISTINCT FROM c.release
    WHERE b.start_ns < c.start_ns AND b.http_method NOT IN ('GET', 'HEAD', 'OPTIONS')
    GROUP BY c.id
)
SELECT c.*, coalesce(b.requests, 0) AS needs FROM chosen AS c LEFT JOIN before AS b ON b.id = c.id
ORDER BY c.accused DESC, c.failed DESC, c.duration_ms DESC, c.start_ns DESC, c.trace_id DESC, c.id
"""


class Captured(Model):
    """A trace that can be sent again; `needs` earlier requests of its session are sent before."""

    trace_id: str
    service: str
    operation: str
    request: str
    status: int | None
    lasts_ms: float
    why: str
    needs: int
    body: bool
    session: bool
    release: str | None
    began: str
    recorded: str

    @property
    def command(self) -> str:
        return replay_command(self.trace_id)


class Replay(Report):
    TITLE: ClassVar[str] = "Replay"
    QUESTION: ClassVar[str] = "Which captured traces can be sent again?"

    entries: int = 0
    sendable: int = 0
    with_session: int = 0
    with_body: int = 0
    captured: list[Captured] = Field(default_factory=list)
    test: TraceTest | None = None

    def blocks(self) -> Sequence[Block]:
        blocks: list[Block] = [
            Facts(
                [
                    ("requests captured", f"{self.entries:,}"),
                    ("can be sent again", f"{self.sendable:,}"),
                    ("with their session", f"{self.with_session:,}"),
                    ("with a body", f"{self.with_body:,}"),
                ]
            ),
            Table.of("captured", "Traces worth sending again", _COLUMNS, self.captured,
                     "Those that anomalies name first, then failed ones, then the slowest of each operation."),
        ]  # fmt: skip
        if self.test and self.test.text:
            title = f"Reproducer of trace {self.test.trace_id}: {self.test.name}"
            blocks.append(Code("reproducer", title, self.test.text))
        return blocks


_COLUMNS = (
    Column("why", "why"),
    Column("request", "request"),
    Column("status", "status"),
    Column("lasts_ms", "took", "ms"),
    Column("needs", "needs before", "count"),
    Column("trace_id", "trace", "trace"),
    Column("release", "release"),
    Column("began", "began", "time"),
    Column("recorded", "recorded at", "place"),
    Column("command", "reproducer", "place"),
)


def build(source: Source, options: Options) -> Replay:
    """The traces that can be replayed, and the reproducer of the first or the asked one."""
    base = Replay(report="replay", run_id=source.run_id)
    if not source.count("spans"):
        return base.model_copy(update={"empty": NO_SPANS})
    source.connection.execute(_ENTRIES, {"release": options.release})
    counts = source.rows(_COUNTS)[0]
    if not counts["entries"]:
        return base.model_copy(update={"empty": "no span is the entry of a request (kind server)"})
    named: dict[str, str] = {}
    for anomaly in source.found_anomalies():
        for trace in anomaly.evidence.get("trace_ids") or ():
            named.setdefault(str(trace), anomaly.title)
    rows = source.rows(_CHOSEN, {"accused": list(named), "each": _OF_OPERATION})
    captured = [_captured(source, row, named) for row in rows]
    trace = source.trace_id(options) or (captured[0].trace_id if captured else None)
    repository = Repository(source)
    test = trace_test(source, trace, repository) if trace else None
    notes = ["A reproducer sends what was recorded; what a service does not record (bodies, "
             "headers, its database) is not in it."]  # fmt: skip
    if test and test.unavailable:
        notes.append(f"No reproducer of {trace}: {test.unavailable}.")
    return base.model_copy(
        update={
            **counts,
            "captured": captured,
            "test": test,
            "notes": notes,
            "traces": waterfalls(source, [one.trace_id for one in captured]),
        }
    )


def _captured(source: Source, row: dict[str, Any], named: dict[str, str]) -> Captured:
    query = f"?{row['http_query']}" if row["http_query"] else ""
    why = "failed" if row["failed"] else "slowest of its operation"
    return Captured(
        trace_id=row["trace_id"],
        service=row["service"],
        operation=row["operation"],
        request=f"{row['http_method']} {row['http_path']}{query}",
        status=row["http_status"],
        lasts_ms=significant(row["duration_ms"]),
        why=named.get(row["trace_id"], why),
        needs=row["needs"],
        body=row["request_body"] is not None,
        session=row["session_id"] is not None,
        release=row["release"],
        began=iso(row["start_ns"]) or "",
        recorded=source.origin(row["source"], row["line"]),
    )
