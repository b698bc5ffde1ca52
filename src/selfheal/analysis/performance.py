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

# Of operations in the judged release: who called them, which code stood behind them, and
# their slowest traces.
_OWN = f"""
    coalesce(s.service, '{UNKNOWN}') = $service AND coalesce(s.release, '{UNKNOWN}') = $candidate
    AND list_contains($operations, s.operation)
"""
_PARENTS = f"""
SELECT s.operation, list(DISTINCT p.operation ORDER BY p.operation) AS parents
FROM spans AS s JOIN spans AS p ON s.trace_id = p.trace_id AND s.parent_span_id = p.span_id
WHERE {_OWN} GROUP BY s.operation
"""
_CODE = f"""
SELECT operation, function, file, line FROM (
    SELECT *, row_number() OVER (
        PARTITION BY operation ORDER BY spans DESC, file, line, function) AS place
    FROM (
        SELECT s.operation, s.code_function AS function, s.code_file AS file, s.code_line AS line,
            count(*) AS spans
        FROM spans AS s WHERE s.code_function IS NOT NULL AND {_OWN}
        GROUP BY s.operation, s.code_function, s.code_file, s.code_line
    )
) WHERE place = 1
"""
_SLOWEST = f"""
SELECT operation, trace_id FROM (
    SELECT s.operation, s.trace_id, s.duration_ms, row_number() OVER (
        PARTITION BY s.operation ORDER BY s.duration_ms DESC, s.trace_id) AS place
    FROM spans AS s WHERE s.duration_ms IS NOT NULL AND s.status <> 'error' AND {_OWN}
) WHERE place <= 5 ORDER BY operation, place
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
        drifted = _over_time(data.dataset, comparison, slower, config)
        anomalies += _with_surroundings(data.dataset, comparison, [*found.anomalies, *drifted])
        undecided += found.undecided
    return Findings(anomalies=anomalies, undecided=undecided)


def _between_releases(dataset: Dataset, comparison: Comparison, config: DetectConfig) -> Findings:
    """Operations slower than most; where there is none, what is slower together.

    Releases that served side by side had the same host: if all operations of one became
    slower alike and none more than the others, the release did that. Of releases that
    ran one after the other this cannot be told.
    """
    latency = compare_latency(dataset, comparison, config)
    found = _convicted(comparison, latency, config)
    if latency.common_factor < config.minimum_ratio:
        return found
    if comparison.concurrent and not found.anomalies:
        latency = compare_latency(dataset, comparison, config, keep_common_factor=True)
        return _convicted(comparison, latency, config, keep_common_factor=True)
    return found.model_copy(
        update={"undecided": [*found.undecided, _slower_together(comparison, latency)]}
    )


def _convicted(
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
            anomalies.append(_by_release(comparison, test, p_value, latency, parameters))
        elif test.entry and test.ratio >= config.minimum_ratio and p_value < NO_HINT:
            undecided.append(_not_sure(test, p_value))
    return Findings(anomalies=anomalies, undecided=undecided)


def _adjusted(tests: list[LatencyTest]) -> list[tuple[LatencyTest, float]]:
    adjusted = benjamini_hochberg([test.p_value for test in tests])
    return list(zip(tests, adjusted, strict=True))


def _by_release(
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
        },
    )


def _over_time(
    dataset: Dataset, comparison: Comparison, slower: set[str], config: DetectConfig
) -> list[Anomaly]:
    """Steps within the judged release, of operations that are not slower as a whole."""
    found = drifts(dataset, comparison.service, comparison.candidate, config)
    adjusted = benjamini_hochberg([drift.p_value for drift in found])
    return [
        _drifted(comparison, drift, p_value, config)
        for drift, p_value in zip(found, adjusted, strict=True)
        if drift.p_value <= SIGNIFICANCE
        and p_value <= config.significance
        and drift.ratio >= config.minimum_ratio
        and drift.interval[0] > 1
        and drift.operation not in slower
    ]


def _drifted(comparison: Comparison, drift: Drift, p_value: float, config: DetectConfig) -> Anomaly:
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
        },
    )


def _with_surroundings(
    dataset: Dataset, comparison: Comparison, anomalies: list[Anomaly]
) -> list[Anomaly]:
    """The anomalies with `parents`, `code` and `trace_ids` of their operations in the evidence."""
    if not anomalies:
        return []
    scope = {
        "service": comparison.service,
        "candidate": comparison.candidate.version,
        "operations": sorted({anomaly.operation for anomaly in anomalies}),
    }
    parents = {row["operation"]: row["parents"] for row in dataset.rows(_PARENTS, scope)}
    code = {row.pop("operation"): row for row in dataset.rows(_CODE, scope)}
    traces: dict[str, list[str]] = {}
    for row in dataset.rows(_SLOWEST, scope):
        traces.setdefault(row["operation"], []).append(row["trace_id"])
    return [
        anomaly.model_copy(
            update={
                "evidence": {
                    **anomaly.evidence,
                    "parents": parents.get(anomaly.operation, []),
                    "code": code.get(anomaly.operation),
                    "trace_ids": traces.get(anomaly.operation, []),
                }
            }
        )
        for anomaly in anomalies
    ]


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
