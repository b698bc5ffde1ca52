"""The detectors as judges: the question that found an anomaly, asked of other telemetry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from selfheal.analysis import (
    behaviour,
    declared_order,
    dependencies,
    documentation,
    errors,
    invariants,
    messages,
    metrics,
    objectives,
    performance,
    state,
    topics,
    traffic,
    untested,
)
from selfheal.analysis.latency import compare_latency
from selfheal.analysis.model import Comparison, Judgement
from selfheal.analysis.order import Contracts
from selfheal.analysis.releases import two_sides
from selfheal.analysis.statistics.rates import rate_is_higher, trials_to_see
from selfheal.artifacts import Anomaly, Dataset
from selfheal.config import DetectConfig
from selfheal.errors import InvalidInput
from selfheal.telemetry.statistics import UNKNOWN, significant

_OCCURRENCES = f"""
SELECT count(*) FILTER (fingerprint = $fingerprint)::BIGINT AS same,
    count(*) FILTER (fingerprint <> $fingerprint)::BIGINT AS alike
FROM errors
WHERE coalesce(service, '{UNKNOWN}') = $service AND coalesce(release, '{UNKNOWN}') = $candidate
    AND coalesce(operation, '{UNKNOWN}') = $operation AND (fingerprint = $fingerprint
        OR split_part(coalesce(exception_type, ''), '.', -1)
            = split_part(coalesce($exception_type, ''), '.', -1))
"""


def judge(
    anomaly: Anomaly,
    dataset: Dataset,
    *,
    baseline: str,
    candidate: str,
    parameters: Mapping[str, Any] | None = None,
) -> Judgement:
    """Ask the anomaly's own detector whether `candidate` shows it in `dataset`.

    `baseline` and `candidate` are release names (service.version) in the dataset.
    `parameters` override those that the anomaly keeps, for instance
    ``{"expected_rate": 1.0}`` where only requests are replayed that failed before.

    * performance: is the operation slower in `candidate` than in `baseline`?
    * error, behavioural: does it (for errors: its fingerprint, or its type) still happen
      at the operation in `candidate`? That it does not counts once there were enough
      requests to expect it, at the anomaly's rate and level.
    * state: does the step still change the key? Traffic: is the operation's share of the
      requests still another one?
    * objectives: is the budget still spent too fast?
    * log messages: is the template still logged as often, or still gone?
    * declared sequences, topics: is the declaration still broken, the topic still used?
    * coverage: does the suite's coverage data still leave the function out?

    Raises InvalidInput where the anomaly's detector is none of selfheal's.
    """
    judges: Mapping[str, Callable[..., Judgement]] = {
        performance.BY_RELEASE: _judge_latency,
        performance.OVER_TIME: _judge_latency,
        errors.DETECTOR: _judge_errors,
        behaviour.DETECTOR: _judge_order,
        traffic.DETECTOR: _judge_traffic,
        state.DETECTOR: _judge_state,
        objectives.DETECTOR: _of_asked(objectives.judge_objective),
        messages.DETECTOR: _of_asked(messages.judge_message),
        declared_order.DETECTOR: _of_asked(declared_order.judge_declared),
        invariants.DETECTOR: _of_asked(invariants.judge_invariant),
        topics.DETECTOR: _of_asked(topics.judge_topic),
    }
    detector = anomaly.detector
    asked = {**detector.parameters, **(parameters or {})}
    if detector.name == untested.DETECTOR:
        return _judge_coverage(dataset, candidate, asked)
    if detector.name in _NOT_IN_TELEMETRY:
        return Judgement("no_data", _NOT_IN_TELEMETRY[detector.name], {})
    if detector.name not in judges:
        raise InvalidInput(
            f"no judge is known for the detector {detector.name!r} of anomaly {anomaly.id}.",
            hint=f"Known are {', '.join(judges)} and {untested.DETECTOR}.",
        )
    sides = two_sides(dataset, anomaly.service, baseline, candidate)
    if sides is None:
        return Judgement("no_data", f"no telemetry of {anomaly.service} {candidate}", {})
    return judges[detector.name](anomaly, dataset, sides, asked)


_NOT_IN_TELEMETRY = {
    documentation.DETECTOR: "telemetry does not tell what documents say",
    dependencies.DETECTOR: "telemetry does not tell which versions are installed",
    metrics.DETECTOR: "a metric of another time is another series",
    traffic.OVER_TIME: "the traffic of another time is other traffic",
}


def _judge_traffic(
    anomaly: Anomaly, dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]
) -> Judgement:
    return traffic.judge_traffic(anomaly.operation, dataset, sides, asked)


def _judge_state(
    anomaly: Anomaly, dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]
) -> Judgement:
    return state.judge_state(anomaly.operation, dataset, sides, asked)


def _of_asked(
    judge_one: Callable[[Dataset, Comparison, Mapping[str, Any]], Judgement],
) -> Callable[..., Judgement]:
    """A judge to which the detector's parameters tell all."""
    return lambda _, dataset, sides, asked: judge_one(dataset, sides, asked)


