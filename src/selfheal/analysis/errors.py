"""Errors by fingerprint: new ones, and those that became more frequent.

Occurrences are counted per entry operation and compared with how many requests the
operation had, by an exact test on two Poisson rates, adjusted over all groups
(Benjamini-Hochberg). A new failure that nothing caught is reported from its second
request on: that it exists needs no test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from selfheal.analysis.dependencies import missing_package
from selfheal.analysis.model import Comparison, DetectionData, Findings
from selfheal.analysis.severity import of_errors
from selfheal.analysis.statistics.multiplicity import benjamini_hochberg
from selfheal.analysis.statistics.rates import rate_is_higher, trials_to_see
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector, Undecided
from selfheal.artifacts.canonical import short_id
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

DETECTOR = "error_rate_by_fingerprint"
MINIMUM_NEW = 2

_GROUPS = f"""
WITH sides AS (
    SELECT *, coalesce(release, '{UNKNOWN}') = $candidate AS candidate FROM errors
    WHERE coalesce(service, '{UNKNOWN}') = $service
        AND coalesce(release, '{UNKNOWN}') IN ($baseline, $candidate)
)
SELECT coalesce(operation, '{UNKNOWN}') AS operation, fingerprint,
    count(*) FILTER (NOT candidate)::BIGINT AS baseline_count,
    count(*) FILTER (candidate)::BIGINT AS candidate_count,
    count(*) FILTER (candidate AND handled IS NOT TRUE)::BIGINT AS unhandled,
    count(*) FILTER (candidate AND list_contains($tests, source))::BIGINT AS tests,
    arg_min(exception_type, (time_ns, source, line)) FILTER (candidate) AS exception_type,
    arg_min(exception_message, (time_ns, source, line)) FILTER (candidate) AS message,
    arg_min(frames, (time_ns, source, line)) FILTER (candidate) AS frames,
    min(time_ns) FILTER (candidate) AS first_ns, max(time_ns) FILTER (candidate) AS last_ns,
    (list(DISTINCT trace_id ORDER BY trace_id) FILTER (candidate AND trace_id IS NOT NULL))[:5]
        AS trace_ids
FROM sides GROUP BY 1, 2 HAVING count(*) FILTER (candidate) > 0 ORDER BY 1, 2
"""
_REQUESTS = f"""
SELECT operation, coalesce(release, '{UNKNOWN}') = $candidate AS candidate, count(*) AS requests
FROM spans WHERE coalesce(service, '{UNKNOWN}') = $service
    AND coalesce(release, '{UNKNOWN}') IN ($baseline, $candidate)
    AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
GROUP BY ALL
"""


class Requests(NamedTuple):
    """How many entry requests an operation had in the two releases."""

    baseline: int
    candidate: int


class ErrorGroup(NamedTuple):
    """One fingerprint at one operation. `p_value` is of the rate having risen; None without a baseline."""

    facts: Mapping[str, Any]
    requests: Requests
    p_value: float | None

    @property
    def new(self) -> bool:
        """Never seen in a baseline that could have shown it."""
        return self.p_value is not None and self.facts["baseline_count"] == 0

    @property
    def share(self) -> float:
        """The share of the operation's requests that fail this way; 1 where requests are unknown."""
        return min(1.0, int(self.facts["candidate_count"]) / max(1, self.requests.candidate))


def scope_of(comparison: Comparison) -> dict[str, Any]:
    """The parameters that queries over two releases of a service take."""
    return {
        "service": comparison.service,
        "baseline": comparison.baseline.version if comparison.baseline else None,
        "candidate": comparison.candidate.version,
    }


def requests_by_operation(dataset: Dataset, comparison: Comparison) -> dict[str, Requests]:
    """Entry requests of each operation in the two releases."""
    counts: dict[str, list[int]] = {}
    for row in dataset.rows(_REQUESTS, scope_of(comparison)):
        counts.setdefault(row["operation"], [0, 0])[int(row["candidate"])] += row["requests"]
    return {operation: Requests(*pair) for operation, pair in counts.items()}


