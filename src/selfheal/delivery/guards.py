"""Guards of a rollout: does the new release fail more, or answer more slowly, than the old one?

Both are asked by the sequential tests of `selfheal.delivery.sequential`, on blocks of time
in which both releases served. A question has an indifference zone: with R the ratio that
the configuration allows at most, a release up to √R times as bad as the old one is called
well and from R on sick; between them either answer is right. `fail` has refuted "well",
`pass` has refuted "sick", and until then the answer is `undecided`.

The unit of latency is the block, for requests of the same moment are not independent. In
each block and operation as many requests of either side are taken as of the smaller one,
so that the pair could be swapped if the releases were alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.artifacts import Dataset
from selfheal.artifacts.deployment import GateState
from selfheal.config import GateConfig
from selfheal.delivery.sequential import (
    Counts,
    convicts,
    dispersion_of,
    is_shifted,
    rate_bounds,
    rate_is_higher,
    rate_is_lower,
    visible_failure_rate,
    visible_ratio,
)
from selfheal.telemetry.statistics import UNKNOWN, significant

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

BLOCKS_PER_STEP = 40
LONGEST_BLOCK_SECONDS = 60.0
GUARDS = ("error_rate", "latency", "new_errors")


class Scope(NamedTuple):
    """Which requests are compared.

    Those of `new` since `began_ns`, in blocks of `block_ns`. Those of `old` are of the
    same blocks, or, where it has no traffic any more (`concurrent` is False), of the
    time before, in blocks counted backwards. `peers` are the instances of `old` that
    are as young as those of `new`; none: all.
    """

    old: str
    new: str
    began_ns: int
    block_ns: int
    concurrent: bool = True
    peers: tuple[str, ...] = ()


class Levels(NamedTuple):
    """The error probabilities of one question: calling well sick, and sick well."""

    fail: float
    well: float


class Answer(NamedTuple):
    state: GateState
    evidence: dict[str, Any]


class Latencies(NamedTuple):
    """Matched requests of both sides.

    Per block: `log_ratio` of the medians, `tail` the difference of the shares above the
    95th percentile of both. Over all: the candidate's median and P95 over the baseline's.
    """

    log_ratio: NDArray[np.float64]
    tail: NDArray[np.float64]
    ratio: float
    p95_ratio: float


_ENTRIES = f"""
CREATE OR REPLACE TEMP TABLE entries AS
WITH placed AS (
    SELECT coalesce(service, '{UNKNOWN}') AS service, operation, start_ns, duration_ms,
        hash(trace_id, span_id) AS drawn, coalesce(instance, '') AS instance,
        coalesce(release, '{UNKNOWN}') = $new AS candidate,
        status = 'error' OR coalesce(http_status, 0) >= 500 AS failed,
        CASE WHEN $concurrent OR coalesce(release, '{UNKNOWN}') = $new
            THEN start_ns - $began_ns ELSE $began_ns - 1 - start_ns END AS offset_ns
    FROM spans
    WHERE (kind IN ('server', 'consumer') OR parent_span_id IS NULL) AND start_ns IS NOT NULL
        AND coalesce(release, '{UNKNOWN}') IN ($old, $new)
)
SELECT *, offset_ns // $block_ns AS block FROM placed
WHERE offset_ns >= 0
    AND (candidate OR NOT $concurrent OR len($peers) = 0 OR list_contains($peers, instance))
"""
# The block that is still being filled would be another one at the next look.
_COUNTS = """
SELECT block, count(*) FILTER (NOT candidate)::DOUBLE AS baseline,
    count(*) FILTER (NOT candidate AND failed)::DOUBLE AS baseline_failed,
    count(*) FILTER (candidate)::DOUBLE AS candidate,
    count(*) FILTER (candidate AND failed)::DOUBLE AS candidate_failed
