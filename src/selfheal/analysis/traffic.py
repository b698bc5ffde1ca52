"""Traffic: operations that vanished or appeared, and requests that surge or drop.

How much traffic comes is the users' doing, so between releases only the mix is
compared: an operation's share of the requests in each bucket of time (Mann-Whitney on
buckets, as for latency, adjusted by Benjamini-Hochberg), with a practical floor of
twice or half. A service's whole traffic is looked at over time, over all its releases:
a change point between levels that differ as much.

A new operation is a new feature as well as it is a fault: an open question.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from selfheal.analysis.latency import bucket_seconds_of
from selfheal.analysis.model import Comparison, DetectionData, Findings, Judgement
from selfheal.analysis.severity import of_share
from selfheal.analysis.statistics.change_point import change_points
from selfheal.analysis.statistics.multiplicity import benjamini_hochberg
from selfheal.analysis.statistics.ranks import is_larger
from selfheal.analysis.statistics.rates import trials_to_see
from selfheal.analysis.statistics.seasonality import lag_one, of_dependent
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector, Undecided
from selfheal.artifacts.canonical import short_id
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DETECTOR = "traffic_by_operation"
OVER_TIME = "traffic_over_time"
MINIMUM_RATIO = 2.0
# An operation that has vanished was seen in at least this share of the baseline's buckets.
_STEADY = 0.5

Change = Literal["vanished", "appeared", "surge", "drop"]

_COUNTS = f"""
SELECT operation, coalesce(release, '{UNKNOWN}') = $candidate AS candidate,
    start_ns // $bucket_ns AS bucket, count(*)::BIGINT AS requests
FROM spans
WHERE coalesce(service, '{UNKNOWN}') = $service AND start_ns IS NOT NULL
    AND coalesce(release, '{UNKNOWN}') IN ($baseline, $candidate)
    AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
GROUP BY ALL ORDER BY ALL
"""
_TOTALS = f"""
SELECT start_ns // $bucket_ns AS bucket, count(*)::BIGINT AS requests
FROM spans
WHERE coalesce(service, '{UNKNOWN}') = $service AND start_ns IS NOT NULL
    AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
GROUP BY ALL ORDER BY ALL
"""


class Mix(NamedTuple):
    """One operation's requests of all requests in the two releases; p-value of the change."""

    operation: str
    change: Change
    p_value: float
    baseline: int
    candidate: int
    of_baseline: int
    of_candidate: int

    @property
    def ratio(self) -> float:
        before = self.baseline / max(1, self.of_baseline)
        return self.candidate / max(1, self.of_candidate) / before if before else 0.0

    def told(self) -> str:
        return (
            f"{self.candidate} of {self.of_candidate} requests, "
            f"{self.baseline} of {self.of_baseline} before"
        )


def detect_traffic(data: DetectionData, config: DetectConfig) -> Findings:
    """Changes of the mix between releases, and of the whole over time, of every service."""
    anomalies: list[Anomaly] = []
    undecided: list[Undecided] = []
    for comparison in data.comparisons:
        changes = mix_changes(data.dataset, comparison, config)
        adjusted = benjamini_hochberg([change.p_value for change in changes])
        for change, p_value in zip(changes, adjusted, strict=True):
            if p_value > config.significance:
                continue
            if change.change == "appeared":
                undecided.append(_new(change, comparison))
            else:
                anomalies.append(_anomaly(change, p_value, comparison, config))
        anomalies += _over_time(data.dataset, comparison, config)
    return Findings(anomalies=anomalies, undecided=undecided)


def mix_changes(dataset: Dataset, comparison: Comparison, config: DetectConfig) -> list[Mix]:
    """Operations whose share of the requests changed by the floor, with their p-values."""
    if comparison.baseline is None:
        return []
    values = {
        "service": comparison.service,
        "baseline": comparison.baseline.version,
        "candidate": comparison.candidate.version,
        "bucket_ns": round(bucket_seconds_of(comparison, config.bucket_seconds) * 1e9),
    }
    counts: dict[str, dict[tuple[bool, int], int]] = {}
    totals: dict[tuple[bool, int], int] = {}
    for row in dataset.rows(_COUNTS, values):
        place = (row["candidate"], row["bucket"])
        counts.setdefault(row["operation"], {})[place] = row["requests"]
        totals[place] = totals.get(place, 0) + row["requests"]
    sides = [[place for place in sorted(totals) if place[0] == side] for side in (False, True)]
    if min(len(side) for side in sides) < config.minimum_buckets:
        return []
    found = []
    for operation, of_operation in sorted(counts.items()):
        mix = _mix(operation, of_operation, totals, sides)
        if mix is not None and max(mix.baseline, mix.candidate) >= config.minimum_traces:
            found.append(mix)
    return found


def _mix(
    operation: str,
    counts: dict[tuple[bool, int], int],
    totals: dict[tuple[bool, int], int],
    sides: list[list[tuple[bool, int]]],
) -> Mix | None:
    import numpy as np

    before, after = (
        np.asarray([counts.get(place, 0) / totals[place] for place in side]) for side in sides
    )
    numbers = [
        *(sum(counts.get(place, 0) for place in side) for side in sides),
        *(sum(totals[place] for place in side) for side in sides),
    ]
    shares = [numbers[0] / numbers[2], numbers[1] / numbers[3]]
    change: Change
    if shares[1] >= MINIMUM_RATIO * shares[0]:
        change = "surge" if numbers[0] else "appeared"
    elif shares[1] <= shares[0] / MINIMUM_RATIO:
        change = "drop" if numbers[1] else "vanished"
    else:
        return None
    if change == "vanished" and (before > 0).mean() < _STEADY:
        return None
    first, second = (before, after) if shares[1] > shares[0] else (after, before)
    lingering = lag_one(np.concatenate([_centred(before), _centred(after)]))
    p_value = min(1.0, 2 * of_dependent(is_larger(first, second).p_value, lingering))
    return Mix(operation, change, p_value, *numbers)