def error_groups(
    dataset: Dataset, comparison: Comparison, test_reports: Sequence[int] = ()
) -> list[ErrorGroup]:
    """The errors of the candidate by operation and fingerprint, tested against the baseline.

    `test_reports` are the sources that are reports of test runners.
    """
    requests = requests_by_operation(dataset, comparison)
    whole = Requests(
        comparison.baseline.requests if comparison.baseline else 0, comparison.candidate.requests
    )
    groups = []
    scope = scope_of(comparison) | {"tests": list(test_reports) or [-1]}
    for facts in dataset.rows(_GROUPS, scope):
        # What has no entry operation (a background log) is measured against all requests.
        among = requests.get(facts["operation"], whole)
        p_value = (
            rate_is_higher(
                facts["baseline_count"], among.baseline, facts["candidate_count"], among.candidate
            )
            if among.baseline and among.candidate
            else None
        )
        groups.append(ErrorGroup(facts, among, p_value))
    return groups


def detect_errors(data: DetectionData, config: DetectConfig) -> Findings:
    """New and risen errors; without a baseline, all that nothing handled."""
    anomalies: list[Anomaly] = []
    undecided: list[Undecided] = []
    for comparison in data.comparisons:
        groups = error_groups(data.dataset, comparison, data.test_reports)
        adjusted = benjamini_hochberg([1.0 if g.p_value is None else g.p_value for g in groups])
        for group, p_value in zip(groups, adjusted, strict=True):
            if _is_anomalous(group, p_value, config):
                anomalies.append(_anomaly(group, p_value, comparison, config))
            elif group.facts["unhandled"] and (group.new or group.p_value is None):
                undecided.append(_open(group, config))
    return Findings(anomalies=anomalies, undecided=undecided)


def _is_anomalous(group: ErrorGroup, p_value: float, config: DetectConfig) -> bool:
    unseen = group.p_value is None or group.new
    # A failing test is a fact of its own: it is not one of many requests.
    if unseen and (group.facts["tests"] or group.facts["unhandled"] >= MINIMUM_NEW):
        return True
    return group.p_value is not None and p_value <= config.significance


def _anomaly(
    group: ErrorGroup, p_value: float, comparison: Comparison, config: DetectConfig
) -> Anomaly:
    facts = group.facts
    name = facts["exception_type"] or "error"
    package = missing_package(facts["exception_type"], facts["message"], facts["frames"])
    what = "new" if group.new else "more frequent" if group.p_value is not None else "found"
    requests = group.requests
    return Anomaly(
        id=short_id(
            "anomaly", DETECTOR, comparison.service, facts["operation"], facts["fingerprint"]
        ),
        kind="dependency" if package else "error",
        service=comparison.service,
        operation=facts["operation"],
        severity=of_errors(group.share, handled=facts["unhandled"] == 0),
        score=significant(max(group.share, 1 - p_value)),
        title=(
            f"{name} {what} at {facts['operation']} in {comparison.candidate.version}: "
            f"{_often(facts['candidate_count'], requests.candidate)}"
        )
        if not facts["tests"]
        else f"{name} in the test {facts['operation']}",
        first_seen=iso(facts["first_ns"]),
        last_seen=iso(facts["last_ns"]),
        count=facts["candidate_count"],
        detector=Detector(
            name=DETECTOR,
            parameters={
                "significance": config.significance,
                "expected_rate": significant(group.share),
            },
            window=comparison.window,
        ),
        evidence={
            "fingerprint": facts["fingerprint"],
            "exception_type": facts["exception_type"],
            "message": facts["message"],
            "frames": json.loads(facts["frames"] or "[]"),
            "baseline_count": facts["baseline_count"],
            "candidate_count": facts["candidate_count"],
            "unhandled": facts["unhandled"],
            "baseline_requests": requests.baseline,
            "requests": requests.candidate,
            "share": significant(group.share),
            "trace_ids": facts["trace_ids"] or [],
            "new": group.new,
            **({"test": facts["operation"]} if facts["tests"] else {}),
            **({"package": package} if package else {}),
            "p_value": None if group.p_value is None else significant(group.p_value),
            "adjusted_p_value": significant(p_value),
        },
    )


def _open(group: ErrorGroup, config: DetectConfig) -> Undecided:
    """Too few occurrences: as many baseline requests as would have shown this rate."""
    facts = group.facts
    needed = trials_to_see(max(group.share, 1e-9), config.significance)
    return Undecided(
        detector=DETECTOR,
        operation=facts["operation"],
        reason=(
            f"{facts['exception_type'] or 'an error'} was seen {facts['candidate_count']} times, "
            "which a rare older error explains as well"
        ),
        needed=f"about {needed} requests of each release",
    )


def _often(count: int, requests: int) -> str:
    """Logs alone do not tell how many requests there were."""
    return f"{count} of {requests} requests" if requests else f"{count} times"
