-- Which operation follows which within a trace, how often, and how long after.
-- By the order of starts; a NULL on either side is the begin or the end of a trace. Waits
-- are from start to start, in milliseconds.
-- $service text = NULL: only spans of this service

WITH steps AS (
    SELECT
        trace_id, operation, start_ns,
        lead(operation) OVER (PARTITION BY trace_id ORDER BY start_ns, span_id) AS next_operation,
        lead(start_ns) OVER (PARTITION BY trace_id ORDER BY start_ns, span_id) AS next_start_ns,
        lag(span_id) OVER (PARTITION BY trace_id ORDER BY start_ns, span_id) AS earlier
    FROM spans
    WHERE $service IS NULL OR service = $service
), pairs AS (
    SELECT operation, next_operation, (next_start_ns - start_ns) / 1e6 AS wait_ms FROM steps
    UNION ALL
    SELECT NULL AS operation, operation AS next_operation, NULL AS wait_ms
    FROM steps WHERE earlier IS NULL
)
SELECT
    operation,
    next_operation,
    count(*) AS count,
    quantile_cont(wait_ms, 0.5) AS p50_wait_ms,
    quantile_cont(wait_ms, 0.95) AS p95_wait_ms
FROM pairs
GROUP BY 1, 2
ORDER BY 3 DESC, 1 NULLS FIRST, 2 NULLS LAST
