"""State: which step changes which state.

Changes are those that telemetry states: the writes of database statements, and the keys
that a step says it added, changed or removed (`state.added`, `state.changed`,
`state.removed` on spans and log records).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Chart, Column, Facts, Table
from selfheal.reports.model import Options, Report
from selfheal.reports.source import Source
from selfheal.reports.waterfall import waterfalls
from selfheal.telemetry.statistics import iso

DRAWN = 60

_NAME = r"""[\s("`\[]*([\w.$]+(?:["`\]]\.["`\[][\w$]+)?)"""
_TABLE = rf"(?is)^\s*(?:WITH\b.*?\)\s*)?(?:INSERT\s+(?:OR\s+\w+\s+|IGNORE\s+)?INTO|REPLACE\s+INTO|UPDATE(?:\s+OR\s+\w+)?(?:\s+ONLY)?|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE(?:\s+TABLE)?){_NAME}"
_VERB = r"(?is)^\s*(?:WITH\b.*?\)\s*)?(INSERT|REPLACE|UPDATE|DELETE|MERGE|TRUNCATE)\b"
_KEYS = """
    SELECT {step} AS step, coalesce(service, 'unknown') AS service,
        coalesce(release, 'unknown') AS release, trace_id, {time} AS time_ns, source, line,
        {words} AS change, unnest(from_json(attributes ->> '$."state.{change}"', '["VARCHAR"]')) AS key,
        'stated' AS kind
    FROM {table} AS t WHERE attributes LIKE '%"state.{change}"%'{once}
"""
# A log record about a span that states its changes itself says them a second time.
_ONCE = """
        AND coalesce(trace_id, '') || ' ' || coalesce(span_id, '') NOT IN (
            SELECT trace_id || ' ' || span_id FROM spans
            WHERE attributes LIKE '%"state.%' AND trace_id IS NOT NULL AND span_id IS NOT NULL)"""
_OF_SPAN = "coalesce(attributes ->> '$.\"beat.handler\"', operation)"
_OF_LOG = "coalesce(attributes ->> '$.\"beat.handler\"', attributes ->> '$.\"beat.event\"', logger, 'unknown')"
_STATED = "\nUNION ALL\n".join(
    _KEYS.format(step=step, time=time, table=table, change=change, words=f"'{change}'", once=once)
    for table, step, time, once in (
        ("spans", _OF_SPAN, "start_ns", ""),
        ("logs", _OF_LOG, "time_ns", _ONCE),
    )
    for change in ("added", "changed", "removed")
)
_CHANGES = f"""
CREATE OR REPLACE TEMP TABLE changes AS
WITH written AS (
    SELECT *, upper(regexp_extract(db_statement, $verb, 1)) AS verb,
        regexp_extract(db_statement, $table, 1) AS target
    FROM spans WHERE db_statement IS NOT NULL
)
SELECT coalesce(p.operation, w.operation) AS step, coalesce(w.service, 'unknown') AS service,
    coalesce(w.release, 'unknown') AS release, w.trace_id, w.start_ns AS time_ns, w.source, w.line,
    CASE WHEN w.verb IN ('DELETE', 'TRUNCATE') THEN 'removed' WHEN w.verb = 'UPDATE' THEN 'changed'
        WHEN w.verb IN ('REPLACE', 'MERGE') OR w.db_statement ILIKE '%ON CONFLICT%DO UPDATE%'
            OR w.db_statement ILIKE '%ON DUPLICATE KEY UPDATE%' THEN 'added or changed'
        ELSE 'added' END AS change,
    replace(replace(w.target, '"', ''), '`', '') AS key, 'table' AS kind
FROM written AS w LEFT JOIN spans AS p ON p.trace_id = w.trace_id AND p.span_id = w.parent_span_id
WHERE w.target <> ''
UNION ALL
{_STATED}
"""
_MAP = """
SELECT service, step, key, kind, change, count(*)::BIGINT AS times,
    count(DISTINCT trace_id)::BIGINT AS traces, list_sort(list(DISTINCT release)) AS releases,
    min(time_ns) AS first_ns, max(time_ns) AS last_ns, min(trace_id) AS trace_id,
    min((source, line)) AS origin
