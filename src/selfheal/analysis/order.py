"""Order contracts: what steps an operation takes in good traces, and in which order.

A step is an internal span of the service below its entry span, database statements
apart. From the successful traces of the baseline release the contract of an operation
is learned as a partial order: steps that are always there, steps that come once at the
most, and pairs of which one has always ended before the other begins. Optional,
repeated and concurrent steps are legal because they contradict no "always".

Each "always" is a question to the candidate's traces: in how many is it broken? Legal
variety that the baseline happened not to show is held apart by exact tests (Fisher's of
the two proportions, and a binomial one against the rate that the baseline may hide). All of it is counted in SQL, never trace by trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from selfheal.analysis.errors import scope_of
from selfheal.analysis.model import Comparison
from selfheal.analysis.statistics.rates import never_was
from selfheal.artifacts import Dataset
from selfheal.telemetry.statistics import UNKNOWN

if TYPE_CHECKING:
    import duckdb

Violation = Literal["missing", "extra", "duplicated", "swapped", "wrong caller"]

_ENTRIES = f"""
CREATE TEMP TABLE entries AS
SELECT trace_id, any_value(operation) AS operation, any_value(span_id) AS span_id,
    any_value(coalesce(release, '{UNKNOWN}')) = $candidate AS candidate,
    any_value(start_ns) AS start_ns
FROM spans
WHERE coalesce(service, '{UNKNOWN}') = $service
    AND coalesce(release, '{UNKNOWN}') IN ($baseline, $candidate)
    AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
    AND ($operation IS NULL OR operation = $operation)
GROUP BY trace_id
HAVING count(*) = 1 AND any_value(status) <> 'error' AND coalesce(any_value(http_status), 0) < 400
"""
_STEPS = f"""
CREATE TEMP TABLE steps AS
SELECT any_value(e.operation) AS operation, any_value(e.candidate) AS candidate, s.trace_id,
    s.operation AS step, count(*) AS times, min(s.start_ns) AS first_ns, max(s.end_ns) AS last_ns
FROM spans AS s JOIN entries AS e ON s.trace_id = e.trace_id
WHERE coalesce(s.service, '{UNKNOWN}') = $service AND s.kind = 'internal'
    AND s.db_statement IS NULL AND s.span_id <> e.span_id
    AND s.start_ns IS NOT NULL AND s.end_ns IS NOT NULL
GROUP BY s.trace_id, s.operation
"""
# Who called a step: the span around it, or the service that sent the request.
_CALLS = f"""
CREATE TEMP TABLE calls AS
SELECT any_value(e.operation) AS operation, any_value(e.candidate) AS candidate, s.trace_id,
    s.operation AS step,
    CASE WHEN coalesce(p.service, '{UNKNOWN}') = $service THEN p.operation
        ELSE coalesce(p.service, '{UNKNOWN}') END AS caller
FROM spans AS s JOIN entries AS e ON s.trace_id = e.trace_id
JOIN spans AS p ON p.trace_id = s.trace_id AND p.span_id = s.parent_span_id
WHERE coalesce(s.service, '{UNKNOWN}') = $service AND s.db_statement IS NULL
    AND (s.kind = 'internal' OR s.span_id = e.span_id)
GROUP BY s.trace_id, s.operation, caller
"""
_CALLERS = """
SELECT operation, step, caller, count(*) FILTER (NOT candidate)::BIGINT AS before,
    count(*) FILTER (candidate)::BIGINT AS after
FROM calls GROUP BY operation, step, caller ORDER BY operation, step, caller
"""
_CALLED = """
SELECT operation, step, candidate, count(DISTINCT trace_id)::BIGINT AS traces FROM calls
GROUP BY operation, step, candidate
"""
_COUNTS = """
SELECT operation, step, candidate, count(*)::BIGINT AS present,
    count(*) FILTER (times > 1)::BIGINT AS repeated
FROM steps GROUP BY operation, step, candidate ORDER BY operation, step, candidate
"""
# Each pair once; the other way round is the same question.
_PAIRS = """
SELECT a.operation, a.step AS first, b.step AS second, a.candidate, count(*)::BIGINT AS both,
    count(*) FILTER (a.last_ns <= b.first_ns)::BIGINT AS in_order,
    count(*) FILTER (b.last_ns <= a.first_ns)::BIGINT AS reversed
