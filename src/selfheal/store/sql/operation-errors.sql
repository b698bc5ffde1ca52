-- Error rate of every operation, in steps of time.
-- A span fails where its status is error or its HTTP status 500 and above; steps begin
-- at multiples of their length since 1970 UTC.
-- $minutes integer = 5: the length of a step
-- $operation text = NULL: only this operation

SELECT
    make_timestamp_ns(start_ns // ($minutes * 60000000000) * ($minutes * 60000000000)) AS start,
    service,
    operation,
    count(*) AS count,
    count(*) FILTER (WHERE status = 'error' OR coalesce(http_status, 0) >= 500) AS errors,
    100.0 * count(*) FILTER (WHERE status = 'error' OR coalesce(http_status, 0) >= 500) / count(*)
        AS error_rate_percent
FROM spans
WHERE start_ns IS NOT NULL AND ($operation IS NULL OR operation = $operation)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
