"""Flows and steps as traces show them, as tables that several reports ask.

A flow is what an entry span (a server or consumer span, or one without a parent) begins;
its steps are the other spans of the trace, database statements apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from selfheal.analysis.declared import DeclaredFlow, plain
from selfheal.reports.source import Source

# The first entry span of a trace is what the trace is about.
_ENTRIES = """
CREATE OR REPLACE TEMP TABLE entries AS
SELECT trace_id, operation AS entry, coalesce(service, 'unknown') AS service, span_id,
    coalesce(release, 'unknown') AS release, start_ns, duration_ms, http_status, http_method,
    status = 'error' OR coalesce(http_status, 0) >= 500 AS failed,
    CASE WHEN attributes LIKE '%"beat.%' THEN attributes ->> '$."beat.sequence"' END AS sequence,
    operation AS flow
FROM spans
WHERE start_ns IS NOT NULL AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
    AND ($release IS NULL OR release = $release)
QUALIFY row_number() OVER (
    PARTITION BY trace_id ORDER BY start_ns, parent_span_id IS NOT NULL, id) = 1
"""
_NAMES = """
SELECT DISTINCT entry, sequence, operation, event, handler, code_function AS function
FROM taken ORDER BY ALL
"""
_CALLED = """
CREATE OR REPLACE TEMP TABLE called AS
SELECT unnest($entries) AS entry, unnest($sequences) AS sequence, unnest($operations) AS operation,
    unnest($events) AS event, unnest($handlers) AS handler, unnest($functions) AS function,
    unnest($flows) AS flow, unnest($steps) AS step
"""
_TAKEN = """
CREATE OR REPLACE TEMP TABLE taken AS
SELECT e.trace_id, e.entry, e.sequence, e.service, e.release, s.operation, s.code_function,
    CASE WHEN s.attributes LIKE '%"beat.%' THEN s.attributes ->> '$."beat.event"' END AS event,
    CASE WHEN s.attributes LIKE '%"beat.%' THEN s.attributes ->> '$."beat.handler"' END AS handler,
    s.start_ns, s.end_ns, s.duration_ms
FROM entries AS e JOIN spans AS s ON s.trace_id = e.trace_id
WHERE s.span_id <> e.span_id AND s.db_statement IS NULL AND s.kind <> 'client'
    AND s.start_ns IS NOT NULL
    AND coalesce(s.attributes, '') NOT LIKE '%"beat.part":"movement"%'
"""
_STEPS = """
CREATE OR REPLACE TEMP TABLE steps AS
SELECT c.flow, t.service, t.release, t.trace_id, c.step, count(*)::BIGINT AS times,
    min(t.start_ns) AS first_ns, max(t.end_ns) AS last_ns, sum(t.duration_ms) AS total_ms
FROM taken AS t JOIN called AS c ON c.entry = t.entry AND c.operation = t.operation
    AND c.sequence IS NOT DISTINCT FROM t.sequence AND c.event IS NOT DISTINCT FROM t.event
    AND c.handler IS NOT DISTINCT FROM t.handler
    AND c.function IS NOT DISTINCT FROM t.code_function
WHERE c.step IS NOT NULL
GROUP BY ALL
"""
_TOTALS = """
CREATE OR REPLACE TEMP TABLE totals AS
SELECT flow, count(*)::BIGINT AS traces FROM entries GROUP BY flow
"""


def observe(
    source: Source, declared: Sequence[DeclaredFlow] = (), release: str | None = None
) -> list[str]:
    """Make the tables `entries`, `steps` and `totals`; returns notes on what was matched.

    Flows and steps that sequence files declare have their names from there: an entry
    belongs to a sequence by its name, a step to a beat by its operation, event, handler
    or function. Movements around beats are no steps.
    """
    source.connection.execute(_ENTRIES, {"release": release})
    source.connection.execute(_TAKEN)
    flows = {name: flow for flow in declared for name in flow.names}
    rows = source.rows(_NAMES)
    belonging = [
        flows.get(plain(row["sequence"])) or flows.get(plain(row["entry"])) for row in rows
    ]
    renamed = {
        (row["entry"], row["sequence"] or ""): flow.label
        for row, flow in zip(rows, belonging, strict=True)
        if flow is not None
    }
    names = ("operation", "event", "handler", "function")
    source.connection.execute(
        _CALLED,
        {
            **{f"{key}s": [row[key] for row in rows] for key in names},
            "entries": [row["entry"] for row in rows],
            "sequences": [row["sequence"] for row in rows],
            "flows": [
                flow.label if flow else row["entry"]
                for row, flow in zip(rows, belonging, strict=True)
            ],
            "steps": [
                _step(flow, [row[key] for key in names if row[key]])
                for row, flow in zip(rows, belonging, strict=True)
            ],
        },
    )
    for (entry, sequence), label in renamed.items():
        source.connection.execute(
            "UPDATE entries SET flow = $label"
            " WHERE entry = $entry AND coalesce(sequence, '') = $sequence",
            {"label": label, "entry": entry, "sequence": sequence},
        )
    source.connection.execute(_STEPS)
    source.connection.execute(_TOTALS)
    if declared and not renamed:
        return ["No entry has the name of a declared sequence: nothing could be held against them."]
    return []


def _step(flow: DeclaredFlow | None, found: Sequence[str]) -> str | None:
    """The step's name; None where the span is a movement around steps."""
    if flow is None:
        return found[0]
    names = {plain(one) for one in found} | {plain(one.rpartition(".")[2]) for one in found}
    position = flow.step_of(names)
    if position is not None:
        return flow.steps[position].label
    return None if flow.around & names else found[0]
