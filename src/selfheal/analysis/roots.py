"""Which service: where the trouble of several services begins.

Over the call graph (which service's spans are parents of which other's) a service that
is anomalous while nothing that it calls is as much so is where trouble begins (A. Samir,
C. Pahl 2019, among many). Measured facts weigh with it: whose own time grew (a request's
time without the calls to other services), where failures arise that the services above
only pass on, whose logs tell of new errors that no callee's logs tell of, and whose
metrics left their usual level.

Only what changed accuses: an error that was always there does not, nor does a lone spike
of a metric, nor one slight deviation alone. Where nothing else is anomalous, nobody is
accused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.analysis.model import Comparison
from selfheal.analysis.statistics.rates import rate_is_higher
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import RootCandidate
from selfheal.artifacts.model import SEVERITIES
from selfheal.telemetry.statistics import UNKNOWN, significant

if TYPE_CHECKING:
    import duckdb

# Of the score; parts of which nobody shows anything are left out.
WEIGHTS = {
    "no_anomalous_callee": 0.3,
    "own_time": 0.3,
    "own_errors": 0.2,
    "logs": 0.1,
    "metrics": 0.1,
}
# What tells of documents, tests and visitors tells nothing of where trouble begins.
_KINDS = {"performance", "error", "behavioral", "state", "dependency"}
_OF_VISITORS = {"surge", "drop", "appeared", "vanished"}
_METRICS, _LOGS, _ERRORS = "metric_series", "log_template_rate", "error_rate_by_fingerprint"
# A metric that spikes so often is no chance any more.
_MANY_SPIKES = 3
# That failures of a service have risen, where no release tells it.
_SURE = 0.001

# An entry of a service is a span whose parent is not of that service.
_ENTRIES = f"""
CREATE TEMP TABLE entries AS
SELECT c.trace_id, coalesce(c.service, '{UNKNOWN}') AS service, coalesce(c.release, '{UNKNOWN}') AS release,
    c.start_ns, c.duration_ms, c.status = 'error' OR coalesce(c.http_status, 0) >= 500 AS failed,
    CASE WHEN p.span_id IS NOT NULL THEN coalesce(p.service, '{UNKNOWN}') END AS caller
FROM spans AS c LEFT JOIN spans AS p
    ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
WHERE p.span_id IS NULL OR coalesce(p.service, '{UNKNOWN}') <> coalesce(c.service, '{UNKNOWN}')
"""
_CALLS = """
SELECT DISTINCT caller, service AS callee FROM entries WHERE caller IS NOT NULL ORDER BY ALL
"""
_RELEASES = """
CREATE TEMP TABLE releases AS
SELECT unnest($services) AS name, unnest($baselines) AS baseline, unnest($candidates) AS candidate
"""
# A service's time in other services is that of their entries below it, through client
# spans of its own.
_OWN = """
WITH sides AS (
    SELECT e.trace_id, e.service, e.caller, e.duration_ms, e.failed,
        CASE WHEN r.baseline IS NULL THEN e.start_ns >= $since_ns
            WHEN e.release = r.candidate THEN true WHEN e.release = r.baseline THEN false END AS after
    FROM entries AS e LEFT JOIN releases AS r ON r.name = e.service
    WHERE e.duration_ms IS NOT NULL AND e.start_ns IS NOT NULL
), passed AS (
    SELECT trace_id, caller AS service, sum(duration_ms) AS ms, bool_or(failed) AS failed
    FROM sides WHERE caller IS NOT NULL GROUP BY ALL
), per_trace AS (
    SELECT trace_id, service, after, sum(duration_ms) AS ms, bool_or(failed) AS failed
    FROM sides WHERE after IS NOT NULL GROUP BY ALL
)
SELECT e.service, e.after, count(*)::BIGINT AS traces,
    median(greatest(e.ms - coalesce(p.ms, 0), 0)) AS own_ms,
    avg((e.failed AND NOT coalesce(p.failed, false))::INTEGER) AS own_failures,
    count(*) FILTER (e.failed)::BIGINT AS failures
