-- The traces that took longest, by their entry span.
-- The entry is the root span, and where none was recorded the earliest one; milliseconds.
-- $limit integer = 20: how many traces
-- $operation text = NULL: only traces that enter with this operation

WITH ranked AS (
    SELECT
        trace_id, service, operation, start_ns, duration_ms,
        row_number() OVER (
            PARTITION BY trace_id
            ORDER BY CASE WHEN parent_span_id IS NULL THEN 0 ELSE 1 END, start_ns, span_id
        ) AS place,
        count(*) OVER (PARTITION BY trace_id) AS spans,
        count(CASE WHEN status = 'error' OR coalesce(http_status, 0) >= 500 THEN 1 END)
            OVER (PARTITION BY trace_id) AS failed_spans
    FROM spans
)
SELECT
    trace_id, service, operation,
    make_timestamp_ns(start_ns) AS start,
    duration_ms, spans, failed_spans
FROM ranked
WHERE place = 1 AND duration_ms IS NOT NULL AND ($operation IS NULL OR operation = $operation)
ORDER BY duration_ms DESC, trace_id
LIMIT $limit
