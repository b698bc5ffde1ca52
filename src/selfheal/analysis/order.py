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

# Operations and services are compared millions of times: as numbers, in the order of names.
_NAMES = f"""
CREATE TEMP TABLE names AS
SELECT name, row_number() OVER (ORDER BY name) AS code FROM (
    SELECT operation AS name FROM spans WHERE coalesce(service, '{UNKNOWN}') = $service
    UNION SELECT coalesce(service, '{UNKNOWN}') FROM spans
)
"""
_ENTRIES = f"""
CREATE TEMP TABLE entries AS
SELECT e.*, n.code AS operation, {{number}} AS number FROM (
    SELECT trace_id, any_value(operation) AS name,
        any_value(span_id) AS span_id,
        any_value(coalesce(release, '{UNKNOWN}')) = $candidate AS candidate
    FROM spans
    WHERE coalesce(service, '{UNKNOWN}') = $service
        AND coalesce(release, '{UNKNOWN}') IN ($baseline, $candidate)
        AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
        AND ($operation IS NULL OR operation = $operation)
    GROUP BY trace_id
    HAVING count(*) = 1 AND any_value(status) <> 'error'
        AND coalesce(any_value(http_status), 0) < 400
) AS e JOIN names AS n ON n.name = e.name
"""
# The entry and the spans below it; `direct`: called by the entry itself.
_NEAR = f"""
CREATE TEMP TABLE near AS
SELECT e.number, e.operation, e.candidate, n.code AS step, s.trace_id, s.parent_span_id,
    s.start_ns, s.end_ns,
    s.span_id <> e.span_id AND s.start_ns IS NOT NULL AND s.end_ns IS NOT NULL AS timed,
    coalesce(s.parent_span_id = e.span_id, false) AS direct
FROM spans AS s JOIN entries AS e ON s.trace_id = e.trace_id
JOIN names AS n ON n.name = s.operation
WHERE coalesce(s.service, '{UNKNOWN}') = $service AND s.db_statement IS NULL
    AND (s.kind = 'internal' OR s.span_id = e.span_id)
"""
# One row per trace and step. Who called it: the span around it, or the service that sent
# the request; of several callers the first and the last, by name.
_PLACED = """
CREATE TEMP TABLE placed AS
SELECT number, step, any_value(operation) AS operation, any_value(candidate) AS candidate,
    count(*) FILTER (timed) AS times, min(start_ns) FILTER (timed) AS first_ns,
    max(end_ns) FILTER (timed) AS last_ns, min(caller) AS caller, max(caller) AS last_caller
FROM (
    SELECT number, step, operation, candidate, start_ns, end_ns, timed,
        CASE WHEN direct THEN operation END AS caller
    FROM near
    UNION ALL
    SELECT number, step, operation, candidate, NULL, NULL, false, caller FROM ({called})
) GROUP BY number, step
"""
_CALLED_DEEPER = f"""
    SELECT n.number, n.step, n.operation, n.candidate, c.code AS caller
    FROM near AS n JOIN spans AS p ON p.trace_id = n.trace_id AND p.span_id = n.parent_span_id
    JOIN names AS c ON c.name = CASE WHEN coalesce(p.service, '{UNKNOWN}') = $service
        THEN p.operation ELSE coalesce(p.service, '{UNKNOWN}') END
    WHERE NOT n.direct
"""
_CALLS = f"""
CREATE TEMP TABLE calls AS
SELECT number, step, operation, candidate, caller FROM placed WHERE caller = last_caller
UNION ALL
SELECT DISTINCT c.number, c.step, c.operation, c.candidate, c.caller FROM (
    SELECT number, step, operation, candidate, operation AS caller FROM near WHERE direct
    UNION ALL
    SELECT number, step, operation, candidate, caller FROM ({_CALLED_DEEPER})
) AS c JOIN placed AS p ON p.number = c.number AND p.step = c.step WHERE p.caller <> p.last_caller
"""
_CALLERS = """
SELECT operation, step, caller, count(*) FILTER (NOT candidate)::BIGINT AS before,
    count(*) FILTER (candidate)::BIGINT AS after
FROM calls GROUP BY operation, step, caller ORDER BY operation, step, caller
"""
_CALLED = """
SELECT operation, step, candidate, count(*)::BIGINT AS traces FROM placed
WHERE caller IS NOT NULL GROUP BY operation, step, candidate
"""
_COUNTS = """
SELECT operation, step, candidate, count(*)::BIGINT AS present,
    count(*) FILTER (times > 1)::BIGINT AS repeated
FROM placed WHERE times > 0 GROUP BY operation, step, candidate ORDER BY operation, step, candidate
"""
# Each pair once; the other way round is the same question.
_PAIRS = """
SELECT a.operation, a.step AS first, b.step AS second, a.candidate, count(*)::BIGINT AS both,
    count(*) FILTER (a.last_ns <= b.first_ns)::BIGINT AS in_order,
    count(*) FILTER (b.last_ns <= a.first_ns)::BIGINT AS reversed
FROM placed AS a JOIN placed AS b ON a.number = b.number AND a.step < b.step
WHERE a.times = 1 AND b.times = 1
GROUP BY a.operation, a.step, b.step, a.candidate
"""
_TOTALS = "SELECT operation, candidate, count(*)::BIGINT AS traces FROM entries GROUP BY ALL"
_BROKEN: Mapping[Violation, str] = {
    "missing": """
        SELECT e.trace_id FROM entries AS e
        LEFT JOIN (SELECT number FROM placed WHERE step = $step AND times > 0) AS s
            ON s.number = e.number
        WHERE e.candidate AND e.operation = $operation AND s.number IS NULL""",
    "extra": """
        SELECT e.trace_id FROM entries AS e JOIN placed AS s ON s.number = e.number
        WHERE s.candidate AND s.operation = $operation AND s.step = $step AND s.times > 0""",
    "duplicated": """
        SELECT e.trace_id FROM entries AS e JOIN placed AS s ON s.number = e.number
        WHERE s.candidate AND s.operation = $operation AND s.step = $step AND s.times > 1""",
    "swapped": """
        SELECT e.trace_id FROM entries AS e JOIN placed AS a ON a.number = e.number
        JOIN placed AS b ON b.number = e.number
        WHERE a.candidate AND a.operation = $operation AND a.step = $step AND b.step = $other
        AND a.times = 1 AND b.times = 1 AND b.last_ns <= a.first_ns""",
    "wrong caller": """
        SELECT e.trace_id FROM entries AS e JOIN calls AS c ON c.number = e.number
        WHERE c.candidate AND c.operation = $operation AND c.step = $step AND c.caller = $other""",
}
_NAMED = ("operation", "step", "caller", "first", "second")


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
        own = {"service": comparison.service}
        # Counts are the same in any order of the rows: they may be made on all cores.
        connection: duckdb.DuckDBPyConnection = dataset.connect(threads=None)
        self._connection = connection
        connection.execute(_NAMES, own)
        self._codes = dict(connection.execute("SELECT name, code FROM names").fetchall())
        self._names = {code: name for name, code in self._codes.items()}
        # Numbers are quicker than ids; in a database, where nothing is stored, they would
        # be given anew by each statement.
        number = "e.trace_id" if dataset.remote else "row_number() OVER ()"
        connection.execute(_ENTRIES.format(number=number), {**scope, "operation": operation})
        connection.execute(_NEAR, own)
        connection.execute(_PLACED.format(called=_CALLED_DEEPER), own)
        connection.execute(_CALLS, own)

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
        values = {"operation": self._codes.get(operation), "step": self._codes.get(step)}
        if violation in ("swapped", "wrong caller"):
            values["other"] = self._codes.get(other or "")
        rows = self._connection.execute(_BROKEN[violation], values).fetchall()
        return sorted(row[0] for row in rows)

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        """What a statement gives, with names for their codes."""
        cursor = self._connection.execute(sql)
        columns = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        named = [column for column in columns if column in _NAMED]
        return [{**row, **{column: self._names[row[column]] for column in named}} for row in rows]


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