FROM per_trace AS e LEFT JOIN passed AS p ON p.trace_id = e.trace_id AND p.service = e.service
GROUP BY ALL ORDER BY ALL
"""


class _Own(NamedTuple):
    """A service by itself: growth of its median own time (ms) and of its own share of failures.

    `failing_more` is the p-value of all its failures, passed on or not, having risen.
    """

    time: float
    failures: float
    failing_more: float


def root_candidates(
    dataset: Dataset, comparisons: Sequence[Comparison], anomalies: Sequence[Anomaly]
) -> list[RootCandidate]:
    """Anomalous services, likeliest root first; empty for one service alone, or a healthy window."""
    suspect = [one for one in anomalies if _tells_of_services(one)]
    if not suspect or len({pair.service for pair in comparisons}) < 2:
        return []
    with dataset.connect() as connection:
        connection.execute(_ENTRIES)
        calls: dict[str, set[str]] = {}
        for caller, callee in connection.execute(_CALLS).fetchall():
            calls.setdefault(caller, set()).add(callee)
        own = _own(connection, comparisons, suspect)
    accused: dict[str, list[Anomaly]] = {}
    for anomaly in suspect:
        if _changed(anomaly, own.get(anomaly.service)):
            accused.setdefault(anomaly.service, []).append(anomaly)
    if not any(map(_is_sure, accused.values())):
        return []
    below = {name: _reachable(name, calls) & set(accused) - {name} for name in accused}
    parts = _parts(accused, below, own)
    found = [
        _candidate(name, reasons, sorted(below[name]), own.get(name), parts[name])
        for name, reasons in accused.items()
    ]
    return sorted(found, key=lambda one: (-one.score, one.service))


def _tells_of_services(anomaly: Anomaly) -> bool:
    if anomaly.kind not in _KINDS or anomaly.evidence.get("violation") in _OF_VISITORS:
        return False
    if anomaly.detector.name == _METRICS:
        lone = anomaly.evidence["violation"] == "spike" and anomaly.count < _MANY_SPIKES
        return not lone
    return anomaly.evidence.get("change") != "vanished"


def _changed(anomaly: Anomaly, own: _Own | None) -> bool:
    """Without a baseline, an error is a change where the failures of its service have risen."""
    if anomaly.detector.name != _ERRORS or anomaly.evidence.get("p_value") is not None:
        return True
    return own is None or own.failing_more <= _SURE


def _is_sure(reasons: Sequence[Anomaly]) -> bool:
    """Whether one service's anomalies suffice: several kinds, a grave one, or a tested one."""
    detectors = {one.detector.name for one in reasons}
    return len(detectors) > 1 or any(
        one.severity != "low" or one.kind == "performance" or one.evidence.get("new")
        for one in reasons
    )


def _parts(
    accused: Mapping[str, Sequence[Anomaly]],
    below: Mapping[str, set[str]],
    own: Mapping[str, _Own],
) -> dict[str, dict[str, float]]:
    """The parts of each service's score, each 0-1, as shares among the accused."""
    weights = {name: max(_weight(one) for one in reasons) for name, reasons in accused.items()}
    highest = max(weights.values())

    def unexplained(name: str) -> float:
        """How anomalous it is, less how much so the worst is that it calls."""
        worst = max((weights[callee] for callee in below[name]), default=0.0)
        return max(weights[name] - worst, 0.0) / highest

    logs = _of_detector(accused, _LOGS)
    metrics = _of_detector(accused, _METRICS)
    shares = {
        "own_time": _shares(accused, lambda name: own[name].time if name in own else 0.0),
        "own_errors": _shares(accused, lambda name: own[name].failures if name in own else 0.0),
        # Who calls what errs logs an error too.
        "logs": _shares(
            accused, lambda name: 0.0 if below[name] & set(logs) else logs.get(name, 0.0)
        ),
        "metrics": _shares(accused, lambda name: metrics.get(name, 0.0)),
    }
    told = {part: share for part, share in shares.items() if share}
    return {
        name: {
            "no_anomalous_callee": unexplained(name),
            **{part: share[name] for part, share in told.items()},
        }
        for name in accused
    }


