"""Slower operations: a test between releases, on time buckets.

The exchangeable unit is a bucket of time at one instance, for requests of the same
moment are not independent. Two tests ask the question at half the level each: a
Mann-Whitney test on bucket medians, and a block permutation test on how often the
pooled P95 is exceeded. A test counts only where its measure grew by the practical floor
`minimum_ratio`. The smaller p-value is made as much larger as neighbouring buckets
resemble each other, doubled (Bonferroni) and adjusted over the operations of the
service (Benjamini-Hochberg).

Where most entry operations became slower alike, the reason is not in each of them: the
host, if the releases ran one after the other, code that they share, or the load that a
few slow ones make. That common factor (at the most `MAX_COMMON_FACTOR`) is taken out
before operations are accused.

Failed requests are left out (an early failure is no speed), and so are single database
statements, whose time is part of the operations around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.analysis.model import Comparison
from selfheal.analysis.statistics.ranks import is_larger
from selfheal.analysis.statistics.resampling import exceeds_more, ratio_interval
from selfheal.analysis.statistics.seasonality import lag_one, of_dependent
from selfheal.artifacts import Dataset
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, significant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_BUCKET_SECONDS = 60.0
BUCKETS_PER_WINDOW = 30
MAX_COMMON_FACTOR = 2.0
MINIMUM_ENTRIES_FOR_COMMON_FACTOR = 5

# What is timed: the finished, not failed spans of the two releases.
_TIMED = f"""
CREATE TEMP TABLE timed AS
SELECT operation, coalesce(release, '{UNKNOWN}') = $candidate AS candidate,
    coalesce(instance, '') AS instance, start_ns, duration_ms,
    kind IN ('server', 'consumer') OR parent_span_id IS NULL AS entry
FROM spans
WHERE coalesce(service, '{UNKNOWN}') = $service
    AND coalesce(release, '{UNKNOWN}') IN ($baseline, $candidate)
    AND duration_ms IS NOT NULL AND start_ns IS NOT NULL AND db_statement IS NULL
    AND status <> 'error' AND coalesce(http_status, 0) < 500
"""
_BUCKETS = """
WITH scaled AS (
    SELECT *, CASE WHEN candidate THEN duration_ms / $factor ELSE duration_ms END AS scaled_ms
    FROM timed
), thresholds AS (
    SELECT operation, quantile_cont(scaled_ms, 0.95) AS threshold FROM scaled GROUP BY operation
)
SELECT operation, candidate, count(*)::BIGINT AS requests, median(scaled_ms) AS median_ms,
    count(*) FILTER (scaled_ms > threshold)::BIGINT AS exceeding
FROM scaled JOIN thresholds USING (operation)
GROUP BY operation, candidate, start_ns // $bucket_ns, instance
ORDER BY operation, candidate, start_ns // $bucket_ns, instance
"""
_FIGURES = """
SELECT operation, candidate, bool_or(entry) AS entry, count(*)::BIGINT AS count,
    quantile_cont(duration_ms, 0.5) AS p50_ms, quantile_cont(duration_ms, 0.95) AS p95_ms,
    quantile_cont(duration_ms, 0.99) AS p99_ms, min(start_ns) AS first_ns, max(start_ns) AS last_ns
FROM timed GROUP BY operation, candidate ORDER BY operation, candidate
"""


class Side(NamedTuple):
    """An operation in one release: its figures, and its buckets in order of time."""

    figures: Mapping[str, Any]
    requests: NDArray[np.int64]
    medians: NDArray[np.float64]
    exceeding: NDArray[np.int64]


class LatencyTest(NamedTuple):
    """The answer for one operation.

    `measure` is the one whose test convicts more (p50 or p95), `ratio` its growth with
    the common factor taken out, `p_value` that of both tests together.
    """

    operation: str
    entry: bool
    measure: str
    ratio: float
    p_value: float
    cliffs_delta: float
    baseline: Side
    candidate: Side

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the ratio of the medians; made when asked for, as it is dear."""
        return ratio_interval(self.baseline.medians, self.candidate.medians)

    def evidence(self) -> dict[str, Any]:
        """The numbers as they stand in an anomaly."""
        sides = {"baseline": self.baseline.figures, "candidate": self.candidate.figures}
        return {
            "measure": self.measure,
            "ratio": significant(self.ratio),
            "p_value": significant(self.p_value),
            "cliffs_delta": significant(self.cliffs_delta),
            "interval": [significant(bound) for bound in self.interval],
            "entry": self.entry,
            **{
                name: {
                    "count": figures["count"],
                    "buckets": len(side.medians),
                    **{key: significant(figures[key]) for key in ("p50_ms", "p95_ms", "p99_ms")},
                }
                for (name, figures), side in zip(
                    sides.items(), (self.baseline, self.candidate), strict=True
                )
            },
        }


class ServiceLatency(NamedTuple):
    """All operations of a service. `untested` maps the others to their numbers of buckets."""

    tests: list[LatencyTest]
    untested: dict[str, tuple[int, int]]
    common_factor: float
    bucket_seconds: float


def bucket_seconds_of(comparison: Comparison, wanted: float | None) -> float:
    """The bucket: as wanted, else a minute or a thirtieth of the shorter window."""
    if wanted is not None:
        return wanted
    sides = [side for side in (comparison.baseline, comparison.candidate) if side is not None]
    shortest = min(side.end_ns - side.start_ns for side in sides) / 1e9
    return significant(max(min(MAX_BUCKET_SECONDS, shortest / BUCKETS_PER_WINDOW), 1e-3), 3)


