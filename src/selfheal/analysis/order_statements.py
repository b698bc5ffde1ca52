"""The statements behind order contracts: traces, their steps and who called them.

Tables are made in the order in which they stand here. DuckDB keeps them; a database makes
each anew wherever it is read, so that there they are made of less (``…_THERE``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from selfheal.telemetry.statistics import UNKNOWN

Violation = Literal["missing", "extra", "duplicated", "swapped", "wrong caller"]

# Operations and services are compared millions of times: as numbers, in the order of names.
NAMES = f"""
CREATE TEMP TABLE names AS
SELECT name, row_number() OVER (ORDER BY name) AS code FROM (
    SELECT operation AS name FROM spans WHERE coalesce(service, '{UNKNOWN}') = $service
    UNION SELECT coalesce(service, '{UNKNOWN}') FROM spans
)
"""
ENTRIES = f"""
CREATE TEMP TABLE entries AS
SELECT e.*, n.code AS operation, {{number}} AS number FROM (
    SELECT trace_id, any_value(operation) AS name,
        any_value(span_id) AS span_id,
        any_value(coalesce(release, '{UNKNOWN}')) = $candidate AS candidate
    FROM spans
    WHERE coalesce(service, '{UNKNOWN}') = $service
        AND coalesce(release, '{UNKNOWN}') IN ($baseline, $candidate)
        AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
        AND ($operation IS NULL OR operation = $operation)
    GROUP BY trace_id
    HAVING count(*) = 1 AND any_value(status) <> 'error'
        AND coalesce(any_value(http_status), 0) < 400
) AS e JOIN names AS n ON n.name = e.name
"""
# The entry and the spans below it; `direct`: called by the entry itself.
NEAR = f"""
CREATE TEMP TABLE near AS
SELECT e.number, e.operation, e.candidate, n.code AS step, s.trace_id, s.parent_span_id,
    s.start_ns, s.end_ns,
    s.span_id <> e.span_id AND s.start_ns IS NOT NULL AND s.end_ns IS NOT NULL AS timed,
    coalesce(s.parent_span_id = e.span_id, false) AS direct
FROM spans AS s JOIN entries AS e ON s.trace_id = e.trace_id
JOIN names AS n ON n.name = s.operation
WHERE coalesce(s.service, '{UNKNOWN}') = $service AND s.db_statement IS NULL
    AND (s.kind = 'internal' OR s.span_id = e.span_id)
"""
CALLED_DEEPER = f"""
    SELECT n.number, n.step, n.operation, n.candidate, c.code AS caller
    FROM near AS n JOIN spans AS p ON p.trace_id = n.trace_id AND p.span_id = n.parent_span_id
    JOIN names AS c ON c.name = CASE WHEN coalesce(p.service, '{UNKNOWN}') = $service
        THEN p.operation ELSE coalesce(p.service, '{UNKNOWN}') END
    WHERE NOT n.direct
"""
# One row per trace and step. Who called it: the span around it, or the service that sent
# the request; of several callers the first and the last, by name.
PLACED = f"""
CREATE TEMP TABLE placed AS
SELECT number, step, any_value(operation) AS operation, any_value(candidate) AS candidate,
    count(*) FILTER (timed) AS times, min(start_ns) FILTER (timed) AS first_ns,
    max(end_ns) FILTER (timed) AS last_ns, min(caller) AS caller, max(caller) AS last_caller
FROM (
    SELECT number, step, operation, candidate, start_ns, end_ns, timed,
        CASE WHEN direct THEN operation END AS caller
    FROM near
    UNION ALL
    SELECT number, step, operation, candidate, NULL, NULL, false, caller FROM ({CALLED_DEEPER})
) GROUP BY number, step
"""
ALL_CALLS = f"""
    SELECT number, step, operation, candidate, operation AS caller FROM near WHERE direct
    UNION ALL
    SELECT number, step, operation, candidate, caller FROM ({CALLED_DEEPER})
