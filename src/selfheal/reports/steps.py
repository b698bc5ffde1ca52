"""Flows and steps as traces show them, as tables that several reports ask.

A flow is what an entry span (a server or consumer span, or one without a parent) begins;
its steps are the other spans of the trace, database statements apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from selfheal.reports.declared import DeclaredFlow, plain
from selfheal.reports.source import Source

# The first entry span of a trace is what the trace is about.
_ENTRIES = """
CREATE OR REPLACE TEMP TABLE entries AS
SELECT trace_id, operation AS entry, coalesce(service, 'unknown') AS service, span_id,
    coalesce(release, 'unknown') AS release, start_ns, duration_ms, http_status, http_method,
    status = 'error' OR coalesce(http_status, 0) >= 500 AS failed,
    attributes ->> '$."beat.sequence"' AS sequence, operation AS flow
FROM spans
WHERE start_ns IS NOT NULL AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
    AND ($release IS NULL OR release = $release)
QUALIFY row_number() OVER (
    PARTITION BY trace_id ORDER BY start_ns, parent_span_id IS NOT NULL, id) = 1
"""
_NAMES = """
SELECT e.entry, e.sequence, s.operation, s.attributes ->> '$."beat.event"' AS event,
    s.attributes ->> '$."beat.handler"' AS handler, s.code_function AS function
FROM entries AS e JOIN spans AS s ON s.trace_id = e.trace_id
WHERE s.span_id <> e.span_id AND s.db_statement IS NULL AND s.kind <> 'client'
GROUP BY ALL ORDER BY ALL
"""
_CALLED = """
CREATE OR REPLACE TEMP TABLE called AS
SELECT unnest($keys) AS key, unnest($flows) AS flow, unnest($steps) AS step
"""
_KEY = """concat_ws(chr(31), e.entry, coalesce(e.sequence, ''), s.operation,
    coalesce(s.attributes ->> '$."beat.event"', ''),
    coalesce(s.attributes ->> '$."beat.handler"', ''), coalesce(s.code_function, ''))"""
_STEPS = f"""
CREATE OR REPLACE TEMP TABLE steps AS
SELECT c.flow, e.service, e.release, s.trace_id, c.step, count(*)::BIGINT AS times,
    min(s.start_ns) AS first_ns, max(s.end_ns) AS last_ns, sum(s.duration_ms) AS total_ms
FROM entries AS e JOIN spans AS s ON s.trace_id = e.trace_id
JOIN called AS c ON c.key = {_KEY}
WHERE s.span_id <> e.span_id AND s.db_statement IS NULL AND s.kind <> 'client'
    AND s.start_ns IS NOT NULL AND c.step IS NOT NULL
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
    flows = {name: flow for flow in declared for name in flow.names}
    keys: list[str] = []
    flow_names: list[str] = []
    step_names: list[str | None] = []
    renamed: dict[tuple[str, str], str] = {}
    for row in source.rows(_NAMES):
        flow = flows.get(plain(row["sequence"])) or flows.get(plain(row["entry"]))
        if flow is not None:
            renamed[row["entry"], row["sequence"] or ""] = flow.label
        found = [row["operation"], row["event"], row["handler"], row["function"]]
        keys.append(
            chr(31).join([row["entry"], row["sequence"] or "", *(one or "" for one in found)])
        )
        flow_names.append(flow.label if flow else row["entry"])
        step_names.append(_step(flow, [one for one in found if one]))
    source.connection.execute(_CALLED, {"keys": keys, "flows": flow_names, "steps": step_names})
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
    for step in flow.steps:
        if step.names & names:
            return step.label
    return None if flow.around & names else found[0]