def compare_latency(
    dataset: Dataset,
    comparison: Comparison,
    config: DetectConfig,
    *,
    operation: str | None = None,
    keep_common_factor: bool = False,
) -> ServiceLatency:
    """Test every operation of a service, or only `operation`, that both releases have.

    `comparison` has a baseline. An operation with fewer than `minimum_buckets` buckets
    on a side is not tested. `keep_common_factor` compares what was measured as it is.
    """
    assert comparison.baseline is not None
    bucket_seconds = bucket_seconds_of(comparison, config.bucket_seconds)
    scope = {
        "service": comparison.service,
        "baseline": comparison.baseline.version,
        "candidate": comparison.candidate.version,
    }
    # Medians and counts are the same in any order of the rows.
    with dataset.connect(threads=None) as connection:
        connection.execute(_TIMED, scope)
        figures = connection.execute(_FIGURES).fetchall()
        names = [column[0] for column in connection.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in figures]
        factor = 1.0

        def sides() -> dict[tuple[str, bool], Side]:
            values = {"factor": factor, "bucket_ns": round(bucket_seconds * 1e9)}
            return _sides(connection.execute(_BUCKETS, values).fetchnumpy(), rows)

        found = sides()
        if not keep_common_factor:
            factor = common_factor(found, config.minimum_buckets)
            found = sides() if factor > 1 else found
    tests, untested = [], {}
    for name in sorted({name for name, _ in found if operation in (None, name)}):
        before, after = found.get((name, False)), found.get((name, True))
        buckets = (len(before.medians) if before else 0, len(after.medians) if after else 0)
        if before is None or after is None or min(buckets) < config.minimum_buckets:
            untested[name] = buckets
        else:
            tests.append(_test(name, before, after, factor, config))
    return ServiceLatency(tests, untested, factor, bucket_seconds)


def common_factor(sides: Mapping[tuple[str, bool], Side], minimum_buckets: int) -> float:
    """By how much most entry operations became slower alike: the median of their ratios."""
    import numpy as np

    ratios = [
        float(np.median(side.medians) / np.median(sides[name, False].medians))
        for (name, candidate), side in sides.items()
        if candidate
        and side.figures["entry"]
        and (name, False) in sides
        and min(len(side.medians), len(sides[name, False].medians)) >= minimum_buckets
    ]
    if len(ratios) < MINIMUM_ENTRIES_FOR_COMMON_FACTOR:
        return 1.0
    return significant(min(max(float(np.median(ratios)), 1.0), MAX_COMMON_FACTOR))


def _sides(
    columns: Mapping[str, Any], figures: list[dict[str, Any]]
) -> dict[tuple[str, bool], Side]:
    """Cut the columns, which are in the order of `figures`, into one `Side` per row of them."""
    import numpy as np

    operations, candidates = columns["operation"], columns["candidate"]
    changes = (operations[1:] != operations[:-1]) | (candidates[1:] != candidates[:-1])
    starts = [0, *(np.flatnonzero(changes) + 1), len(operations)]
    sides = {}
    for row, first, end in zip(figures, starts, starts[1:], strict=False):
        sides[row["operation"], row["candidate"]] = Side(
            row,
            np.asarray(columns["requests"][first:end], np.int64),
            # A clock may tick too slowly for a quick span; a ratio needs more than 0.
            np.maximum(np.asarray(columns["median_ms"][first:end], np.float64), 1e-6),
            np.asarray(columns["exceeding"][first:end], np.int64),
        )
    return sides


def _test(
    operation: str, before: Side, after: Side, factor: float, config: DetectConfig
) -> LatencyTest:
    import numpy as np

    ranks = is_larger(before.medians, after.medians)
    median_ratio = float(np.median(after.medians) / np.median(before.medians))
    tail_ratio = after.figures["p95_ms"] / factor / max(before.figures["p95_ms"], 1e-6)
    floor = config.minimum_ratio
    arms = [
        (ranks.p_value if median_ratio >= floor else 1.0, "p50", median_ratio),
        (_tail_test(before, after) if tail_ratio >= floor else 1.0, "p95", tail_ratio),
    ]
    p_value, measure, ratio = min(arms, key=lambda arm: arm[0])
    lingering = lag_one(np.concatenate([_residuals(before), _residuals(after)]))
    return LatencyTest(
        operation=operation,
        entry=bool(before.figures["entry"] or after.figures["entry"]),
        measure=measure,
        ratio=ratio,
        p_value=min(1.0, 2 * of_dependent(p_value, lingering)),
        cliffs_delta=ranks.cliffs_delta,
        baseline=before,
        candidate=after,
    )


def _tail_test(before: Side, after: Side) -> float:
    """That chance alone makes the candidate exceed the pooled P95 as often as it does."""
    import numpy as np

    return exceeds_more(
        np.concatenate([before.exceeding, after.exceeding]),
        np.concatenate([before.requests, after.requests]),
        np.arange(len(before.requests) + len(after.requests)) >= len(before.requests),
    )


def _residuals(side: Side) -> NDArray[np.float64]:
    """How far each bucket is from the side's own level, in the logarithm."""
    import numpy as np

    levels = np.log(side.medians)
    return np.asarray(levels - np.median(levels), np.float64)
