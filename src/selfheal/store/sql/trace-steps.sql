-- The ordered list of spans of every trace.
-- Spans by their start; where two start together, by span id. The lists of a trace run in
-- parallel: `durations_ms[i]` is of `operations[i]`. Traces by their first span.
-- $limit integer = 100: how many traces
-- $trace text = NULL: only the trace with this id

SELECT
    trace_id,
    count(*) AS spans,
    make_timestamp_ns(min(start_ns)) AS start,
    (max(end_ns) - min(start_ns)) / 1e6 AS duration_ms,
    list(operation ORDER BY start_ns, span_id) AS operations,
    list(service ORDER BY start_ns, span_id) AS services,
    list(duration_ms ORDER BY start_ns, span_id) AS durations_ms
FROM spans
WHERE $trace IS NULL OR trace_id = $trace
GROUP BY trace_id
ORDER BY min(start_ns), trace_id
LIMIT $limit
