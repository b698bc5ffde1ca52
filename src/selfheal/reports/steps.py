"""Flows and steps as traces show them, as tables that several reports ask.

A flow is what an entry span (a server or consumer span, or one without a parent) begins;
its steps are the other spans of the trace, database statements apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from selfheal.analysis.declared import DeclaredFlow, plain
from selfheal.reports.source import Source

# The first entry span of a trace is what the trace is about.
_BEGUN = """
CREATE OR REPLACE TEMP TABLE begun AS
SELECT *, {number} AS number FROM (
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
)
"""
_ENTRIES = """
CREATE OR REPLACE TEMP TABLE entries AS
SELECT b.* EXCLUDE (flow), coalesce(r.label, b.flow) AS flow
FROM begun AS b LEFT JOIN renamed AS r
    ON r.entry = b.entry AND r.sequence = coalesce(b.sequence, '')
"""
_RENAMED = """
CREATE OR REPLACE TEMP TABLE renamed AS
SELECT unnest($entries) AS entry, unnest($sequences) AS sequence, unnest($labels) AS label
"""
_NAMES = """
SELECT DISTINCT entry, sequence, operation, event, handler, code_function AS function
FROM taken ORDER BY ALL
"""
_CALLED = """
CREATE OR REPLACE TEMP TABLE called AS
SELECT unnest($entries) AS entry, unnest($sequences) AS sequence, unnest($operations) AS operation,
    unnest($events) AS event, unnest($handlers) AS handler, unnest($functions) AS function,
    unnest($flows) AS flow, unnest($steps) AS step, unnest($codes) AS code
"""
_TAKEN = """
CREATE OR REPLACE TEMP TABLE taken AS
SELECT e.number, e.entry, e.sequence, s.operation, s.code_function,
    CASE WHEN s.attributes LIKE '%"beat.%' THEN s.attributes ->> '$."beat.event"' END AS event,
    CASE WHEN s.attributes LIKE '%"beat.%' THEN s.attributes ->> '$."beat.handler"' END AS handler,
    s.start_ns, s.end_ns, s.duration_ms
FROM begun AS e JOIN spans AS s ON s.trace_id = e.trace_id
WHERE s.span_id <> e.span_id AND s.db_statement IS NULL AND s.kind <> 'client'
    AND s.start_ns IS NOT NULL
    AND coalesce(s.attributes, '') NOT LIKE '%"beat.part":"movement"%'
"""
_STEPS = """
CREATE OR REPLACE TEMP TABLE counted AS
SELECT t.number, c.code, count(*)::BIGINT AS times, min(t.start_ns) AS first_ns, max(t.end_ns) AS last_ns, sum(t.duration_ms) AS total_ms
FROM taken AS t JOIN called AS c ON c.entry = t.entry AND c.operation = t.operation
    AND c.sequence IS NOT DISTINCT FROM t.sequence AND c.event IS NOT DISTINCT FROM t.event
    AND c.handler IS NOT DISTINCT FROM t.handler
    AND c.function IS NOT DISTINCT FROM t.code_function
WHERE c.step IS NOT NULL
GROUP BY t.number, c.code
"""
_NAMED = """
CREATE OR REPLACE TEMP VIEW steps AS
SELECT e.flow, e.trace_id, n.step, c.number, c.code, c.times, c.first_ns, c.last_ns, c.total_ms
FROM counted AS c JOIN entries AS e ON e.number = c.number
JOIN (SELECT DISTINCT code, step FROM called WHERE step IS NOT NULL) AS n ON n.code = c.code
"""
# Most traces take the same steps in the same order: each order once, with its traces.
_ORDERS = """
SELECT flow, codes, count(*)::BIGINT AS traces FROM (
    SELECT e.flow, c.codes FROM (
        SELECT number, list(code ORDER BY first_ns, code) AS codes FROM counted GROUP BY number
    ) AS c JOIN entries AS e ON e.number = c.number
) GROUP BY flow, codes ORDER BY flow, codes
"""
_TOTALS = """
CREATE OR REPLACE TEMP TABLE totals AS
SELECT flow, count(*)::BIGINT AS traces FROM entries GROUP BY flow
"""


class Orders(NamedTuple):
    """In which order traces take their steps, told by how they begin.

    `follows` counts what came right after what (flow, step before or '', step); `ranks` is
    the median place (from 1) of a step (flow, step) among those of its traces.
    """

    follows: Mapping[tuple[str, str, str], int]
    ranks: Mapping[tuple[str, str], float]


class Observed(NamedTuple):
    """`notes` on what was matched, and the `steps` in the order of their codes."""

    notes: list[str]
    steps: list[str]

    def orders(self, source: Source) -> Orders:
        """The orders in the table `steps`."""
        follows: Counter[tuple[str, str, str]] = Counter()
        places: dict[tuple[str, str], Counter[int]] = {}
        for row in source.rows(_ORDERS):
            before = ""
            for place, code in enumerate(row["codes"], 1):
                flow, step = row["flow"], self.steps[code]
                follows[flow, before, step] += row["traces"]
                places.setdefault((flow, step), Counter())[place] += row["traces"]
                before = step
        return Orders(follows, {key: _median(counts) for key, counts in places.items()})


def _median(counts: Counter[int]) -> float:
    """The median of numbers that are counted; of two in the middle, their mean."""
    total, seen = counts.total(), 0
    middle: list[int] = []
    for number in sorted(counts):
        seen += counts[number]
        while len(middle) < 2 and seen > (total - 1 + len(middle)) // 2:
            middle.append(number)
    return sum(middle) / 2


def observe(
    source: Source, declared: Sequence[DeclaredFlow] = (), release: str | None = None
) -> Observed:
    """Make the tables `entries`, `steps` and `totals`.

    Flows and steps that sequence files declare have their names from there: an entry
    belongs to a sequence by its name, a step to a beat by its operation, event, handler
    or function. Movements around beats are no steps.
    """
    # Numbers are quicker than ids; a database would give them anew for each statement.
    number = "trace_id" if source.dataset.remote else "row_number() OVER ()"
    source.connection.execute(_BEGUN.format(number=number), {"release": release})
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
    steps = [
        _step(flow, [row[key] for key in names if row[key]])
        for row, flow in zip(rows, belonging, strict=True)
    ]
    known = sorted({step for step in steps if step is not None})
    codes = {step: code for code, step in enumerate(known)}
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
            "steps": steps,
            "codes": [None if step is None else codes[step] for step in steps],
        },
    )
    if renamed:
        columns = {
            "entries": [entry for entry, _ in renamed],
            "sequences": [sequence for _, sequence in renamed],
            "labels": list(renamed.values()),
        }
        source.connection.execute(_RENAMED, columns)
        source.connection.execute(_ENTRIES)
    else:
        source.connection.execute("CREATE OR REPLACE TEMP VIEW entries AS SELECT * FROM begun")
    source.connection.execute(_STEPS)
    source.connection.execute(_NAMED)
    source.connection.execute(_TOTALS)
    if declared and not renamed:
        note = "No entry has the name of a declared sequence: nothing could be held against them."
        return Observed([note], known)
    return Observed([], known)


def _step(flow: DeclaredFlow | None, found: Sequence[str]) -> str | None:
    """The step's name; None where the span is a movement around steps."""
    if flow is None:
        return found[0]
    names = {plain(one) for one in found} | {plain(one.rpartition(".")[2]) for one in found}
    position = flow.step_of(names)
    if position is not None:
        return flow.steps[position].label
    return None if flow.around & names else found[0]
