"""Performance anomalies: slower than the release before, or slower than earlier."""

from __future__ import annotations

from typing import Any

from selfheal.analysis.drift import Drift, drifts
from selfheal.analysis.latency import LatencyTest, ServiceLatency, compare_latency
from selfheal.analysis.model import Comparison, DetectionData, Findings
from selfheal.analysis.severity import of_latency
from selfheal.analysis.statistics.multiplicity import benjamini_hochberg
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector, Undecided
from selfheal.artifacts.canonical import short_id
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

BY_RELEASE = "latency_by_release"
OVER_TIME = "latency_over_time"

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
        slower: set[str] = set()
        if comparison.baseline is not None:
            latency = compare_latency(data.dataset, comparison, config)
            for test, p_value in _adjusted(latency.tests):
                if p_value <= config.significance:
                    slower.add(test.operation)
                    anomalies.append(
                        _by_release(data.dataset, comparison, test, p_value, latency, config)
                    )
                elif test.entry and test.ratio >= config.minimum_ratio and test.p_value < 0.5:
                    undecided.append(_not_sure(test, p_value))
            undecided.extend(_untested(comparison, latency, config))
        anomalies.extend(_over_time(data.dataset, comparison, slower, config))
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
    config: DetectConfig,
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
        detector=Detector(
            name=BY_RELEASE, parameters=parameters_of(config), window=comparison.window
        ),
        evidence={
            **evidence,
            "adjusted_p_value": significant(p_value),
            "host_factor": latency.host_factor,
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
        if p_value <= config.significance
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
    reached = max(float(norm.isf(min(p_value, 0.49))), 0.1)
    more = max(1, round(buckets * ((float(norm.isf(0.01)) / reached) ** 2 - 1)))
    return Undecided(
        detector=BY_RELEASE,
        operation=test.operation,
        reason=f"{test.ratio:.2f} times slower, which chance explains (p = {p_value:.2g})",
        needed=f"about {more} more buckets of each release" if reached > 0.5 else None,
    )


def _untested(
    comparison: Comparison, latency: ServiceLatency, config: DetectConfig
) -> list[Undecided]:
    """Operations with too little data on a side, and what all operations share."""
    found = [
        Undecided(
            detector=BY_RELEASE,
            operation=operation,
            reason=f"{before} and {after} buckets of {latency.bucket_seconds:g} s with requests in the two releases",
            needed=f"{config.minimum_buckets} buckets of each release",
        )
        for operation, (before, after) in sorted(latency.untested.items())
        if before and after
    ]
    if latency.host_factor >= config.minimum_ratio:
        found.append(
            Undecided(
                detector=BY_RELEASE,
                operation=f"{comparison.service} (most operations)",
                reason=(
                    f"most operations are {latency.host_factor:.2f} times slower alike; the releases "
                    "ran one after the other, so the host may be the reason"
                ),
                needed="both releases side by side",
            )
        )
    return found
