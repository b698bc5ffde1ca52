"""The control: what the other operations did in the same hours.

A service under other load than it was recorded under is slower at everything. What an
operation shares with the operations that nobody meant to change is no effect of the
change: the idea of difference in differences, on ratios.
"""

from __future__ import annotations

from collections.abc import Collection
from statistics import median
from typing import Any

from selfheal.artifacts import Anomaly, Dataset

MINIMUM_REQUESTS = 20
MINIMUM_CONTROLS = 3
MINIMUM_FAILURES = 20
QUANTILES = {"p50": 0.5, "p95": 0.95}


def control_ratio(
    dataset: Dataset,
    anomaly: Anomaly,
    before: str,
    after: str,
    *,
    measure: str,
    healed: Collection[str],
) -> float | None:
    """The median ratio of a latency quantile, `after` over `before`, of the other operations.

    Entry operations of the anomaly's service with at least `MINIMUM_REQUESTS` in both
    releases count, those in `healed` do not. None where fewer than `MINIMUM_CONTROLS`
    are left.
    """
    rows: list[dict[str, Any]] = dataset.rows(
        """
        WITH measured AS (
            SELECT operation, release = $after AS after, count(*) AS requests,
                quantile_cont(duration_ms, CAST($quantile AS DOUBLE)) AS value
            FROM spans
            WHERE service = $service AND release IN ($before, $after)
                AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
                AND status <> 'error' AND coalesce(http_status, 0) < 500
            GROUP BY ALL
        )
        SELECT a.operation, a.value / b.value AS ratio
        FROM measured a JOIN measured b USING (operation)
        WHERE a.after AND NOT b.after AND b.value > 0
            AND least(a.requests, b.requests) >= $minimum
        ORDER BY a.operation
        """,
        {
            "service": anomaly.service,
            "before": before,
            "after": after,
            "quantile": QUANTILES[measure],
            "minimum": MINIMUM_REQUESTS,
        },
    )
    ratios = [row["ratio"] for row in rows if row["operation"] not in healed]
    return float(median(ratios)) if len(ratios) >= MINIMUM_CONTROLS else None


def control_error_ratio(
    dataset: Dataset, anomaly: Anomaly, before: str, after: str, *, healed: Collection[str]
) -> float | None:
    """The ratio of the failing share of requests, `after` over `before`, of the other operations.

    All entry operations of the anomaly's service but those in `healed` are taken together.
    None where fewer than `MINIMUM_FAILURES` of them failed before, or none was asked after.
    """
    rows: list[dict[str, Any]] = dataset.rows(
        """
        SELECT release = $after AS after, count(*) AS requests,
            count(*) FILTER (status = 'error' OR http_status >= 500) AS failed
        FROM spans
        WHERE service = $service AND release IN ($before, $after)
            AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
            AND NOT list_contains($healed, operation)
        GROUP BY ALL
        """,
        {"service": anomaly.service, "before": before, "after": after, "healed": sorted(healed)},
    )
    shares = {row["after"]: row["failed"] / row["requests"] for row in rows}
    enough = any(not row["after"] and row["failed"] >= MINIMUM_FAILURES for row in rows)
    return shares[True] / shares[False] if enough and True in shares else None
