-- Tokens and cost of coding sessions, by day and model.
-- Reads the api_request events of claude_code; days are UTC.

SELECT
    CAST(make_timestamp_ns(time_ns) AS DATE) AS date,
    attributes ->> 'model' AS model,
    count(*) AS requests,
    sum(try_cast(attributes ->> 'input_tokens' AS DOUBLE)) AS input_tokens,
    sum(try_cast(attributes ->> 'output_tokens' AS DOUBLE)) AS output_tokens,
    sum(try_cast(attributes ->> 'cache_read_tokens' AS DOUBLE)) AS cache_read_tokens,
    sum(try_cast(attributes ->> 'cache_creation_tokens' AS DOUBLE)) AS cache_creation_tokens,
    sum(try_cast(attributes ->> 'cost_usd' AS DOUBLE)) AS total_cost
FROM logs
WHERE coalesce(body, 'claude_code.' || (attributes ->> 'event.name')) = 'claude_code.api_request'
GROUP BY 1, 2
ORDER BY 1 DESC, 2
