"""The health score: 0 to 100, by a written formula, with its terms shown.

    0.3·max(0, 100 − p95_ms/2) + 0.4·max(0, 100 − 100·error_percent) + 0.3·availability_percent

over the entry requests of the judged releases. `p95_ms` is exact over all of them,
`error_percent` the percentage that failed, `availability_percent` the percentage of
time buckets with requests in which at least one was answered. Weights are configurable
and normalised to their sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selfheal.artifacts import Dataset
from selfheal.artifacts.anomalies import Health, HealthComponent
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, significant

_BUCKETS = 30
_FIGURES = f"""
WITH requests AS (
    SELECT duration_ms, start_ns, status = 'error' OR coalesce(http_status, 0) >= 500 AS failed
    FROM spans
    WHERE (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
        AND (len($releases) = 0 OR
            list_contains($releases, coalesce(service, '{UNKNOWN}') || ' ' || coalesce(release, '{UNKNOWN}')))
), bucketed AS (
    SELECT bool_or(NOT failed) AS answered
    FROM requests, (SELECT min(start_ns) AS first, max(start_ns) AS last FROM requests)
    WHERE start_ns IS NOT NULL
    GROUP BY (start_ns - first) // greatest(1, least(60_000_000_000, (last - first) // {_BUCKETS}))
)
SELECT count(*)::BIGINT AS requests, count(*) FILTER (failed)::BIGINT AS failed,
    quantile_cont(duration_ms, 0.95) AS p95_ms,
    (SELECT count(*)::BIGINT FROM bucketed) AS buckets,
    (SELECT count(*) FILTER (answered)::BIGINT FROM bucketed) AS answered
FROM requests
"""


def health(
    dataset: Dataset,
    releases: Sequence[tuple[str, str]] = (),
    weights: Mapping[str, float] | None = None,
) -> Health:
    """The health of some (service, release) pairs, of all that is there by default.

    `weights` are of latency, errors and availability. Where there is no entry request
    at all, the state is ``no_data`` and there is no score.
    """
    chosen = DetectConfig().health_weights if weights is None else dict(weights)
    pairs = [f"{service} {release}" for service, release in releases]
    (figures,) = dataset.rows(_FIGURES, {"releases": pairs})
    components = _components(figures, chosen)
    measured = [component for component in components if component.score is not None]
    total = sum(component.weight for component in measured)
    if not measured or total <= 0:
        return Health(state="no_data", score=None, components=components)
    score = sum((component.score or 0.0) * component.weight for component in measured) / total
    return Health(state="measured", score=significant(score), components=components)


def _components(figures: Mapping[str, Any], weights: Mapping[str, float]) -> list[HealthComponent]:
    requests, failed, p95_ms = figures["requests"], figures["failed"], figures["p95_ms"]
    buckets, answered = figures["buckets"], figures["answered"]
    error_percent = 100 * failed / requests if requests else None
    availability = 100 * answered / buckets if buckets else None
    return [
        _component(
            "latency",
            None if p95_ms is None else max(0.0, 100 - p95_ms / 2),
            weights,
            f"max(0, 100 − p95_ms/2), p95_ms = {p95_ms or 0:.6g} over {requests} requests",
        ),
        _component(
            "errors",
            None if error_percent is None else max(0.0, 100 - 100 * error_percent),
            weights,
            f"max(0, 100 − 100·error_percent), error_percent = {error_percent or 0:.6g} "
            f"({failed} of {requests} requests failed)",
        ),
        _component(
            "availability",
            availability,
            weights,
            f"availability_percent, {answered} of {buckets} time buckets with an answered request",
        ),
    ]


def _component(
    name: str, score: float | None, weights: Mapping[str, float], explanation: str
) -> HealthComponent:
    return HealthComponent(
        name=name,
        score=None if score is None else significant(score),
        weight=weights.get(name, 0.0),
        explanation="no data" if score is None else explanation,
    )
