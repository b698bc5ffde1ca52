-- How many requests of coding sessions fail, hour by hour.
-- Reads the api_request and api_error events of claude_code; hours are UTC. `events`
-- counts every event of the hour, `total_requests` those that ended well or in an error.

WITH named AS (
    SELECT
        date_trunc('hour', make_timestamp_ns(time_ns)) AS hour,
        coalesce(body, 'claude_code.' || (attributes ->> 'event.name'), '') AS event
    FROM logs
)
SELECT
    hour,
    count(*) AS events,
    count(*) FILTER (WHERE event IN ('claude_code.api_request', 'claude_code.api_error'))
        AS total_requests,
    count(*) FILTER (WHERE event = 'claude_code.api_error') AS errors,
    100.0 * count(*) FILTER (WHERE event = 'claude_code.api_error') / nullif(
        count(*) FILTER (WHERE event IN ('claude_code.api_request', 'claude_code.api_error')), 0
    ) AS error_rate_percent
FROM named
WHERE starts_with(event, 'claude_code.')
GROUP BY 1
ORDER BY 1 DESC
