"""Behaviour: the documentation of what production does, written from its traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Chapter, Chart, Column, Facts, Table
from selfheal.reports.layout import laid_out
from selfheal.reports.model import Edge, Graph, Node, Options, Report
from selfheal.reports.source import NO_SPANS, Source
from selfheal.reports.steps import observe
from selfheal.reports.text import milliseconds
from selfheal.reports.waterfall import waterfalls
from selfheal.telemetry.statistics import significant

STATEMENTS = 12

_FLOWS = """
SELECT e.flow, any_value(e.service) AS service, count(*)::BIGINT AS traces,
    count(*) FILTER (e.failed)::BIGINT AS failed,
    quantile_cont(e.duration_ms, 0.5) AS p50_ms, quantile_cont(e.duration_ms, 0.95) AS p95_ms,
    list_sort(list(DISTINCT e.release)) AS releases, min(e.trace_id) AS trace_id
FROM entries AS e GROUP BY e.flow ORDER BY traces DESC, e.flow
"""
_ANSWERS = """
SELECT flow, http_status AS status, count(*)::BIGINT AS requests FROM entries
WHERE http_status IS NOT NULL GROUP BY ALL ORDER BY ALL
"""
_STEPS = """
SELECT s.flow, s.step, count(*)::BIGINT AS present, any_value(t.traces) AS traces,
    avg(times) AS times, avg(total_ms) AS avg_ms
FROM steps AS s JOIN totals AS t USING (flow) GROUP BY s.flow, s.step ORDER BY s.flow, s.step
"""
_PARAMETERS = """
SELECT e.flow, split_part(pair, '=', 1) AS parameter, count(*)::BIGINT AS requests,
    count(DISTINCT pair)::BIGINT AS distinct_values
FROM entries AS e JOIN (
    SELECT trace_id, span_id, unnest(string_split(http_query, '&')) AS pair FROM spans
    WHERE http_query IS NOT NULL AND http_query <> ''
) AS q ON q.trace_id = e.trace_id AND q.span_id = e.span_id
GROUP BY ALL ORDER BY ALL
"""
_STATEMENTS = """
SELECT flow, statement, times, traces FROM (
    SELECT e.flow, s.db_statement AS statement, count(*)::BIGINT AS times,
        count(DISTINCT s.trace_id)::BIGINT AS traces
    FROM entries AS e JOIN spans AS s ON s.trace_id = e.trace_id
    WHERE s.db_statement IS NOT NULL GROUP BY ALL
) QUALIFY row_number() OVER (PARTITION BY flow ORDER BY traces DESC, times DESC, statement) <= $most
ORDER BY flow, traces DESC, times DESC, statement
"""
_ERRORS = """
SELECT e.flow, x.exception_type AS exception, min(x.exception_message) AS message,
    count(*)::BIGINT AS times
