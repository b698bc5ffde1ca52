"""Which service: where the trouble of several services begins.

Over the call graph (which service's spans are parents of which other's) a service that
has anomalies while nothing that it calls has any is where trouble begins (A. Samir,
C. Pahl 2019, among many). Two measured facts weigh with it: whose own time grew (a
request's time without the calls to other services), and where errors arise that the
services above only pass on. Where nothing is anomalous, nobody is accused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.analysis.model import Comparison
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import RootCandidate
from selfheal.artifacts.model import SEVERITIES
from selfheal.telemetry.statistics import UNKNOWN, significant

if TYPE_CHECKING:
    import duckdb

# Of the score: no anomalous callee, share of the growth of own time, share of new errors.
WEIGHTS = {"no_anomalous_callee": 0.4, "own_time": 0.35, "own_errors": 0.25}
# What tells of documents, tests and visitors tells nothing of where trouble begins.
_KINDS = {"performance", "error", "behavioral", "state", "dependency"}
_OF_VISITORS = {"surge", "drop", "appeared", "vanished"}

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
    avg((e.failed AND NOT coalesce(p.failed, false))::INTEGER) AS own_failures
FROM per_trace AS e LEFT JOIN passed AS p ON p.trace_id = e.trace_id AND p.service = e.service
GROUP BY ALL ORDER BY ALL
"""


class _Own(NamedTuple):
    """A service by itself: growth of its median own time (ms) and of its own share of failures."""

    time: float
    failures: float


def root_candidates(
    dataset: Dataset, comparisons: Sequence[Comparison], anomalies: Sequence[Anomaly]
) -> list[RootCandidate]:
    """Anomalous services, likeliest root first; empty for one service alone, or a healthy window."""
    accused: dict[str, list[Anomaly]] = {}
    for anomaly in anomalies:
        if anomaly.kind in _KINDS and anomaly.evidence.get("violation") not in _OF_VISITORS:
            accused.setdefault(anomaly.service, []).append(anomaly)
    if not accused:
        return []
    with dataset.connect() as connection:
        connection.execute(_ENTRIES)
        calls: dict[str, set[str]] = {}
        for caller, callee in connection.execute(_CALLS).fetchall():
            calls.setdefault(caller, set()).add(callee)
        if not calls:
            return []
        own = _own(connection, comparisons, [one for ones in accused.values() for one in ones])
    grown = sum(max(own[name].time, 0.0) for name in accused if name in own)
    failing = sum(max(own[name].failures, 0.0) for name in accused if name in own)
    # What nobody shows (no time grew, nothing fails more) says nothing about anyone.
    weights = {
        part: weight
        for part, weight in WEIGHTS.items()
        if not (part == "own_time" and grown <= 0) and not (part == "own_errors" and failing <= 0)
    }
    found = []
    for name, reasons in accused.items():
        below = sorted(_reachable(name, calls) & set(accused) - {name})
        itself = own.get(name, _Own(0.0, 0.0))
        parts = {
            "no_anomalous_callee": 0.0 if below else 1.0,
            "own_time": max(itself.time, 0.0) / grown if grown > 0 else 0.0,
            "own_errors": max(itself.failures, 0.0) / failing if failing > 0 else 0.0,
        }
        score = sum(weight * parts[part] for part, weight in weights.items())
        found.append(_candidate(name, reasons, below, parts, itself, score / sum(weights.values())))
    return sorted(found, key=lambda one: (-one.score, one.service))


def _candidate(
    name: str,
    reasons: Sequence[Anomaly],
    below: list[str],
    parts: Mapping[str, float],
    own: _Own,
    score: float,
) -> RootCandidate:
    evidence: dict[str, Any] = {
        "anomalous_callees": below,
        "own_time_growth_ms": significant(own.time),
        "own_failures_growth": significant(own.failures),
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
    """Per service, from its baseline to its judged release; without one, since the first anomaly."""
    began = [_ns(one.first_seen) for one in anomalies if one.first_seen]
    connection.execute(
        _RELEASES,
        {
            "services": [pair.service for pair in comparisons],
            "baselines": [pair.baseline.version if pair.baseline else None for pair in comparisons],
            "candidates": [pair.candidate.version for pair in comparisons],
        },
    )
    rows = connection.execute(_OWN, {"since_ns": max(began, default=0)}).fetchall()
    sides: dict[tuple[str, bool], tuple[float, float]] = {}
    for service, after, _, own_ms, own_failures in rows:
        sides[service, after] = (own_ms, own_failures)
    return {
        service: _Own(*(b - a for a, b in zip(sides[service, False], figures, strict=True)))
        for (service, after), figures in sides.items()
        if after and (service, False) in sides
    }


def _ns(moment: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(moment).timestamp() * 1e9)
