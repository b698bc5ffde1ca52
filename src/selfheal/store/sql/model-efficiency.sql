-- What each model of coding sessions costs and how fast it answers.
-- Reads the api_request events of claude_code; durations are milliseconds.

SELECT
    attributes ->> 'model' AS model,
    count(*) AS requests,
    sum(try_cast(attributes ->> 'cost_usd' AS DOUBLE)) AS total_cost,
    avg(try_cast(attributes ->> 'duration_ms' AS DOUBLE)) AS avg_duration,
    quantile_cont(try_cast(attributes ->> 'duration_ms' AS DOUBLE), 0.95) AS p95_duration,
    sum(try_cast(attributes ->> 'output_tokens' AS DOUBLE)) AS output_tokens,
    sum(try_cast(attributes ->> 'cost_usd' AS DOUBLE))
        / nullif(sum(try_cast(attributes ->> 'output_tokens' AS DOUBLE)), 0) * 1000
        AS cost_per_1000_output_tokens
FROM logs
WHERE coalesce(body, 'claude_code.' || (attributes ->> 'event.name')) = 'claude_code.api_request'
GROUP BY 1
ORDER BY 3 DESC, 1