"""
CALLS = f"""
CREATE TEMP TABLE calls AS
SELECT number, step, operation, candidate, caller FROM placed WHERE caller = last_caller
UNION ALL
SELECT DISTINCT c.number, c.step, c.operation, c.candidate, c.caller FROM (
    {ALL_CALLS}
) AS c JOIN placed AS p ON p.number = c.number AND p.step = c.step WHERE p.caller <> p.last_caller
"""
PLACED_THERE = """
CREATE TEMP TABLE placed AS
SELECT number, step, any_value(operation) AS operation, any_value(candidate) AS candidate,
    count(*) AS times, min(start_ns) AS first_ns, max(end_ns) AS last_ns
FROM near WHERE timed GROUP BY number, step
"""
CALLS_THERE = f"""
CREATE TEMP TABLE calls AS
SELECT DISTINCT number, step, operation, candidate, caller FROM ({ALL_CALLS})
"""
CALLED_THERE = """
SELECT operation, step, candidate, count(DISTINCT number)::BIGINT AS traces FROM calls
GROUP BY operation, step, candidate
"""
CALLERS = """
SELECT operation, step, caller, count(*) FILTER (NOT candidate)::BIGINT AS before,
    count(*) FILTER (candidate)::BIGINT AS after
FROM calls GROUP BY operation, step, caller ORDER BY operation, step, caller
"""
CALLED = """
SELECT operation, step, candidate, count(*)::BIGINT AS traces FROM placed
WHERE caller IS NOT NULL GROUP BY operation, step, candidate
"""
COUNTS = """
SELECT operation, step, candidate, count(*)::BIGINT AS present,
    count(*) FILTER (times > 1)::BIGINT AS repeated
FROM placed WHERE times > 0 GROUP BY operation, step, candidate ORDER BY operation, step, candidate
"""
# Each pair once; the other way round is the same question.
PAIRS = """
SELECT a.operation, a.step AS first, b.step AS second, a.candidate, count(*)::BIGINT AS both,
    count(*) FILTER (a.last_ns <= b.first_ns)::BIGINT AS in_order,
    count(*) FILTER (b.last_ns <= a.first_ns)::BIGINT AS reversed
FROM placed AS a JOIN placed AS b ON a.number = b.number AND a.step < b.step
WHERE a.times = 1 AND b.times = 1
GROUP BY a.operation, a.step, b.step, a.candidate
"""
TOTALS = "SELECT operation, candidate, count(*)::BIGINT AS traces FROM entries GROUP BY ALL"
BROKEN: Mapping[Violation, str] = {
    "missing": """
        SELECT e.trace_id FROM entries AS e
        LEFT JOIN (SELECT number FROM placed WHERE step = $step AND times > 0) AS s
            ON s.number = e.number
        WHERE e.candidate AND e.operation = $operation AND s.number IS NULL""",
    "extra": """
        SELECT e.trace_id FROM entries AS e JOIN placed AS s ON s.number = e.number
        WHERE s.candidate AND s.operation = $operation AND s.step = $step AND s.times > 0""",
    "duplicated": """
        SELECT e.trace_id FROM entries AS e JOIN placed AS s ON s.number = e.number
        WHERE s.candidate AND s.operation = $operation AND s.step = $step AND s.times > 1""",
    "swapped": """
        SELECT e.trace_id FROM entries AS e JOIN placed AS a ON a.number = e.number
        JOIN placed AS b ON b.number = e.number
        WHERE a.candidate AND a.operation = $operation AND a.step = $step AND b.step = $other
        AND a.times = 1 AND b.times = 1 AND b.last_ns <= a.first_ns""",
    "wrong caller": """
        SELECT e.trace_id FROM entries AS e JOIN calls AS c ON c.number = e.number
        WHERE c.candidate AND c.operation = $operation AND c.step = $step AND c.caller = $other""",
}
