-- Exact latency percentiles of every operation, in steps of time.
-- Milliseconds; steps begin at multiples of their length since 1970 UTC.
-- $minutes integer = 5: the length of a step
-- $operation text = NULL: only this operation

SELECT
    make_timestamp_ns(start_ns // ($minutes * 60000000000) * ($minutes * 60000000000)) AS start,
    service,
    operation,
    count(*) AS count,
    quantile_cont(duration_ms, 0.5) AS p50_ms,
    quantile_cont(duration_ms, 0.95) AS p95_ms,
    quantile_cont(duration_ms, 0.99) AS p99_ms
FROM spans
WHERE start_ns IS NOT NULL AND ($operation IS NULL OR operation = $operation)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