FROM entries WHERE block < (SELECT max(block) FROM entries WHERE candidate)
GROUP BY block ORDER BY block
"""
_MATCHED = """
CREATE OR REPLACE TEMP TABLE matched AS
WITH timed AS (
    SELECT * FROM entries WHERE NOT failed AND duration_ms > 0
        AND block < (SELECT max(block) FROM entries WHERE candidate)
), usual AS (
    SELECT service, operation, median(duration_ms) AS median_ms,
        quantile_cont(duration_ms, 0.95) AS tail_ms
    FROM timed GROUP BY ALL
), numbered AS (
    SELECT *,
        row_number() OVER (PARTITION BY block, service, operation, candidate
            ORDER BY drawn, start_ns) AS number,
        count(*) FILTER (candidate) OVER same AS of_candidate,
        count(*) FILTER (NOT candidate) OVER same AS of_baseline
    FROM timed WINDOW same AS (PARTITION BY block, service, operation)
)
SELECT block, candidate, duration_ms / median_ms AS relative, duration_ms > tail_ms AS slow
FROM numbered JOIN usual USING (service, operation)
WHERE number <= least(of_candidate, of_baseline)
"""
_BLOCKS = """
SELECT ln(median(relative) FILTER (candidate) / median(relative) FILTER (NOT candidate)) AS log_ratio,
    (count(*) FILTER (candidate AND slow) - count(*) FILTER (NOT candidate AND slow))
        / count(*) FILTER (candidate) AS tail
FROM matched GROUP BY block ORDER BY block
"""
_OVERALL = """
SELECT median(relative) FILTER (candidate) / median(relative) FILTER (NOT candidate),
    quantile_cont(relative, 0.95) FILTER (candidate)
        / quantile_cont(relative, 0.95) FILTER (NOT candidate)
FROM matched
"""
_NEW_ERRORS = f"""
SELECT fingerprint, any_value(exception_type) AS exception_type,
    (time_ns - $began_ns) // $block_ns AS block,
    count(DISTINCT coalesce(trace_id, time_ns::VARCHAR)) FILTER (release = $old)::DOUBLE AS old,
    count(DISTINCT coalesce(trace_id, time_ns::VARCHAR)) FILTER (release = $new)::DOUBLE AS new