FROM changes WHERE $release IS NULL OR release = $release
GROUP BY service, step, key, kind, change ORDER BY service, step, key, change
"""


class Change(Model):
    """A step changed a key: `kind` is table (a database write) or stated (the step says so)."""

    service: str
    step: str
    key: str
    kind: str
    change: str
    times: int
    traces: int
    releases: list[str]
    first_seen: str | None
    last_seen: str | None
    trace_id: str | None
    recorded: str
    anomaly: str | None = None


class State(Report):
    TITLE: ClassVar[str] = "State map"
    QUESTION: ClassVar[str] = "Which step changes which state?"

    changes: list[Change] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        steps = list(dict.fromkeys(one.step for one in self.changes))[:DRAWN]
        keys = sorted({one.key for one in self.changes})[:DRAWN]
        shared = [
            key for key in keys if len({one.step for one in self.changes if one.key == key}) > 1
        ]
        return [
            Facts(
                [
                    ("steps that change state", str(len({one.step for one in self.changes}))),
                    ("keys", str(len({one.key for one in self.changes}))),
                    ("keys with several writers", str(len(shared))),
                    ("changes", f"{sum(one.times for one in self.changes):,}"),
                ]
            ),
            Chart(
                "heat",
                "map",
                "Step × key",
                {
                    "x": keys,
                    "y": steps,
                    "slanted": True,
                    "measures": [{"key": "times", "title": "changes", "kind": "count"}],
                    "cells": _cells(self.changes, steps, keys),
                    "drill": {
                        "columns": [
                            {"key": c.key, "title": c.title, "kind": c.kind} for c in _COLUMNS[3:]
                        ],
                        "rows": [
                            one.model_dump()
                            | {"x": keys.index(one.key), "y": steps.index(one.step)}
                            for one in self.changes
                            if one.key in keys and one.step in steps
                        ],
                    },
                },
                "A click on a field shows what the step did to the key.",
            ),
            Table.of("changes", "Changes", _COLUMNS, self.changes),
        ]


_COLUMNS = (
    Column("step", "step"),
    Column("key", "key"),
    Column("service", "service"),
    Column("change", "change"),
    Column("kind", "known from"),
    Column("times", "times", "count"),
    Column("traces", "traces", "count"),
    Column("releases", "releases"),
    Column("anomaly", "anomaly"),
    Column("first_seen", "first", "time"),
    Column("trace_id", "a trace", "trace"),
    Column("recorded", "recorded at", "place"),
)


def _cells(changes: Sequence[Change], steps: list[str], keys: list[str]) -> list[dict[str, Any]]:
    times: dict[tuple[str, str], int] = {}
    for one in changes:
        if one.step in steps and one.key in keys:
            times[one.step, one.key] = times.get((one.step, one.key), 0) + one.times
    return [
        {"x": keys.index(key), "y": steps.index(step), "times": number}
        for (step, key), number in times.items()
    ]


def build(source: Source, options: Options) -> State:
    """All changes of state that telemetry states."""
    source.connection.execute(_CHANGES, {"verb": _VERB, "table": _TABLE})
    changes = [_change(source, row) for row in source.rows(_MAP, {"release": options.release})]
    if not changes:
        reason = "no database statement writes, and no step states what it changes (state.added, …)"
        return State(report="state", run_id=source.run_id, empty=reason)
    return State(
        report="state",
        run_id=source.run_id,
        changes=changes,
        notes=[
            "A write of a database statement counts as a change of its table by the span around it."
        ],
        traces=waterfalls(source, [one.trace_id for one in changes if one.trace_id]),
    )


def _change(source: Source, row: dict[str, Any]) -> Change:
    origin = row.pop("origin")
    first, last = row.pop("first_ns"), row.pop("last_ns")
    anomaly = next(
        (
            one.id
            for one in source.found_anomalies(("state",))
            if one.evidence.get("key") == row["key"]
            and row["step"] in (one.operation, one.evidence.get("step"))
        ),
        None,
    )
    return Change(
        **row,
        first_seen=iso(first),
        last_seen=iso(last),
        recorded=source.origin(*(origin.values() if isinstance(origin, dict) else origin)),
        anomaly=anomaly,
    )
