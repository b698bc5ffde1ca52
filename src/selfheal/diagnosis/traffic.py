"""Whether other requests rather than other code explain an anomaly.

An input is the method, path, query and recorded body of a trace's entry request.
"""

from __future__ import annotations

from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.model import Model
from selfheal.diagnosis.traces import ENTRY, significant

INPUT = (
    "coalesce(http_method, '') || ' ' || coalesce(http_path, '') || '?' || coalesce(http_query, '')"
    " || ' ' || coalesce(request_body, '')"
)
# An input counts as seen by a release from so many requests on.
SEEN = 3
# The ratio of durations from which an operation is slower with equal inputs too.
SLOWER = 1.1
# The share of failing traces that must have an earlier error in their session.
FOLLOWS = 0.8


class MixShift(Model):
    """How much of an operation's growth is due to other inputs rather than slower code.

    `crude` is the ratio of the releases' mean durations, `standardised` the same with the
    baseline's mix of inputs (direct standardisation over the inputs that both releases
    saw at least `SEEN` times); `matched` is the share of requests in such inputs, the
    smaller of the two releases'.
    """

    crude: float
    standardised: float | None
    matched: float

    @property
    def explains(self) -> bool:
        return (
            self.standardised is not None
            and self.matched >= 0.5
            and self.crude >= 1.1
            and self.standardised <= min(1 + 0.25 * (self.crude - 1), SLOWER)
        )


def mix_shift(
    dataset: Dataset, service: str, operation: str, baseline: str | None, candidate: str | None
) -> MixShift | None:
    """Compare an operation input by input; None where there is nothing to compare."""
    if "spans" not in dataset.tables or not baseline or not candidate or baseline == candidate:
        return None
    rows = dataset.rows(
        f"WITH e AS (SELECT trace_id, any_value({INPUT} ORDER BY span_id) AS input FROM spans"
        f" WHERE {ENTRY} GROUP BY trace_id),"
        " x AS (SELECT trace_id, release, avg(duration_ms) AS ms FROM spans"
        " WHERE service = $service AND operation = $operation AND release IN ($good, $bad)"
        " GROUP BY ALL)"
        " SELECT input, release = $bad AS late, count(*) AS n, avg(ms) AS mean, median(ms) AS mid"
        " FROM x JOIN e USING (trace_id) GROUP BY ALL ORDER BY input, late",
        {"service": service, "operation": operation, "good": baseline, "bad": candidate},
    )
    sides: tuple[dict[str, tuple[int, float, float]], ...] = ({}, {})
    for row in rows:
        sides[row["late"]][row["input"]] = (row["n"], row["mean"], row["mid"])
    early, late = sides
    if not early or not late:
        return None
    totals = [sum(n for n, _, _ in side.values()) for side in sides]
    means = [sum(n * mean for n, mean, _ in side.values()) for side in sides]
    crude = (means[1] / totals[1]) / max(means[0] / totals[0], 1e-9)
    both = sorted(key for key in early if key in late and min(early[key][0], late[key][0]) >= SEEN)
    matched = min(
        sum(side[key][0] for key in both) / total for side, total in zip(sides, totals, strict=True)
    )
    old = sum(early[key][0] * early[key][2] for key in both)
    new = sum(early[key][0] * late[key][2] for key in both)
    return MixShift(
        crude=significant(crude),
        standardised=significant(new / old) if old > 0 else None,
        matched=significant(matched),
    )


class InputHistory(Model):
    """Failing requests against what the baseline was sent.

    `failing` distinct inputs failed in the candidate; `seen` of them were sent to the
    baseline too, `requests` counts those earlier requests and `failed` those of them that
    had an error.
    """

    failing: int
    seen: int
    requests: int
    failed: int


def input_history(dataset: Dataset, traces: list[str], baseline: str | None) -> InputHistory | None:
    """How the baseline answered the inputs of some failing traces; None without spans of them."""
    if "spans" not in dataset.tables or not baseline or not traces:
        return None
    rows = dataset.rows(
        f"WITH e AS (SELECT trace_id, release, status, http_status, {INPUT} AS input FROM spans"
        f" WHERE {ENTRY}),"
        " f AS (SELECT DISTINCT input FROM e WHERE list_contains($traces, trace_id)),"
        " g AS (SELECT input, count(*) AS n,"
        " count(*) FILTER (WHERE status = 'error' OR http_status >= 500) AS bad"
        " FROM e WHERE release = $good GROUP BY input)"
        " SELECT count(*) AS failing, count(g.input) AS seen,"
        " coalesce(sum(g.n), 0)::BIGINT AS requests, coalesce(sum(g.bad), 0)::BIGINT AS failed"
        " FROM f LEFT JOIN g USING (input)",
        {"traces": traces, "good": baseline},
    )
    return InputHistory(**rows[0]) if rows and rows[0]["failing"] else None


def earlier_failures(dataset: Dataset, traces: list[str], fingerprint: str) -> list[str]:
    """Other errors that struck the sessions of most failing traces before those failed.

    Returns their fingerprints, the commonest first, where at least `FOLLOWS` of the traces
    have such an error earlier in their session; else nothing.
    """
    if not {"spans", "errors"} <= dataset.tables.keys() or not traces:
        return []
    rows = dataset.rows(
        "WITH entry AS (SELECT trace_id, session_id, min(start_ns) AS start_ns FROM spans"
        f" WHERE {ENTRY} AND session_id IS NOT NULL GROUP BY ALL),"
        " f AS (SELECT * FROM entry WHERE list_contains($traces, trace_id)),"
        " e AS (SELECT DISTINCT entry.*, fingerprint FROM errors JOIN entry USING (trace_id)"
        " WHERE fingerprint IS NOT NULL AND fingerprint <> $own)"
        " SELECT e.fingerprint, count(DISTINCT f.trace_id) AS n FROM f JOIN e"
        " ON e.session_id = f.session_id AND e.start_ns < f.start_ns"
        " GROUP BY 1 ORDER BY n DESC, 1",
        {"traces": traces, "own": fingerprint},
    )
    return [row["fingerprint"] for row in rows if row["n"] >= FOLLOWS * len(set(traces))]
