"""State invariants: what held of the state in every good observation, and does no more.

After a step, `state.values` (an object in the attributes of its span or log record) tells
the state. From the good side are learned, as likely invariants in the sense of Daikon
(M. Ernst, J. Perkins, P. Guo, S. McCamant, C. Pacheco, M. Tschantz, C. Xiao, Science of
Computer Programming 69, 2007): a key is present; a number is not negative; it never
decreases, within a trace or of a process; a <= b and a == b of two numbers. And of what a
step changes (`selfheal.analysis.state`): that it always changes a key, or a table.

An invariant needs as many good observations as an order contract, and numbers that vary,
for constants relate to each other by chance. It is broken where the judged side breaks
it more often than the good side could hide: beyond 1 - 0.05^(1/n), the 95 % upper bound
of a rate that never showed in n observations, at a level that is adjusted over all
invariants that were learned, broken or not (Benjamini-Hochberg).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from selfheal.analysis.model import Comparison, DetectionData, Findings, Judgement
from selfheal.analysis.severity import of_share
from selfheal.analysis.sides import HANDLER, is_candidate, side_parameters
from selfheal.analysis.state import KeyChange, changes_of, key_changes
from selfheal.analysis.statistics.multiplicity import benjamini_hochberg
from selfheal.analysis.statistics.rates import never_was, trials_to_see
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector
from selfheal.artifacts.canonical import short_id
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

DETECTOR = "state_invariants"
# Numbers with fewer distinct values relate to others by chance.
MINIMUM_VALUES = 5
# So many keys of a step are related to each other, in the order of their names.
MOST_KEYS = 40

Kind = Literal[
    "always present", "never negative", "never decreases", "never decreases in a trace",
    "at most", "equal", "always changed",
]  # fmt: skip

_VALUES = """CASE WHEN json_type(attributes -> '$."state.values"') = 'OBJECT'
    THEN attributes -> '$."state.values"' ELSE try_cast(attributes ->> '$."state.values"' AS JSON) END"""
_NOTED = f"""
CREATE TEMP TABLE noted AS
WITH told AS (
    SELECT coalesce({HANDLER}, operation) AS step, {is_candidate("start_ns")} AS candidate,
        trace_id, coalesce(instance, '') AS instance, end_ns AS time_ns, id, {_VALUES} AS told
    FROM spans WHERE coalesce(service, '{UNKNOWN}') = $service
        AND attributes LIKE '%"state.values"%' AND status <> 'error'
    UNION ALL
    SELECT coalesce(attributes ->> '$."beat.handler"', attributes ->> '$."beat.event"', logger),
        {is_candidate("time_ns")}, trace_id, coalesce(instance, ''), time_ns, id, {_VALUES}
    FROM logs WHERE coalesce(service, '{UNKNOWN}') = $service AND attributes LIKE '%"state.values"%'
), numbered AS (
    SELECT *, row_number() OVER (ORDER BY time_ns, trace_id, id) AS seen FROM told
    WHERE candidate IS NOT NULL AND step IS NOT NULL AND json_type(told) = 'OBJECT'
), keyed AS (
    SELECT * EXCLUDE (told), json_extract(told, '$."' || key || '"') AS value
    FROM (SELECT *, unnest(json_keys(told)) AS key FROM numbered) WHERE key NOT LIKE '%"%'
)
SELECT * EXCLUDE (value), CASE WHEN json_type(value) IN ('BIGINT', 'UBIGINT', 'DOUBLE')
    THEN value::DOUBLE END AS value, json_type(value) <> 'NULL' AS given FROM keyed
"""
_TRACES = """(list(DISTINCT trace_id ORDER BY trace_id)
    FILTER (candidate AND trace_id IS NOT NULL AND {broken}))[:5]"""


def _counts(broken: str) -> str:
    return f"""count(*) FILTER (NOT candidate)::BIGINT AS before,
    count(*) FILTER (NOT candidate AND {broken})::BIGINT AS broken_before,
    count(*) FILTER (candidate)::BIGINT AS after,
    count(*) FILTER (candidate AND {broken})::BIGINT AS broken_after,
    min(time_ns) FILTER (candidate AND {broken}) AS first_ns,
    max(time_ns) FILTER (candidate AND {broken}) AS last_ns,
    {_TRACES.format(broken=broken)} AS trace_ids"""


_PRESENT = f"""
WITH steps AS (
    SELECT DISTINCT step, seen, candidate, trace_id, time_ns FROM noted
), keys AS (
    SELECT DISTINCT step, key FROM noted WHERE NOT candidate
)
SELECT 'always present' AS kind, k.step, k.key AS first, NULL AS second,
    {MINIMUM_VALUES} AS values_seen, {_counts("NOT there")}
FROM (
    SELECT k.step, k.key, s.candidate, s.trace_id, s.time_ns, coalesce(n.given, false) AS there
    FROM keys AS k JOIN steps AS s USING (step)
    LEFT JOIN noted AS n ON n.step = k.step AND n.key = k.key AND n.seen = s.seen
) AS k GROUP BY ALL
"""
_SIGN = f"""
SELECT 'never negative' AS kind, step, key AS first, NULL AS second,
    count(DISTINCT value) FILTER (NOT candidate)::BIGINT AS values_seen, {_counts("value < 0")}