def _weight(anomaly: Anomaly) -> float:
    return float(2 ** SEVERITIES.index(anomaly.severity)) * anomaly.score


def _of_detector(accused: Mapping[str, Sequence[Anomaly]], detector: str) -> dict[str, float]:
    sums = {
        name: sum(_weight(one) for one in reasons if one.detector.name == detector)
        for name, reasons in accused.items()
    }
    return {name: weight for name, weight in sums.items() if weight}


def _shares(names: Mapping[str, Any], value: Callable[[str], float]) -> dict[str, float]:
    """What share each has of the sum of what is above zero; empty where nothing is."""
    values = {name: max(value(name), 0.0) for name in names}
    total = sum(values.values())
    return {name: one / total for name, one in values.items()} if total > 0 else {}


def _candidate(
    name: str,
    reasons: Sequence[Anomaly],
    below: list[str],
    own: _Own | None,
    parts: Mapping[str, float],
) -> RootCandidate:
    total = sum(WEIGHTS[part] for part in parts)
    score = sum(WEIGHTS[part] * share for part, share in parts.items()) / total
    evidence: dict[str, Any] = {
        "anomalous_callees": below,
        "own_time_growth_ms": significant(own.time) if own else None,
        "own_failures_growth": significant(own.failures) if own else None,
        "gravest": max((one.severity for one in reasons), key=SEVERITIES.index),
        **{part: significant(value) for part, value in parts.items()},
    }
    return RootCandidate(
        service=name,
        score=significant(score),
        anomaly_ids=sorted(one.id for one in reasons),
        evidence=evidence,
    )


def _reachable(start: str, calls: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        for callee in calls.get(ahead.pop(), set()) - found:
            found.add(callee)
            ahead.append(callee)
    return found


def _own(
    connection: duckdb.DuckDBPyConnection,
    comparisons: Sequence[Comparison],
    anomalies: Sequence[Anomaly],
) -> dict[str, _Own]:
    """Per service, from its baseline to its judged release; without one, since trouble began."""
    connection.execute(
        _RELEASES,
        {
            "services": [pair.service for pair in comparisons],
            "baselines": [pair.baseline.version if pair.baseline else None for pair in comparisons],
            "candidates": [pair.candidate.version for pair in comparisons],
        },
    )
    rows = connection.execute(_OWN, {"since_ns": _since(comparisons, anomalies)}).fetchall()
    sides = {(service, after): figures for service, after, *figures in rows}
    found = {}
    for (service, after), (traces, own_ms, own_failures, failures) in sides.items():
        before = sides.get((service, False))
        if after and before:
            found[service] = _Own(
                own_ms - before[1],
                own_failures - before[2],
                rate_is_higher(before[3], before[0], failures, traces),
            )
    return found


def _since(comparisons: Sequence[Comparison], anomalies: Sequence[Anomaly]) -> int:
    """When trouble began (ns): with a release, else with the gravest change in time.

    Without either, the middle of the window parts it.
    """
    released = [pair.candidate.start_ns for pair in comparisons if pair.baseline]
    if released:
        return max(released)
    dated = [one for one in anomalies if one.first_seen and one.detector.name != _ERRORS]
    if dated:
        gravest = max(dated, key=lambda one: (_weight(one), one.id))
        return _ns(str(gravest.first_seen))
    windows = [pair.candidate for pair in comparisons]
    first, last = min(one.start_ns for one in windows), max(one.end_ns for one in windows)
    return (first + last) // 2


def _ns(moment: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(moment).timestamp() * 1e9)
