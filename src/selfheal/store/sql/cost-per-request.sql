-- What a request of a coding session costs, by day.
-- Reads the api_request events of claude_code; days are UTC. Requests that name no cost
-- are counted and not averaged.

SELECT
    CAST(make_timestamp_ns(time_ns) AS DATE) AS date,
    avg(try_cast(attributes ->> 'cost_usd' AS DOUBLE)) AS avg_cost_per_request,
    sum(try_cast(attributes ->> 'cost_usd' AS DOUBLE)) AS total_cost,
    count(*) AS requests
FROM logs
WHERE coalesce(body, 'claude_code.' || (attributes ->> 'event.name')) = 'claude_code.api_request'
GROUP BY 1
ORDER BY 1 DESC