FROM noted WHERE value IS NOT NULL GROUP BY step, key
"""


def _decreases(kind: Kind, scope: str) -> str:
    return f"""
SELECT '{kind}' AS kind, '' AS step, key AS first, NULL AS second,
    count(DISTINCT value) FILTER (NOT candidate AND value > previous)::BIGINT AS values_seen,
    {_counts("value < previous")}
FROM (
    SELECT *, lag(value) OVER (PARTITION BY key, candidate, {scope} ORDER BY seen) AS previous
    FROM noted WHERE value IS NOT NULL
) WHERE previous IS NOT NULL GROUP BY key
"""


# A pair is asked in both directions; equal numbers are at most each other, which is not asked.
_PAIRED = f"""
WITH few AS (
    SELECT *, dense_rank() OVER (PARTITION BY step ORDER BY key) AS place FROM noted
    WHERE value IS NOT NULL
), pairs AS (
    SELECT a.step, a.key AS first, b.key AS second, a.value AS one, b.value AS other,
        a.candidate, a.trace_id, a.time_ns
    FROM few AS a JOIN few AS b ON a.step = b.step AND a.seen = b.seen AND a.key <> b.key
    WHERE a.place <= {MOST_KEYS} AND b.place <= {MOST_KEYS}
)
SELECT CASE WHEN count(*) FILTER (NOT candidate AND one <> other) = 0 THEN 'equal' ELSE 'at most' END AS kind,
    step, first, second,
    least(count(DISTINCT one) FILTER (NOT candidate),
        count(DISTINCT other) FILTER (NOT candidate))::BIGINT AS values_seen,
    {{counts}}
FROM pairs GROUP BY step, first, second
"""
_ALL = {
    "always present": _PRESENT,
    "never negative": _SIGN,
    "never decreases": _decreases("never decreases", "instance"),
    "never decreases in a trace": _decreases("never decreases in a trace", "trace_id"),
    "at most": _PAIRED.format(counts=_counts("one > other")),
    "equal": _PAIRED.format(counts=_counts("one <> other")),
}


class Invariant(NamedTuple):
    """A statement on the state after `step` (empty: after any), and how often it was broken."""

    kind: Kind
    step: str
    first: str
    second: str | None
    values_seen: int
    before: int
    broken_before: int
    after: int
    broken_after: int
    first_ns: int | None
    last_ns: int | None
    trace_ids: list[str]

    @property
    def told(self) -> str:
        match self.kind:
            case "at most":
                return f"{self.first} ≤ {self.second}"
            case "equal":
                return f"{self.first} = {self.second}"
            case kind:
                return (
                    f"{self.first} is {kind}" if kind.startswith("al") else f"{self.first} {kind}"
                )

    @property
    def p_value(self) -> float:
        return never_was(self.before, self.broken_after, self.after)

    def learned(self, minimum: int) -> bool:
        """Whether the good side teaches it: often seen, never broken, of values that vary."""
        return (
            self.before >= minimum
            and not self.broken_before
            and self.values_seen >= MINIMUM_VALUES
            and self.after > 0
        )


def observed(
    dataset: Dataset,
    comparison: Comparison,
    *,
    changes: Sequence[KeyChange] | None = None,
    every: bool = False,
) -> Iterator[Invariant]:
    """Every statement that can be made of the service's state, true or not.

    Of two numbers that were equal on the good side it is only that, unless `every`.
    `changes` are those of `key_changes`, where they are known.
    """
    with dataset.connect() as connection:
        connection.execute(_NOTED, side_parameters(comparison))
        told = connection.execute("FROM noted LIMIT 1").fetchall()
        for kind, sql in _ALL.items() if told else ():
            cursor = connection.execute(f"{sql} ORDER BY ALL")
            names = [column[0] for column in cursor.description or ()]
            for values in cursor.fetchall():
                row = dict(zip(names, values, strict=True))
                # Both directions of an equality say the same.
                twice = kind == "equal" and row["first"] > row["second"]
                if (every or row["kind"] == kind) and not twice:
                    ids = row["trace_ids"] or []
                    yield Invariant(**{**row, "kind": kind, "trace_ids": ids})
    if changes is None:
        changes = key_changes(dataset, comparison)
    yield from _always_changed(dataset, comparison, changes)


_FAILED = f"""
SELECT coalesce({HANDLER}, operation) AS step,
    count(*) FILTER (NOT candidate)::BIGINT AS before, count(*) FILTER (candidate)::BIGINT AS after
FROM (SELECT *, {is_candidate("start_ns")} AS candidate FROM spans
    WHERE coalesce(service, '{UNKNOWN}') = $service AND status = 'error')
GROUP BY ALL
"""
_UNCHANGED = f"""
SELECT min(s.start_ns) AS first_ns, max(s.start_ns) AS last_ns,
    list(DISTINCT s.trace_id ORDER BY s.trace_id)[:5] AS trace_ids