FROM errors AS x JOIN entries AS e ON e.trace_id = x.trace_id GROUP BY e.flow, x.exception_type
ORDER BY ALL
"""


class Step(Model):
    """A step in its usual place: `share` of the traces have it, `times` each."""

    step: str
    share: float
    times: float
    avg_ms: float | None

    @property
    def when(self) -> str:
        return "always" if self.share == 1 else f"in {self.share:.1%} of the traces"


class Statement(Model):
    """A database statement: in how many of the traces, and how often in each of those."""

    statement: str
    traces: int
    each: float


class Answer(Model):
    status: int
    requests: int


class Parameter(Model):
    parameter: str
    requests: int
    distinct_values: int


class Failure(Model):
    exception: str | None
    message: str | None
    times: int


class Operation(Model):
    """What production does when this operation is asked for."""

    flow: str
    service: str
    traces: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    releases: list[str]
    trace_id: str
    answers: list[Answer]
    parameters: list[Parameter]
    steps: list[Step]
    statements: list[Statement]
    failures: list[Failure]

    @property
    def told(self) -> str:
        """The operation in one sentence."""
        answers = ", ".join(f"{one.status} ({one.requests:,})" for one in self.answers)
        parts = [f"Seen {self.traces:,} times in release {', '.join(self.releases)}"]
        if self.p50_ms is not None and self.p95_ms is not None:
            parts.append(f"takes {milliseconds(self.p50_ms)} (P95 {milliseconds(self.p95_ms)})")
        if answers:
            parts.append(f"answers {answers}")
        if self.failed:
            parts.append(f"failed {self.failed:,} times")
        return "; ".join(parts) + "."


class Behaviour(Report):
    TITLE: ClassVar[str] = "What production does"
    QUESTION: ClassVar[str] = "What happens in production when each operation is asked for?"

    operations: list[Operation] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        return [
            Facts(
                [
                    ("operations", str(len(self.operations))),
                    ("traces", f"{sum(one.traces for one in self.operations):,}"),
                    ("services", ", ".join(sorted({one.service for one in self.operations}))),
                ]
            ),
            Table.of("operations", "Operations", _OPERATIONS, self.operations),
            Chart("graph", "steps", "Operations and their steps", laid_out(self.graph())),
            *(self._chapter(one) for one in self.operations),
        ]

    def _chapter(self, one: Operation) -> Chapter:
        name = "".join(mark if mark.isalnum() else "-" for mark in one.flow)
        blocks: list[Block] = []
        if one.steps:
            blocks.append(
                Table.of(f"steps-{name}", "Steps, in their usual order", _STEPS_SHOWN, one.steps)
            )
        if one.parameters:
            blocks.append(
                Table.of(f"parameters-{name}", "Parameters", _PARAMETERS_SHOWN, one.parameters)
            )
        if one.statements:
            blocks.append(
                Table.of(f"data-{name}", "Data that it reads and writes", _DATA, one.statements)
            )
        if one.failures:
            blocks.append(Table.of(f"errors-{name}", "How it failed", _FAILURES, one.failures))
        return Chapter(one.flow, blocks, one.told)

    def graph(self) -> Graph:
        nodes = [
            Node(
                id=one.flow,
                label=one.flow,
                group=one.service,
                weight=one.traces,
                bad=one.failed > 0,
            )
            for one in self.operations
        ]
        nodes += [
            Node(
                id=f"{one.flow}/{step.step}",
                label=step.step,
                group=one.service,
                weight=step.share * one.traces,
            )
            for one in self.operations
            for step in one.steps
        ]
        edges = []
        for one in self.operations:
            before = one.flow
            for step in one.steps:
                after = f"{one.flow}/{step.step}"
                label = "" if step.share == 1 else f"{step.share:.0%}"
                edges.append(
                    Edge(source=before, target=after, label=label, weight=step.share * one.traces)
                )
                before = after
        return Graph(nodes=nodes, edges=edges)


_OPERATIONS = (
    Column("flow", "operation"),
    Column("service", "service"),
    Column("traces", "traces", "count"),
    Column("failed", "failed", "count"),
    Column("p50_ms", "P50", "ms"),
    Column("p95_ms", "P95", "ms"),
    Column("releases", "releases"),
    Column("trace_id", "a trace", "trace"),
)
_STEPS_SHOWN = (
    Column("step", "step"),
    Column("when", "when"),
    Column("times", "times each", "number"),
    Column("avg_ms", "takes", "ms"),
)
_PARAMETERS_SHOWN = (
    Column("parameter", "parameter"),
    Column("requests", "requests", "count"),
    Column("distinct_values", "distinct values", "count"),
)
_DATA = (
    Column("statement", "statement", "place"),
    Column("traces", "in traces", "count"),
    Column("each", "times each", "number"),
)
_FAILURES = (
    Column("exception", "exception"),
    Column("message", "message"),
    Column("times", "times", "count"),
)


def build(source: Source, options: Options) -> Behaviour:
    """Every operation that was asked for, the most frequent first."""
    base = Behaviour(report="behaviour", run_id=source.run_id)
    if not source.count("spans"):
        return base.model_copy(update={"empty": NO_SPANS})
    observed = observe(source, release=options.release)
    rows = source.rows(_FLOWS)
    if not rows:
        return base.model_copy(update={"empty": "no trace has an entry span"})
    ranks = observed.orders(source).ranks
    steps = sorted(source.rows(_STEPS), key=lambda row: ranks[row["flow"], row["step"]])
    parts = {
        "answers": _by_flow(source.rows(_ANSWERS)),
        "parameters": _by_flow(source.rows(_PARAMETERS)),
        "steps": _by_flow(steps),
        "statements": _by_flow(source.rows(_STATEMENTS, {"most": STATEMENTS})),
        "failures": _by_flow(source.rows(_ERRORS)),
    }
    operations = [_operation(row, parts) for row in rows]
    return base.model_copy(
        update={
            "operations": operations,
            "notes": [
                "This is what was seen, in the usual order of beginning; what production was not "
                "asked for is not here."
            ],
            "traces": waterfalls(source, [one.trace_id for one in operations]),
        }
    )


def _by_flow(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.pop("flow"), []).append(row)
    return found


def _operation(
    row: dict[str, Any], parts: Mapping[str, Mapping[str, Sequence[dict[str, Any]]]]
) -> Operation:
    flow = row["flow"]
    for name in ("p50_ms", "p95_ms"):
        row[name] = None if row[name] is None else significant(row[name])
    return Operation(
        **row,
        answers=[Answer(**one) for one in parts["answers"].get(flow, ())],
        parameters=[Parameter(**one) for one in parts["parameters"].get(flow, ())],
        failures=[Failure(**one) for one in parts["failures"].get(flow, ())],
        steps=[
            Step(
                step=one["step"],
                share=significant(one["present"] / one["traces"]),
                times=significant(one["times"]),
                avg_ms=None if one["avg_ms"] is None else significant(one["avg_ms"]),
            )
            for one in parts["steps"].get(flow, ())
        ],
        statements=[
            Statement(
                statement=" ".join(one["statement"].split())[:400],
                traces=one["traces"],
                each=significant(one["times"] / one["traces"]),
            )
            for one in parts["statements"].get(flow, ())
        ],
    )