FROM (
    SELECT * REPLACE (
        CASE WHEN $concurrent OR release = $new THEN time_ns
            ELSE 2 * $began_ns - 1 - time_ns END AS time_ns)
    FROM errors WHERE coalesce(release, '{UNKNOWN}') IN ($old, $new)
) WHERE time_ns >= $began_ns GROUP BY ALL ORDER BY fingerprint, block
"""


def block_ns_of(config: GateConfig) -> int:
    """The length of a block: a fortieth of a step, at the most a minute."""
    return round(1e9 * min(LONGEST_BLOCK_SECONDS, config.step_seconds / BLOCKS_PER_STEP))


def guards(dataset: Dataset, scope: Scope, gate: GateConfig, levels: Levels) -> dict[str, Answer]:
    """The answers of the three guards about all entry requests in the scope."""
    with dataset.connect() as connection:
        blocks, counts = _load(connection, scope)
        latencies = _latencies(connection)
    if 0 in (counts.baseline.sum(), counts.candidate.sum()):
        nothing = Answer("no_data", {"requests": "none in the same blocks of both releases"})
        return dict.fromkeys(GUARDS, nothing)
    return {
        "error_rate": judge_errors(counts, gate, levels),
        "latency": judge_latency(latencies, counts, gate, levels),
        "new_errors": _judge_new_errors(dataset, scope, blocks, counts, levels),
    }


def judge_errors(counts: Counts, gate: GateConfig, levels: Levels) -> Answer:
    """Whether the candidate fails too often.

    It fails by `sequential.rate_is_higher` beyond √`maximum_error_ratio`. It is well when
    its rate is at the most `maximum_error_ratio` times the baseline's, but for
    `error_tolerance`, and the bet against it is not winning.
    """
    total, failed, of_candidate, hits = (float(each.sum()) for each in counts)
    evidence: dict[str, Any] = {
        "baseline": [int(failed), int(total)],
        "candidate": [int(hits), int(of_candidate)],
    }
    if 0 in (total, of_candidate):
        return Answer("no_data", evidence)
    spread = dispersion_of(counts)
    path = rate_is_higher(counts, ratio=math.sqrt(gate.maximum_error_ratio), dispersion=spread)
    well, high, allowed = _fails_no_more(counts, spread, gate, levels.well)
    evidence |= {
        "dispersion": significant(spread),
        "log_e": significant(float(path[-1])),
        "at_most": significant(high),
        "allowed": significant(allowed),
    }
    if convicts(path, levels.fail):
        return Answer("fail", evidence)
    enough = min(total, of_candidate) >= gate.minimum_requests
    sure = enough and well and float(path[-1]) <= 0
    return Answer("pass" if sure else "undecided", evidence)


def _fails_no_more(
    counts: Counts, spread: float, gate: GateConfig, level: float
) -> tuple[bool, float, float]:
    """Whether the candidate's rate is below `maximum_error_ratio` · baseline + tolerance.

    Two ways at half the level each: by the bounds of both rates, which decides where there
    are few failures, and by the ratio of the rates, which decides where there are many.
    With it the candidate's upper bound, and what it may be at the most.
    """
    # Where nothing failed there is nothing that could have come together.
    spread = spread if counts.baseline_failed.any() or counts.candidate_failed.any() else 1.0
    total, failed, of_candidate, hits = (float(each.sum()) / spread for each in counts)
    _, high = rate_bounds(hits, of_candidate, level / 4)
    low, usual = rate_bounds(failed, total, level / 4)
    allowed = gate.maximum_error_ratio * low + gate.error_tolerance
    ratio = gate.maximum_error_ratio + gate.error_tolerance / usual
    path = rate_is_lower(counts, ratio, most=gate.maximum_error_ratio, dispersion=spread)
    return high <= allowed or float(path[-1]) >= -math.log(level / 4), high, allowed


def judge_latency(latencies: Latencies, counts: Counts, gate: GateConfig, levels: Levels) -> Answer:
    """Whether the candidate is too slow, in the middle or in the tail.

    It fails by the mean of two e-processes: block medians beyond √`maximum_latency_ratio`,
    and the share of slow requests, which counts where the P95 grew by as much. It is well
    when the medians are below `maximum_latency_ratio`, the bet against it is not winning and
    the P95 gives no hint above it.
    """
    import numpy as np

    most = gate.maximum_latency_ratio
    requests = min(float(counts.baseline.sum()), float(counts.candidate.sum()))
    evidence: dict[str, Any] = {"blocks": len(latencies.log_ratio)}
    if not len(latencies.log_ratio):
        return Answer("undecided" if requests else "no_data", evidence)
    middle = is_shifted(latencies.log_ratio - math.log(most) / 2)
    tail = is_shifted(latencies.tail)
    path = middle - math.log(2)
    if latencies.p95_ratio >= math.sqrt(most):
        path = np.logaddexp(middle, tail) - math.log(2)
    well = is_shifted(math.log(most) - latencies.log_ratio)
    evidence |= {
        "ratio": significant(latencies.ratio),
        "p95_ratio": significant(latencies.p95_ratio),
        "log_e": significant(float(path[-1])),
        "log_e_well": significant(float(well[-1])),
    }
    if convicts(path, levels.fail):
        return Answer("fail", evidence)
    hint = latencies.p95_ratio >= most and float(tail[-1]) > 0
    sure = convicts(well, levels.well) and float(path[-1]) <= 0 and not hint
    sure = sure and requests >= gate.minimum_requests
    return Answer("pass" if sure else "undecided", evidence)


def forecast(
    dataset: Dataset, old: str, share: float, gate: GateConfig, levels: Levels
) -> dict[str, Any]:
    """What a step with `share` percent of the traffic could see, told by `old` alone.

    Its recent traffic is split at random as the step will split it, which tells how much
    the two sides differ when nothing is wrong. Rates are shares of requests, ratios are of
    latency; each is the smallest that is convicted with 80 % power within the step.
    """
    import numpy as np

    block_ns = block_ns_of(gate)
    with dataset.connect() as connection:
        connection.execute(
            _ENTRIES,
            {"old": old, "new": old, "began_ns": 0, "block_ns": block_ns}
            | {"concurrent": True, "peers": []},
        )
        connection.execute("UPDATE entries SET candidate = drawn % 1000 < ?", [round(share * 10)])
        columns = connection.execute(_COUNTS).fetchnumpy()
        latencies = _latencies(connection)
    counts = _counts(columns)
    blocks = len(columns["block"])
    if blocks < 2 or counts.candidate.sum() == 0:
        return {"requests": None, "reason": "too little traffic before the step to tell"}
    lasting = float(np.ptp(columns["block"])) + 1
    scale = gate.step_seconds * 1e9 / block_ns / lasting
    total = float(counts.baseline.sum() + counts.candidate.sum())
    failing = float(counts.baseline_failed.sum() + counts.candidate_failed.sum()) / total
    expected = total * scale * (1 - share / 100), total * scale * share / 100
    seen = len(latencies.log_ratio)
    rate = visible_failure_rate(
        failing,
        expected,
        ratio=math.sqrt(gate.maximum_error_ratio),
        level=levels.fail,
        dispersion=dispersion_of(counts),
    )
    ratio = visible_ratio(
        float(np.std(latencies.log_ratio)) if seen > 1 else math.inf,
        round(seen * scale) if seen > 1 else 0,
        ratio=math.sqrt(gate.maximum_latency_ratio),
        level=levels.fail / 2,
    )
    return {
        "requests": round(expected[1]),
        "baseline_requests": round(expected[0]),
        "baseline_failure_rate": significant(failing),
        "visible_failure_rate": None if rate is None else significant(rate),
        "visible_latency_ratio": None if ratio is None else significant(ratio),
    }


def _load(connection: duckdb.DuckDBPyConnection, scope: Scope) -> tuple[NDArray[np.int64], Counts]:
    connection.execute(_ENTRIES, {**scope._asdict(), "peers": list(scope.peers)})
    columns = connection.execute(_COUNTS).fetchnumpy()
    return columns["block"], _counts(columns)


def _counts(columns: dict[str, Any]) -> Counts:
    return Counts(*(columns[name] for name in Counts._fields))


def _latencies(connection: duckdb.DuckDBPyConnection) -> Latencies:
    import numpy as np

    connection.execute(_MATCHED)
    columns = connection.execute(_BLOCKS).fetchnumpy()
    ratio, p95_ratio = connection.execute(_OVERALL).fetchall()[0]
    return Latencies(
        np.asarray(columns["log_ratio"], np.float64),
        np.asarray(columns["tail"], np.float64),
        ratio or 1.0,
        p95_ratio or 1.0,
    )


def _judge_new_errors(
    dataset: Dataset,
    scope: Scope,
    blocks: NDArray[np.int64],
    counts: Counts,
    levels: Levels,
) -> Answer:
    """Whether some error, by its fingerprint, is more frequent in the new release.

    One e-process per fingerprint seen in it, Bonferroni over them.
    """
    import numpy as np

    rows = dataset.rows(
        _NEW_ERRORS,
        {
            name: getattr(scope, name)
            for name in ("old", "new", "began_ns", "block_ns", "concurrent")
        },
    )
    place = {int(block): index for index, block in enumerate(blocks)}
    found: dict[str, tuple[Any, NDArray[np.float64], NDArray[np.float64]]] = {}
    for row in rows:
        if row["block"] in place:
            empty = (row["exception_type"], np.zeros(len(blocks)), np.zeros(len(blocks)))
            _, old, new = found.setdefault(row["fingerprint"], empty)
            old[place[row["block"]]] += row["old"]
            new[place[row["block"]]] += row["new"]
    told, state = [], "pass"
    asked = {name: each for name, each in found.items() if each[2].any()}
    for name, (exception, old, new) in asked.items():
        path = rate_is_higher(Counts(counts.baseline, old, counts.candidate, new))
        if convicts(path, levels.fail / len(asked)):
            state = "fail"
        told.append(
            {
                "fingerprint": name,
                "exception_type": exception,
                "old": int(old.sum()),
                "new": int(new.sum()),
                "log_e": significant(float(path[-1])),
            }
        )
    return Answer("fail" if state == "fail" else "pass", {"errors": told})
