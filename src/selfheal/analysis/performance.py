"""Performance anomalies: slower than the release before, or slower than earlier."""

from __future__ import annotations

from typing import Any

from selfheal.analysis.drift import Drift, drifts
from selfheal.analysis.latency import LatencyTest, ServiceLatency, compare_latency
from selfheal.analysis.model import Comparison, DetectionData, Findings, without_baseline
from selfheal.analysis.severity import of_latency
from selfheal.analysis.statistics.change_point import SIGNIFICANCE
from selfheal.analysis.statistics.multiplicity import benjamini_hochberg
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector, Undecided
from selfheal.artifacts.canonical import short_id
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

BY_RELEASE = "latency_by_release"
OVER_TIME = "latency_over_time"
# Above this p-value a test does not even hint at what it looks for.
NO_HINT = 0.5

# Who called an operation, and which code stood behind it, in the judged release.
_SURROUNDINGS = f"""
WITH own AS (
    SELECT * FROM spans WHERE coalesce(service, '{UNKNOWN}') = $service
        AND coalesce(release, '{UNKNOWN}') = $candidate AND operation = $operation
)
SELECT
    (SELECT list(DISTINCT p.operation ORDER BY p.operation) FROM own JOIN spans AS p
        ON own.trace_id = p.trace_id AND own.parent_span_id = p.span_id) AS parents,
    (SELECT mode({{'function': code_function, 'file': code_file, 'line': code_line}})
        FROM own WHERE code_function IS NOT NULL) AS code,
    (SELECT list(trace_id ORDER BY duration_ms DESC, trace_id) FROM
        (SELECT trace_id, duration_ms FROM own WHERE duration_ms IS NOT NULL AND status <> 'error'
         ORDER BY duration_ms DESC, trace_id LIMIT 5)) AS trace_ids
"""


def parameters_of(config: DetectConfig) -> dict[str, Any]:
    """What a judge needs to ask the same question again."""
    names = ("bucket_seconds", "significance", "minimum_ratio", "minimum_buckets")
    return {name: getattr(config, name) for name in names}


def detect_performance(data: DetectionData, config: DetectConfig) -> Findings:
    """The slower operations of every service."""
    anomalies: list[Anomaly] = []
    undecided: list[Undecided] = []
    for comparison in data.comparisons:
        if comparison.baseline is None:
            found = Findings(undecided=[without_baseline(comparison, BY_RELEASE)])
        else:
            found = _between_releases(data.dataset, comparison, config)
        slower = {anomaly.operation for anomaly in found.anomalies}
        anomalies += found.anomalies
        anomalies += _over_time(data.dataset, comparison, slower, config)
        undecided += found.undecided
    return Findings(anomalies=anomalies, undecided=undecided)


def _between_releases(dataset: Dataset, comparison: Comparison, config: DetectConfig) -> Findings:
    """Operations slower than most; where there is none, what is slower together.

    Releases that served side by side had the same host: if all operations of one became
    slower alike and none more than the others, the release did that. Of releases that
    ran one after the other this cannot be told.
    """
    latency = compare_latency(dataset, comparison, config)
    found = _convicted(dataset, comparison, latency, config)
    if latency.common_factor < config.minimum_ratio:
        return found
    if comparison.concurrent and not found.anomalies:
        latency = compare_latency(dataset, comparison, config, keep_common_factor=True)
        return _convicted(dataset, comparison, latency, config, keep_common_factor=True)
    return found.model_copy(
        update={"undecided": [*found.undecided, _slower_together(comparison, latency)]}
    )


def _convicted(
    dataset: Dataset,
    comparison: Comparison,
    latency: ServiceLatency,
    config: DetectConfig,
    *,
    keep_common_factor: bool = False,
) -> Findings:
    parameters = {**parameters_of(config), "keep_common_factor": keep_common_factor}
    anomalies = []
    undecided = _untested(latency, config)
    for test, p_value in _adjusted(latency.tests):
        if p_value <= config.significance:
            anomalies.append(_by_release(dataset, comparison, test, p_value, latency, parameters))
        elif test.entry and test.ratio >= config.minimum_ratio and p_value < NO_HINT:
            undecided.append(_not_sure(test, p_value))
    return Findings(anomalies=anomalies, undecided=undecided)


def _adjusted(tests: list[LatencyTest]) -> list[tuple[LatencyTest, float]]:
    adjusted = benjamini_hochberg([test.p_value for test in tests])
    return list(zip(tests, adjusted, strict=True))