FROM steps AS a JOIN steps AS b ON a.trace_id = b.trace_id AND a.step < b.step
WHERE a.times = 1 AND b.times = 1
GROUP BY a.operation, a.step, b.step, a.candidate
"""
_TOTALS = "SELECT operation, candidate, count(*)::BIGINT AS traces FROM entries GROUP BY ALL"
_BROKEN: Mapping[Violation, str] = {
    "missing": """
        SELECT trace_id FROM entries AS e WHERE candidate AND operation = $operation
        AND NOT EXISTS (FROM steps AS s WHERE s.trace_id = e.trace_id AND s.step = $step)""",
    "extra": """
        SELECT trace_id FROM steps
        WHERE candidate AND operation = $operation AND step = $step""",
    "duplicated": """
        SELECT trace_id FROM steps
        WHERE candidate AND operation = $operation AND step = $step AND times > 1""",
    "swapped": """
        SELECT a.trace_id FROM steps AS a JOIN steps AS b USING (trace_id, operation)
        WHERE a.candidate AND operation = $operation AND a.step = $step AND b.step = $other
        AND a.times = 1 AND b.times = 1 AND b.last_ns <= a.first_ns""",
    "wrong caller": """
        SELECT DISTINCT trace_id FROM calls
        WHERE candidate AND operation = $operation AND step = $step AND caller = $other""",
}


class Broken(NamedTuple):
    """One rule of a contract and how often the candidate breaks it.

    `step` is the step concerned; of a swapped pair, the one that came first in every
    good trace, `other` the one that now comes before it; of a wrong caller, `other` is
    the caller that never was one. `support` good traces kept the rule without exception;
    of the candidate's `traces` that it applies to, `broken` did not. `everywhere` says
    that the step is known to other operations of the baseline (extra) or of the candidate
    (missing), or the wrong caller to the baseline.
    """

    operation: str
    violation: Violation
    step: str
    other: str | None
    support: int
    traces: int
    broken: int
    parent: str | None
    everywhere: bool

    @property
    def p_value(self) -> float:
        """That chance put all broken traces on the candidate's side."""
        return never_was(self.support, self.broken, self.traces)

    @property
    def total(self) -> bool:
        return self.broken == self.traces


class Contracts:
    """The contracts of a service's operations, learned and held against the candidate.

    A context manager over one database connection. `operation` restricts it to one.
    """

    def __init__(
        self, dataset: Dataset, comparison: Comparison, *, operation: str | None = None
    ) -> None:
        scope = scope_of(comparison)
        # Counts are the same in any order of the rows: they may be made on all cores.
        self._connection: duckdb.DuckDBPyConnection = dataset.connect(threads=None)
        self._connection.execute(_ENTRIES, {**scope, "operation": operation})
        self._connection.execute(_STEPS, {"service": comparison.service})
        self._connection.execute(_CALLS, {"service": comparison.service})

    def __enter__(self) -> Contracts:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def broken(self, minimum_traces: int) -> list[Broken]:
        """Every rule that at least `minimum_traces` good traces kept and some trace breaks."""
        totals = {
            (row["operation"], row["candidate"]): row["traces"] for row in self._rows(_TOTALS)
        }
        callers = self._rows(_CALLERS)
        parents = _usual_callers(callers, "before", "after")
        counts = {
            (row["operation"], row["step"], row["candidate"]): {
                **row,
                "parent": parents.get((row["operation"], row["step"])),
            }
            for row in self._rows(_COUNTS)
        }
        rules = [
            *_about_steps(counts, totals, minimum_traces),
            *_about_pairs(_both_ways(self._rows(_PAIRS)), counts, minimum_traces),
            *_about_callers(callers, self._rows(_CALLED), minimum_traces),
        ]
        return _outermost(
            sorted(rules, key=lambda r: (r.operation, r.violation, r.step, r.other or ""))
        )

    def occurrences(
        self, violation: Violation, operation: str, step: str, other: str | None
    ) -> int:
        """How many of the candidate's traces break a rule."""
        return len(self.trace_ids(violation, operation, step, other))

    def traces(self, operation: str) -> int:
        """How many good traces the candidate has of an operation."""
        return sum(
            row["traces"]
            for row in self._rows(_TOTALS)
            if row["candidate"] and row["operation"] == operation
        )

    def trace_ids(
        self, violation: Violation, operation: str, step: str, other: str | None
    ) -> list[str]:
        """The candidate's traces that break a rule, sorted."""
        values = {"operation": operation, "step": step}
        if violation in ("swapped", "wrong caller"):
            values["other"] = other or ""
        rows = self._connection.execute(_BROKEN[violation], values).fetchall()
        return sorted(row[0] for row in rows)

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        cursor = self._connection.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _about_steps(
    counts: Mapping[tuple[str, str, bool], Mapping[str, Any]],
    totals: Mapping[tuple[str, bool], int],
    minimum: int,
) -> Iterator[Broken]:
    """Steps that are always there, never there, or there once at the most."""
    for operation, step in sorted({(operation, step) for operation, step, _ in counts}):
        before, after = counts.get((operation, step, False)), counts.get((operation, step, True))
        good, judged = totals.get((operation, False), 0), totals.get((operation, True), 0)
        if good < minimum or judged == 0:
            continue
        present = after["present"] if after else 0
        if before is None and after is not None:
            known = _elsewhere(counts, step, operation, candidate=False)
            yield Broken(
                operation, "extra", step, None, good, judged, present, after["parent"], known
            )
        elif before is not None and before["present"] == good and present < judged:
            known = _elsewhere(counts, step, operation, candidate=True)
            yield Broken(
                operation,
                "missing",
                step,
                None,
                good,
                judged,
                judged - present,
                before["parent"],
                known,
            )
        if before and after and _came_once(before, minimum) and after["repeated"]:
            yield Broken(
                operation, "duplicated", step, None, before["present"], present,
                after["repeated"], before["parent"], True,
            )  # fmt: skip