def _judge_latency(
    anomaly: Anomaly, dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]
) -> Judgement:
    if sides.baseline is None:
        return Judgement("no_data", f"no telemetry of the baseline of {anomaly.service}", {})
    names = performance.parameters_of(DetectConfig())
    config = DetectConfig(**{name: asked[name] for name in names if name in asked})
    latency = compare_latency(
        dataset,
        sides,
        config,
        operation=anomaly.operation,
        keep_common_factor=bool(asked.get("keep_common_factor")),
    )
    if not latency.tests:
        buckets = latency.untested.get(anomaly.operation, (0, 0))
        if 0 in buckets:
            return Judgement("no_data", f"{anomaly.operation} did not run in both releases", {})
        return Judgement(
            "inconclusive",
            f"{min(buckets)} of {config.minimum_buckets} buckets with requests",
            {"buckets": list(buckets), "bucket_seconds": latency.bucket_seconds},
        )
    (test,) = latency.tests
    evidence = {
        **test.evidence(),
        "common_factor": latency.common_factor,
        "bucket_seconds": latency.bucket_seconds,
    }
    told = f"{test.ratio:.2f} times the {test.measure.upper()} of the baseline (p = {test.p_value:.2g})"
    if test.p_value <= config.significance:
        return Judgement("anomalous", told, evidence)
    return Judgement(
        "inconclusive" if test.p_value < performance.NO_HINT else "quiet", told, evidence
    )


def _judge_errors(
    anomaly: Anomaly, dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]
) -> Judgement:
    known = anomaly.evidence
    (counts,) = dataset.rows(
        _OCCURRENCES,
        {
            "service": anomaly.service,
            "candidate": sides.candidate.version,
            "operation": anomaly.operation,
            "fingerprint": known["fingerprint"],
            "exception_type": known["exception_type"],
        },
    )
    by_operation = errors.requests_by_operation(dataset, sides)
    among = by_operation.get(anomaly.operation)
    requests = among.candidate if among else 0
    if not by_operation:
        requests = sides.candidate.requests
    seen = counts["same"] + counts["alike"]
    if seen and known.get("baseline_count"):
        higher = rate_is_higher(
            known["baseline_count"], known["baseline_requests"], seen, max(requests, 1)
        )
        if higher > asked["significance"]:
            return Judgement(
                "quiet",
                f"{seen} of {requests} requests, no more than before the anomaly (p = {higher:.2g})",
                {**counts, "requests": requests, "p_value": significant(higher)},
            )
    return _absence(known["exception_type"] or "the error", seen, requests, asked, {**counts})


def _judge_order(
    anomaly: Anomaly, dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]
) -> Judgement:
    operation = anomaly.operation
    with Contracts(dataset, sides, operation=operation) as contracts:
        traces = contracts.traces(operation)
        broken = contracts.occurrences(
            asked["violation"], operation, asked["step"], asked.get("other")
        )
    return _absence(f"{asked['violation']} {asked['step']}", broken, traces, asked, {})


def _absence(
    what: str, seen: int, requests: int, asked: Mapping[str, Any], evidence: Mapping[str, Any]
) -> Judgement:
    """Whether something still happens; that it does not needs enough requests to be told."""
    numbers = {**evidence, "seen": seen, "requests": requests}
    if seen:
        return Judgement("anomalous", f"{what} in {seen} of {requests} requests", numbers)
    if requests == 0:
        return Judgement("no_data", "the operation had no requests", numbers)
    needed = trials_to_see(asked["expected_rate"], asked["significance"])
    told = f"{what} in none of {requests} requests; {needed} are needed to tell"
    return Judgement(
        "quiet" if requests >= needed else "inconclusive", told, {**numbers, "needed": needed}
    )


def _judge_coverage(dataset: Dataset, candidate: str, asked: Mapping[str, Any]) -> Judgement:
    region = untested.coverage_of(dataset, candidate, asked["file"], asked["function"])
    if region is None:
        return Judgement("no_data", "no coverage data of this function", {})
    covered, total = region["covered_lines"], region["total_lines"]
    return Judgement(
        "quiet" if covered else "anomalous",
        f"{covered} of {total} lines covered",
        {"covered_lines": covered, "total_lines": total},
    )
