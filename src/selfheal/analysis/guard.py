"""Guards of a rollout: is the candidate worse overall than the baseline beside it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.analysis.latency import BUCKETS_PER_WINDOW, MAX_BUCKET_SECONDS
from selfheal.analysis.model import Judgement
from selfheal.analysis.statistics.ranks import is_larger
from selfheal.analysis.statistics.rates import rate_is_higher
from selfheal.artifacts import Dataset
from selfheal.config import GateConfig
from selfheal.telemetry.statistics import UNKNOWN, significant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MINIMUM_BUCKETS = 4
# A stray error in a release whose baseline has none is a hint, and hints need this much.
_HINT = 0.1

_ENTRIES = f"""
CREATE TEMP TABLE entries AS
SELECT coalesce(service, '{UNKNOWN}') AS service, operation, start_ns, duration_ms,
    coalesce(release, '{UNKNOWN}') = $candidate AS candidate, coalesce(instance, '') AS instance,
    status = 'error' OR coalesce(http_status, 0) >= 500 AS failed
FROM spans
WHERE (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
    AND coalesce(release, '{UNKNOWN}') IN ($baseline, $candidate)
"""
_COUNTS = """
SELECT count(*) FILTER (NOT candidate)::BIGINT, count(*) FILTER (NOT candidate AND failed)::BIGINT,
    count(*) FILTER (candidate)::BIGINT, count(*) FILTER (candidate AND failed)::BIGINT
FROM entries
"""
# Each request against the baseline's median of its own operation, so that the mix of
# operations does not matter; the median of that per bucket of time and instance.
_RELATIVE = """
WITH usual AS (
    SELECT service, operation, median(duration_ms) AS median_ms FROM entries
    WHERE NOT candidate AND NOT failed AND duration_ms > 0 GROUP BY ALL
), bounds AS (
    SELECT greatest(1, least($longest_ns,
        (max(start_ns) - min(start_ns)) // $buckets)) AS bucket_ns
    FROM entries WHERE candidate
)
SELECT candidate, median(duration_ms / median_ms) AS relative
FROM entries JOIN usual USING (service, operation), bounds
WHERE NOT failed AND duration_ms > 0 AND start_ns IS NOT NULL
GROUP BY candidate, start_ns // bucket_ns, instance
ORDER BY candidate, start_ns // bucket_ns, instance
"""


class _Counts(NamedTuple):
    baseline: int
    baseline_failed: int
    candidate: int
    candidate_failed: int


def guards(
    dataset: Dataset, *, baseline: str, candidate: str, gate: GateConfig
) -> dict[str, Judgement]:
    """Two questions about all entry requests of the release `candidate` against `baseline`.

    `error_rate`: is the share of failed requests more than `gate.maximum_error_ratio`
    times the baseline's (exact test)? `latency`: are requests more than
    `gate.maximum_latency_ratio` times slower than those of the same operations in the
    baseline (Mann-Whitney on buckets)? Fewer than `gate.minimum_requests` on a side
    leave a question inconclusive unless it is answered badly already.
    """
    with dataset.connect() as connection:
        connection.execute(_ENTRIES, {"baseline": baseline, "candidate": candidate})
        counts = _Counts(*connection.execute(_COUNTS).fetchall()[0])
        columns = connection.execute(
            _RELATIVE,
            {"buckets": BUCKETS_PER_WINDOW, "longest_ns": round(MAX_BUCKET_SECONDS * 1e9)},
        ).fetchnumpy()
    if 0 in (counts.baseline, counts.candidate):
        silent = candidate if counts.candidate == 0 else baseline
        nothing = Judgement("no_data", f"no requests to {silent}", counts._asdict())
        return {"error_rate": nothing, "latency": nothing}
    return {"error_rate": _errors(counts, gate), "latency": _latency(columns, counts, gate)}


def _errors(counts: _Counts, gate: GateConfig) -> Judgement:
    p_value = rate_is_higher(
        counts.baseline_failed,
        counts.baseline,
        counts.candidate_failed,
        counts.candidate,
        ratio=gate.maximum_error_ratio,
    )
    told = (
        f"{counts.candidate_failed} of {counts.candidate} requests failed, "
        f"{counts.baseline_failed} of {counts.baseline} in the baseline (p = {p_value:.2g})"
    )
    evidence = {**counts._asdict(), "p_value": significant(p_value)}
    if p_value <= gate.significance:
        return Judgement("anomalous", told, evidence)
    if _too_few(counts, gate) or p_value <= _HINT:
        return Judgement("inconclusive", told, evidence)
    return Judgement("quiet", told, evidence)


def _latency(columns: Any, counts: _Counts, gate: GateConfig) -> Judgement:
    import numpy as np

    of_candidate = np.asarray(columns["candidate"], bool)
    relative: NDArray[np.float64] = np.asarray(columns["relative"], np.float64)
    before, after = relative[~of_candidate], relative[of_candidate]
    evidence: dict[str, Any] = {**counts._asdict(), "buckets": [len(before), len(after)]}
    if min(len(before), len(after)) < MINIMUM_BUCKETS:
        return Judgement("inconclusive", "too few requests that did not fail", evidence)
    p_value = is_larger(before, after / gate.maximum_latency_ratio).p_value
    ratio = float(np.median(after) / np.median(before))
    evidence |= {"ratio": significant(ratio), "p_value": significant(p_value)}
    told = f"{ratio:.2f} times the latency of the baseline (p = {p_value:.2g})"
    if p_value <= gate.significance:
        return Judgement("anomalous", told, evidence)
    sure = p_value >= 0.5 and not _too_few(counts, gate)
    return Judgement("quiet" if sure else "inconclusive", told, evidence)


def _too_few(counts: _Counts, gate: GateConfig) -> bool:
    return min(counts.baseline, counts.candidate) < gate.minimum_requests