def _by_release(
    dataset: Dataset,
    comparison: Comparison,
    test: LatencyTest,
    p_value: float,
    latency: ServiceLatency,
    parameters: dict[str, Any],
) -> Anomaly:
    evidence = test.evidence()
    measure = f"{test.measure}_ms"
    before, after = evidence["baseline"][measure], evidence["candidate"][measure]
    candidate = comparison.candidate.version
    return Anomaly(
        id=short_id("anomaly", BY_RELEASE, comparison.service, test.operation),
        kind="performance",
        service=comparison.service,
        operation=test.operation,
        severity=of_latency(test.ratio, after - before),
        score=significant(1 - 1 / test.ratio),
        title=(
            f"{test.operation} is {test.ratio:.1f} times slower in {candidate} "
            f"({test.measure.upper()} {before:.3g} → {after:.3g} ms)"
        ),
        first_seen=iso(test.candidate.figures["first_ns"]),
        last_seen=iso(test.candidate.figures["last_ns"]),
        count=test.candidate.figures["count"],
        detector=Detector(name=BY_RELEASE, parameters=parameters, window=comparison.window),
        evidence={
            **evidence,
            "adjusted_p_value": significant(p_value),
            "common_factor": latency.common_factor,
            "bucket_seconds": latency.bucket_seconds,
            **_surroundings(dataset, comparison, test.operation),
        },
    )


def _over_time(
    dataset: Dataset, comparison: Comparison, slower: set[str], config: DetectConfig
) -> list[Anomaly]:
    """Steps within the judged release, of operations that are not slower as a whole."""
    found = drifts(dataset, comparison.service, comparison.candidate, config)
    adjusted = benjamini_hochberg([drift.p_value for drift in found])
    return [
        _drifted(dataset, comparison, drift, p_value, config)
        for drift, p_value in zip(found, adjusted, strict=True)
        if drift.p_value <= SIGNIFICANCE
        and p_value <= config.significance
        and drift.ratio >= config.minimum_ratio
        and drift.interval[0] > 1
        and drift.operation not in slower
    ]


def _drifted(
    dataset: Dataset, comparison: Comparison, drift: Drift, p_value: float, config: DetectConfig
) -> Anomaly:
    since = iso(drift.since_ns)
    return Anomaly(
        id=short_id("anomaly", OVER_TIME, comparison.service, drift.operation),
        kind="performance",
        service=comparison.service,
        operation=drift.operation,
        severity=of_latency(drift.ratio, drift.after_ms - drift.before_ms),
        score=significant(1 - 1 / drift.ratio),
        title=f"{drift.operation} is {drift.ratio:.1f} times slower since {since}",
        first_seen=since,
        last_seen=iso(comparison.candidate.end_ns),
        count=drift.requests,
        detector=Detector(
            name=OVER_TIME, parameters=parameters_of(config), window=comparison.window
        ),
        evidence={
            **drift.evidence(),
            "adjusted_p_value": significant(p_value),
            **_surroundings(dataset, comparison, drift.operation),
        },
    )


def _surroundings(dataset: Dataset, comparison: Comparison, operation: str) -> dict[str, Any]:
    scope = {
        "service": comparison.service,
        "candidate": comparison.candidate.version,
        "operation": operation,
    }
    (row,) = dataset.rows(_SURROUNDINGS, scope)
    return {
        "parents": row["parents"] or [],
        "code": row["code"],
        "trace_ids": row["trace_ids"] or [],
    }


def _not_sure(test: LatencyTest, p_value: float) -> Undecided:
    """The ratio is over the floor and chance is not ruled out: how much more data would tell.

    A z-score grows with the square root of the number of buckets.
    """
    from scipy.stats import norm

    buckets = min(len(test.baseline.medians), len(test.candidate.medians))
    wanted = float(norm.isf(0.01)) / max(float(norm.isf(p_value)), 0.1)
    more = max(1, round(buckets * (wanted**2 - 1)))
    return Undecided(
        detector=BY_RELEASE,
        operation=test.operation,
        reason=f"{test.ratio:.2f} times slower, which chance explains (p = {p_value:.2g})",
        needed=f"about {more} more buckets of each release",
    )


def _untested(latency: ServiceLatency, config: DetectConfig) -> list[Undecided]:
    """Operations that both releases have, with too little data on a side."""
    return [
        Undecided(
            detector=BY_RELEASE,
            operation=operation,
            reason=(
                f"{before} and {after} buckets of {latency.bucket_seconds:g} s "
                "with requests in the two releases"
            ),
            needed=f"{config.minimum_buckets} buckets of each release",
        )
        for operation, (before, after) in sorted(latency.untested.items())
        if before and after
    ]


def _slower_together(comparison: Comparison, latency: ServiceLatency) -> Undecided:
    alike = f"most operations of {comparison.service} are {latency.common_factor:.2f} times slower alike"
    if comparison.concurrent:
        return Undecided(
            detector=BY_RELEASE,
            operation=comparison.service,
            reason=f"{alike}: code that they share, or the load that the slowest ones make",
            needed="the slowest ones healed",
        )
    return Undecided(
        detector=BY_RELEASE,
        operation=comparison.service,
        reason=f"{alike}; the releases ran one after the other, so the host may be the reason",
        needed="both releases side by side",
    )