def _centred(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(shares - shares.mean(), np.float64)


def _anomaly(change: Mix, p_value: float, comparison: Comparison, config: DetectConfig) -> Anomaly:
    share = max(
        change.baseline / max(1, change.of_baseline), change.candidate / max(1, change.of_candidate)
    )
    what = "has vanished" if change.change == "vanished" else f"{change.change}s"
    return Anomaly(
        id=short_id("anomaly", DETECTOR, comparison.service, change.operation, change.change),
        kind="behavioral",
        service=comparison.service,
        operation=change.operation,
        severity=of_share(share),
        score=significant(1 - p_value),
        title=f"{change.operation} {what} in {comparison.candidate.version}: {change.told()}",
        first_seen=iso(comparison.candidate.start_ns),
        last_seen=iso(comparison.candidate.end_ns),
        count=change.candidate,
        detector=Detector(
            name=DETECTOR,
            parameters={
                "change": change.change,
                "significance": config.significance,
                "expected_rate": significant(change.baseline / max(1, change.of_baseline)),
            },
            window=comparison.window,
        ),
        evidence={
            "violation": change.change,
            "step": change.operation,
            "ratio": significant(change.ratio),
            "baseline_count": change.baseline,
            "baseline_requests": change.of_baseline,
            "candidate_count": change.candidate,
            "requests": change.of_candidate,
            "adjusted_p_value": significant(p_value),
        },
    )


def _new(change: Mix, comparison: Comparison) -> Undecided:
    return Undecided(
        detector=DETECTOR,
        operation=change.operation,
        reason=(
            f"new in {comparison.candidate.version}, {change.candidate} of "
            f"{change.of_candidate} requests: a new feature or a wrong name"
        ),
        needed="a look at the change of the service",
    )


def _over_time(dataset: Dataset, comparison: Comparison, config: DetectConfig) -> list[Anomaly]:
    """Changes of the service's whole traffic, the first and last bucket left out: they are cut."""
    import numpy as np

    bucket_ns = round(bucket_seconds_of(comparison, config.bucket_seconds) * 1e9)
    rows = dataset.rows(_TOTALS, {"service": comparison.service, "bucket_ns": bucket_ns})
    if len(rows) < 2 * config.minimum_buckets + 2:
        return []
    start, end = rows[0]["bucket"], rows[-1]["bucket"]
    counts = np.zeros(end - start + 1)
    for row in rows:
        counts[row["bucket"] - start] = row["requests"]
    counts = counts[1:-1]
    changes = change_points(counts, margin=config.minimum_buckets)
    edges = [0, *(change.at for change in changes), len(counts)]
    found = []
    for number, change in enumerate(changes):
        before = float(np.mean(counts[edges[number] : change.at]))
        after = float(np.mean(counts[change.at : edges[number + 2]]))
        low, high = sorted((before, after))
        if high < MINIMUM_RATIO * low or not high:
            continue
        since = iso((start + 1 + change.at) * bucket_ns)
        found.append(_level(comparison, before, after, since, change.p_value, bucket_ns / 1e9))
    return found


def _level(
    comparison: Comparison,
    before: float,
    after: float,
    since: str | None,
    p_value: float,
    seconds: float,
) -> Anomaly:
    change: Change = "surge" if after > before else "drop"
    told = f"{before / seconds:.3g} → {after / seconds:.3g} requests a second"
    return Anomaly(
        id=short_id("anomaly", OVER_TIME, comparison.service, change, since or ""),
        kind="behavioral",
        service=comparison.service,
        operation=comparison.service,
        severity="medium",
        score=significant(1 - p_value),
        title=f"traffic of {comparison.service} {change}s since {since}: {told}",
        first_seen=since,
        last_seen=iso(comparison.candidate.end_ns),
        count=round(after),
        detector=Detector(name=OVER_TIME, parameters={"change": change}, window=comparison.window),
        evidence={
            "violation": change,
            "step": comparison.service,
            "before_per_second": significant(before / seconds),
            "after_per_second": significant(after / seconds),
            "p_value": significant(p_value),
        },
    )


def judge_traffic(
    operation: str, dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]
) -> Judgement:
    """Whether an operation's share is still changed (`change`) in the candidate of `sides`."""
    if sides.candidate.requests == 0:
        return Judgement("no_data", f"no requests to {sides.candidate.version}", {})
    if asked["change"] == "vanished":
        (row,) = dataset.rows(
            f"""SELECT count(*)::BIGINT AS seen FROM spans WHERE operation = $operation
            AND coalesce(service, '{UNKNOWN}') = $service
            AND coalesce(release, '{UNKNOWN}') = $candidate""",
            {
                "operation": operation,
                "service": sides.service,
                "candidate": sides.candidate.version,
            },
        )
        requests = sides.candidate.requests
        needed = trials_to_see(asked["expected_rate"], asked["significance"])
        told = f"{row['seen']} of {requests} requests; {needed} are needed to tell"
        if row["seen"]:
            return Judgement("quiet", told, {**row, "requests": requests})
        return Judgement(
            "anomalous" if requests >= needed else "inconclusive",
            told,
            {**row, "requests": requests},
        )
    found = [
        mix for mix in mix_changes(dataset, sides, DetectConfig()) if mix.operation == operation
    ]
    for mix in found:
        if mix.change == asked["change"] and mix.p_value <= asked["significance"]:
            return Judgement("anomalous", mix.told(), {"p_value": significant(mix.p_value)})
    return Judgement("quiet" if sides.baseline else "no_data", "no change of its share", {})