def _came_once(counted: Mapping[str, Any], minimum: int) -> bool:
    return bool(counted["repeated"] == 0 and counted["present"] >= minimum)


def _both_ways(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each pair of steps, and the same counts seen from its second one."""
    turned = [
        {
            **row,
            "first": row["second"],
            "second": row["first"],
            "in_order": row["reversed"],
            "reversed": row["in_order"],
        }
        for row in pairs
    ]
    return [*pairs, *turned]


def _usual_callers(calls: list[dict[str, Any]], *sides: str) -> dict[tuple[str, str], str]:
    """The most frequent caller of each step of an operation in these `sides` of `_CALLERS`."""
    usual: dict[tuple[str, str], tuple[int, str]] = {}
    for row in calls:
        place, times = (row["operation"], row["step"]), sum(row[side] for side in sides)
        usual[place] = max(usual.get(place, (0, "")), (times, row["caller"]))
    return {place: caller for place, (_, caller) in usual.items()}


def _about_pairs(
    pairs: list[dict[str, Any]],
    counts: Mapping[tuple[str, str, bool], Mapping[str, Any]],
    minimum: int,
) -> Iterator[Broken]:
    """Pairs of steps of which the first has always ended before the second began."""
    after = {
        (row["operation"], row["first"], row["second"]): row for row in pairs if row["candidate"]
    }
    for row in pairs:
        key = (row["operation"], row["first"], row["second"])
        if row["candidate"] or row["both"] < minimum or row["in_order"] < row["both"]:
            continue
        judged = after.get(key)
        if judged and judged["reversed"]:
            parent = counts[row["operation"], row["first"], False]["parent"]
            yield Broken(
                row["operation"], "swapped", row["first"], row["second"], row["both"],
                judged["both"], judged["reversed"], parent, True,
            )  # fmt: skip


def _about_callers(
    calls: list[dict[str, Any]], called: list[dict[str, Any]], minimum: int
) -> Iterator[Broken]:
    """Steps that had a caller in good traces, and have one now that never was."""
    traces = {(row["operation"], row["step"], row["candidate"]): row["traces"] for row in called}
    known = {row["caller"] for row in calls if row["before"]}
    known |= {row["step"] for row in calls if row["before"]}
    usual = _usual_callers(calls, "before")
    for row in calls:
        operation, step = row["operation"], row["step"]
        support = traces.get((operation, step, False), 0)
        if support >= minimum and not row["before"]:
            yield Broken(
                operation, "wrong caller", step, row["caller"], support,
                traces[operation, step, True], row["after"], usual[operation, step],
                row["caller"] in known,
            )  # fmt: skip


def _elsewhere(
    counts: Mapping[tuple[str, str, bool], Any], step: str, operation: str, *, candidate: bool
) -> bool:
    return any(name == step and of != operation and side == candidate for of, name, side in counts)


def _outermost(rules: list[Broken]) -> list[Broken]:
    """Without what follows from the same rule broken for the step around.

    A step has another caller where the usual one is missing, or a new one is between.
    """
    broken = {(rule.operation, rule.violation, rule.step) for rule in rules}

    def follows(rule: Broken) -> bool:
        if rule.violation == "wrong caller":
            around = {("missing", rule.parent), ("extra", rule.other)}
            return any((rule.operation, kind, name) in broken for kind, name in around)
        return (rule.operation, rule.violation, rule.parent) in broken

    return [rule for rule in rules if not follows(rule)]
