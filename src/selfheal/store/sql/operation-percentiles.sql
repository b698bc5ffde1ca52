-- Count, errors and exact latency percentiles of every operation.
-- Milliseconds. A span without a duration is counted and not measured.
-- $service text = NULL: only this service

SELECT
    service,
    operation,
    count(*) AS count,
    count(*) FILTER (WHERE status = 'error' OR coalesce(http_status, 0) >= 500) AS errors,
    quantile_cont(duration_ms, 0.5) AS p50_ms,
    quantile_cont(duration_ms, 0.95) AS p95_ms,
    quantile_cont(duration_ms, 0.99) AS p99_ms,
    avg(duration_ms) AS mean_ms,
    max(duration_ms) AS max_ms,
    sum(duration_ms) AS total_ms
FROM spans
WHERE $service IS NULL OR service = $service
GROUP BY 1, 2
ORDER BY total_ms DESC, service, operation
