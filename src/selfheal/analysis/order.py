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
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.analysis import order_statements as sql
from selfheal.analysis.errors import scope_of
from selfheal.analysis.model import Comparison
from selfheal.analysis.order_statements import Violation
from selfheal.analysis.statistics.rates import never_was
from selfheal.artifacts import Dataset

if TYPE_CHECKING:
    import duckdb


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
        connection.execute(sql.NAMES, own)
        self._codes = dict(connection.execute("SELECT name, code FROM names").fetchall())
        self._names = {code: name for name, code in self._codes.items()}
        # Numbers are quicker than ids; in a database they would be given anew each time.
        self._there = dataset.remote is not None
        number = "e.trace_id" if self._there else "row_number() OVER ()"
        connection.execute(sql.ENTRIES.format(number=number), {**scope, "operation": operation})
        connection.execute(sql.NEAR, own)
        connection.execute(*((sql.PLACED_THERE,) if self._there else (sql.PLACED, own)))
        connection.execute(sql.CALLS_THERE if self._there else sql.CALLS, own)

    def __enter__(self) -> Contracts:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def broken(self, minimum_traces: int) -> list[Broken]:
        """Every rule that at least `minimum_traces` good traces kept and some trace breaks."""
        totals = {
            (row["operation"], row["candidate"]): row["traces"] for row in self._rows(sql.TOTALS)
        }
        callers = self._rows(sql.CALLERS)
        called = sql.CALLED_THERE if self._there else sql.CALLED
        parents = _usual_callers(callers, "before", "after")
        counts = {
            (row["operation"], row["step"], row["candidate"]): {
                **row,
                "parent": parents.get((row["operation"], row["step"])),
            }
            for row in self._rows(sql.COUNTS)
        }
        rules = [
            *_about_steps(counts, totals, minimum_traces),
            *_about_pairs(_both_ways(self._rows(sql.PAIRS)), counts, minimum_traces),
            *_about_callers(callers, self._rows(called), minimum_traces),
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
            for row in self._rows(sql.TOTALS)
            if row["candidate"] and row["operation"] == operation
        )

    def trace_ids(
        self, violation: Violation, operation: str, step: str, other: str | None
    ) -> list[str]:
        """The candidate's traces that break a rule, sorted."""
        values = {"operation": self._codes.get(operation), "step": self._codes.get(step)}
        if violation in ("swapped", "wrong caller"):
            values["other"] = self._codes.get(other or "")
        rows = self._connection.execute(sql.BROKEN[violation], values).fetchall()
        return sorted(row[0] for row in rows)

    def _rows(self, statement: str) -> list[dict[str, Any]]:
        """What a statement gives, with names for their codes."""
        cursor = self._connection.execute(statement)
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
    """The most frequent caller of each step of an operation in these `sides` of `sql.CALLERS`."""
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
