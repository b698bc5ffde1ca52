"""How much a cause weighs: requests affected, severity, size of the guilty change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.diagnosis import Complexity, Impact
from selfheal.artifacts.model import SEVERITIES, Severity
from selfheal.diagnosis.model import Assessed, Cause, pair_of
from selfheal.diagnosis.traces import all_requests, error_requests, requests_through

NEGLIGIBLE = 0.001
WIDESPREAD = 0.25


def assess(cause: Cause, anomalies: Sequence[Anomaly], dataset: Dataset) -> Assessed:
    """Weigh a cause by the requests of the candidate release that it touched."""
    mine = [anomaly for anomaly in anomalies if anomaly.id in cause.anomaly_ids]
    release = pair_of(mine[0]).candidate if mine else None
    affected, what = _affected(cause, mine, dataset, release)
    known = all_requests(dataset, cause.service, release)
    total = max(known, affected) if known else 0
    share = float(f"{affected / total:.6g}") if total else 0.0
    severity = _severity([anomaly.severity for anomaly in mine], share if total else None)
    told = f"{affected} of {total} requests ({100 * share:.1f} %) {what}"
    if not total:
        told = f"seen {affected} times, of how many requests is not known,"
    return Assessed(
        cause=cause,
        impact=Impact(
            severity=severity,
            affected_requests=affected,
            all_requests=total,
            share=share,
            explanation=f"{told} in release {release or 'unknown'}.",
        ),
        complexity="low" if cause.kind == "coverage" else _of_change(cause),
    )


def _of_change(cause: Cause) -> Complexity:
    return complexity(cause.evidence.get("change") or {})


def complexity(change: Mapping[str, int]) -> Complexity:
    """How much the guilty change is: one function and few lines is low. Unknown counts as medium."""
    if not change:
        return "medium"
    functions, lines, files = (change.get(key, 0) for key in ("functions", "lines", "files"))
    if functions <= 2 and lines <= 30 and files <= 1:
        return "low"
    return "medium" if lines <= 120 and files <= 4 else "high"


def _affected(
    cause: Cause, anomalies: Sequence[Anomaly], dataset: Dataset, release: str | None
) -> tuple[int, str]:
    counted = max((anomaly.count for anomaly in anomalies), default=0)
    if cause.kind == "error":
        prints = [str(item.evidence.get("fingerprint")) for item in anomalies]
        found = error_requests(dataset, prints, release)
        own = sum(item.count for item in anomalies if item.kind == "error")
        return (found or own), "fail"
    if cause.kind == "behavioral":
        return counted, "take other steps"
    span_operation = str(cause.evidence.get("span_operation") or cause.operation)
    service = cause.root_service or cause.service
    found = requests_through(dataset, service, span_operation, release)
    return (found or counted), "run it" if cause.kind == "coverage" else "wait for it"


def _severity(severities: Sequence[Severity], share: float | None) -> Severity:
    """The gravest anomaly's, a step up where a large share of all requests is affected, down where next to none is."""
    level = max((SEVERITIES.index(item) for item in severities), default=0)
    if share is None:
        return SEVERITIES[level]
    if share >= WIDESPREAD and level >= SEVERITIES.index("medium"):
        level += 1
    elif 0 < share < NEGLIGIBLE:
        level -= 1
    return SEVERITIES[min(max(level, 0), len(SEVERITIES) - 1)]