FROM (
    SELECT trace_id, span_id, start_ns, {is_candidate("start_ns")} AS candidate FROM spans
    WHERE coalesce(service, '{UNKNOWN}') = $service AND status <> 'error'
        AND coalesce({HANDLER}, operation) = $step AND NOT contains(coalesce(attributes, ''), $key)
) AS s LEFT JOIN (
    SELECT DISTINCT trace_id, parent_span_id FROM spans WHERE contains(db_statement, $key)
) AS c ON c.trace_id = s.trace_id AND c.parent_span_id = s.span_id
WHERE s.candidate AND c.trace_id IS NULL
"""


def _always_changed(
    dataset: Dataset, comparison: Comparison, changes: Sequence[KeyChange]
) -> Iterator[Invariant]:
    """What an execution that did not fail always changed; a failed one may rightly not."""
    values = side_parameters(comparison)
    failed = {row["step"]: row for row in dataset.rows(_FAILED, values)} if changes else {}
    for change in changes:
        lost = failed.get(change.step, {"before": 0, "after": 0})
        before = change.before - lost["before"]
        after = change.after - lost["after"]
        broken = max(after - change.changed_after, 0)
        yield Invariant(
            "always changed", change.step, change.key, None, MINIMUM_VALUES, before,
            max(before - change.changed_before, 0), after, broken, None, None, [],
        )  # fmt: skip


def _placed(one: Invariant, dataset: Dataset, comparison: Comparison) -> Invariant:
    """With when and in which traces it was broken, where counting did not tell."""
    if one.kind != "always changed":
        return one
    asked = {**side_parameters(comparison), "step": one.step, "key": one.first}
    (found,) = dataset.rows(_UNCHANGED, asked)
    return one._replace(**{**found, "trace_ids": found["trace_ids"] or []})


def detect_invariants(data: DetectionData, config: DetectConfig) -> Findings:
    """The learned invariants that the judged side breaks, for every service that tells its state."""
    anomalies = []
    for comparison in data.comparisons:
        found = observed(data.dataset, comparison, changes=changes_of(data, comparison))
        learned = [one for one in found if one.learned(config.minimum_traces)]
        adjusted = benjamini_hochberg([one.p_value for one in learned])
        broken = [
            (one, p_value)
            for one, p_value in zip(learned, adjusted, strict=True)
            if one.broken_after and p_value <= config.significance
        ]
        anomalies += [
            _anomaly(_placed(one, data.dataset, comparison), p_value, comparison, config)
            for one, p_value in broken
            if not _follows(one, [other for other, _ in broken])
        ]
    return Findings(anomalies=anomalies)


def _follows(one: Invariant, broken: list[Invariant]) -> bool:
    """What never decreases in its process never does in a trace: told once."""
    return one.kind == "never decreases in a trace" and any(
        other.kind == "never decreases" and other.first == one.first for other in broken
    )


def _anomaly(
    one: Invariant, p_value: float, comparison: Comparison, config: DetectConfig
) -> Anomaly:
    share = one.broken_after / one.after
    where = f" after {one.step}" if one.step else ""
    asked = {"invariant": one.kind, "step": one.step, "first": one.first, "second": one.second}
    return Anomaly(
        id=short_id("anomaly", DETECTOR, comparison.service, *asked.values()),
        kind="state",
        service=comparison.service,
        operation=one.step or one.first,
        severity=of_share(share),
        score=significant(1 - p_value),
        title=(
            f"{one.told}{where} no longer: broken in {one.broken_after} of {one.after} "
            f"observations, in none of {one.before} before"
        ),
        first_seen=iso(one.first_ns),
        last_seen=iso(one.last_ns),
        count=one.broken_after,
        detector=Detector(
            name=DETECTOR,
            parameters={
                **asked,
                "significance": config.significance,
                "expected_rate": significant(share),
            },
            window=comparison.window,
        ),
        evidence={
            "violation": "invariant",
            "key": one.first,
            **asked,
            "told": one.told,
            "support": one.before,
            "observations": one.after,
            "broken": one.broken_after,
            "adjusted_p_value": significant(p_value),
            "trace_ids": one.trace_ids,
        },
    )


def judge_invariant(dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]) -> Judgement:
    """Whether the candidate of `sides` still breaks the invariant that the anomaly keeps."""
    key = (asked["invariant"], asked["step"], asked["first"], asked["second"])
    # Without its good side, equal numbers of this one would be asked as "at most".
    same = [
        one
        for one in observed(dataset, sides, every=True)
        if (one.kind, one.step, one.first, one.second) == key
    ]
    if not same or not same[0].after:
        return Judgement("no_data", "the step told no state", {})
    broken, seen = same[0].broken_after, same[0].after
    needed = trials_to_see(float(asked["expected_rate"]), float(asked["significance"]))
    numbers = {"seen": broken, "observations": seen, "needed": needed}
    told = f"{same[0].told} broken in {broken} of {seen} observations; {needed} are needed"
    if broken:
        return Judgement("anomalous", told, numbers)
    return Judgement("quiet" if seen >= needed else "inconclusive", told, numbers)
