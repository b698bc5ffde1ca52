"""Flow: observed steps against declared ones, discrepancy by discrepancy.

What is declared comes from sequence files where they are given, else from the good
traces of the release before: the order contracts of `selfheal.analysis.order`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from pydantic import Field

from selfheal.analysis.declared import DeclaredFlow
from selfheal.analysis.order import Broken, Contracts
from selfheal.analysis.releases import compare
from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Chart, Column, Facts, Table
from selfheal.reports.declared import declared_flows
from selfheal.reports.layout import laid_out
from selfheal.reports.model import Edge, Graph, Node, Options, Report
from selfheal.reports.source import NO_SPANS, Source
from selfheal.reports.steps import Orders, observe
from selfheal.reports.waterfall import waterfalls
from selfheal.telemetry.statistics import significant

LEAST = 20
DRAWN = 40

_KNOWN = "CREATE OR REPLACE TEMP TABLE declared AS SELECT unnest($flows) AS flow, unnest($steps) AS step, unnest($positions) AS position"
_MISSING = """
SELECT d.flow, d.step, count(*)::BIGINT AS traces,
    count(*) FILTER (s.trace_id IS NULL)::BIGINT AS broken,
    (list(e.trace_id ORDER BY e.trace_id) FILTER (s.trace_id IS NULL))[1:3] AS trace_ids
FROM declared AS d JOIN entries AS e ON e.flow = d.flow
LEFT JOIN steps AS s ON s.trace_id = e.trace_id AND s.flow = d.flow AND s.step = d.step
GROUP BY d.flow, d.step HAVING broken > 0 ORDER BY d.flow, d.step
"""
_EXTRA = """
SELECT s.flow, s.step, any_value(t.traces) AS traces, count(*)::BIGINT AS broken,
    list(s.trace_id ORDER BY s.trace_id)[1:3] AS trace_ids
FROM steps AS s JOIN totals AS t USING (flow)
LEFT JOIN declared AS d ON d.flow = s.flow AND d.step = s.step
WHERE s.flow IN (SELECT flow FROM declared) AND d.step IS NULL
GROUP BY s.flow, s.step ORDER BY s.flow, s.step
"""
_DUPLICATED = """
SELECT s.flow, s.step, count(*)::BIGINT AS traces, count(*) FILTER (times > 1)::BIGINT AS broken,
    (list(s.trace_id ORDER BY s.trace_id) FILTER (times > 1))[1:3] AS trace_ids
FROM steps AS s JOIN declared AS d USING (flow, step)
GROUP BY s.flow, s.step HAVING broken > 0 ORDER BY s.flow, s.step
"""
_SWAPPED = """
SELECT a.flow, a.step, b.step AS other, count(*)::BIGINT AS traces,
    count(*) FILTER (y.first_ns < x.first_ns)::BIGINT AS broken,
    (list(x.trace_id ORDER BY x.trace_id) FILTER (y.first_ns < x.first_ns))[1:3] AS trace_ids
FROM declared AS a JOIN declared AS b ON a.flow = b.flow AND b.position = a.position + 1
JOIN steps AS x ON x.flow = a.flow AND x.step = a.step
JOIN steps AS y ON y.flow = b.flow AND y.step = b.step AND x.trace_id = y.trace_id
GROUP BY a.flow, a.step, b.step HAVING broken > 0 ORDER BY ALL
"""
_STEPS = """
SELECT s.flow, s.step, any_value(t.traces) AS traces, count(*)::BIGINT AS present,
    count(*) FILTER (times > 1)::BIGINT AS repeated, avg(times) AS times
FROM steps AS s JOIN totals AS t USING (flow) GROUP BY s.flow, s.step ORDER BY s.flow, s.step
"""


class FlowStep(Model):
    """A step of a flow: in how many of its traces it was seen; `declared` is its position."""

    flow: str
    step: str
    declared: int | None
    traces: int
    present: int
    repeated: int
    times: float

    @property
    def share(self) -> float:
        return self.present / self.traces if self.traces else 0.0


class Follows(Model):
    """How often a step came right after another (`before` empty: first)."""

    flow: str
    before: str
    step: str
    times: int


class Discrepancy(Model):
    """One rule that traces break. `other` is the step that a swapped one changed places with.

    `verdict` is the detector's finding of a learned rule; a declared one is simply broken.
    """

    flow: str
    violation: str
    step: str
    other: str | None
    told: str
    traces: int
    broken: int
    verdict: str
    trace_ids: list[str]

    @property
    def share(self) -> float:
        return self.broken / self.traces if self.traces else 0.0


class Flow(Report):
    TITLE: ClassVar[str] = "Flow: observed against declared"
    QUESTION: ClassVar[str] = "Does production take the steps that it should, in their order?"

    basis: str = ""
    flows: dict[str, int] = Field(default_factory=dict)
    undeclared: list[str] = Field(default_factory=list)
    unseen: list[str] = Field(default_factory=list)
    steps: list[FlowStep] = Field(default_factory=list)
    follows: list[Follows] = Field(default_factory=list)
    discrepancies: list[Discrepancy] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        blocks: list[Block] = [
            Facts(
                [
                    ("declared by", self.basis),
                    ("flows observed", str(len(self.flows))),
                    ("traces", f"{sum(self.flows.values()):,}"),
                    ("discrepancies", str(len(self.discrepancies))),
                ]
            ),
            Table.of("discrepancies", "Discrepancies", _COLUMNS, self.discrepancies),
        ]
        if self.follows:
            blocks.append(
                Chart(
                    "graph",
                    "flow",
                    "What follows what",
                    laid_out(self.graph()),
                    "Thicker: more often. Red: a discrepancy.",
                )
            )
        blocks.append(Table.of("steps", "Steps", _STEP_COLUMNS, self.steps))
        if self.unseen:
            unseen = [{"flow": name} for name in self.unseen]
            blocks.append(
                Table("unseen", "Declared and not observed", (Column("flow", "flow"),), unseen)
            )
        if self.undeclared:
            rows = [{"flow": name, "traces": self.flows[name]} for name in self.undeclared]
            columns = (Column("flow", "flow"), Column("traces", "traces", "count"))
            blocks.append(Table("undeclared", "Observed and not declared", columns, rows))
        return blocks

    def graph(self) -> Graph:
        """What directly follows what, flow by flow; the flows with discrepancies first."""
        bad = {(one.flow, one.step) for one in self.discrepancies}
        troubled = {one.flow for one in self.discrepancies}
        order = sorted(self.flows, key=lambda name: (name not in troubled, -self.flows[name], name))
        drawn = [name for name in order if any(one.flow == name for one in self.steps)][:DRAWN]
        nodes = [Node(id=name, label=name, group=name, weight=self.flows[name]) for name in drawn]
        nodes += [
            Node(
                id=f"{one.flow}/{one.step}",
                label=one.step,
                group=one.flow,
                weight=one.present,
                bad=(one.flow, one.step) in bad,
            )
            for one in self.steps
            if one.flow in drawn
        ]
        edges = [
            Edge(
                source=f"{one.flow}/{one.before}" if one.before else one.flow,
                target=f"{one.flow}/{one.step}",
                label=f"{one.times:,}",
                weight=one.times,
            )
            for one in self.follows
            if one.flow in drawn
        ]
        return Graph(nodes=nodes, edges=edges)


_COLUMNS = (
    Column("violation", "discrepancy", "grade"),
    Column("flow", "flow"),
    Column("told", "what"),
    Column("broken", "traces with it", "count"),
    Column("traces", "of", "count"),
    Column("share", "share", "share"),
    Column("verdict", "verdict"),
    Column("trace_ids", "traces", "trace"),
)
_STEP_COLUMNS = (
    Column("flow", "flow"),
    Column("step", "step"),
    Column("declared", "declared as", "count"),
    Column("present", "in traces", "count"),
    Column("traces", "of", "count"),
    Column("share", "share", "share"),
    Column("times", "times each", "number"),
    Column("repeated", "repeated in", "count"),
)


def build(source: Source, options: Options) -> Flow:
    """Observed flows against sequence files (`options.declared`) or the release before."""
    base = Flow(report="flow", run_id=source.run_id)
    if not source.count("spans"):
        return base.model_copy(update={"empty": NO_SPANS})
    declared = declared_flows(options.declared)
    observed = observe(source, declared, options.release)
    flows = {row["flow"]: row["traces"] for row in source.rows("FROM totals ORDER BY flow")}
    if not flows:
        return base.model_copy(update={"empty": "no trace has an entry span"})
    orders = observed.orders(source)
    base = base.model_copy(
        update={
            "flows": flows,
            "follows": _follows(orders),
            "steps": _steps(source, orders, declared),
        }
    )
    report = _declared(source, base, declared) if declared else _learned(source, base, options)
    return report.model_copy(
        update={
            "notes": [*report.notes, *observed.notes],
            "traces": waterfalls(
                source, [id for one in report.discrepancies for id in one.trace_ids]
            ),
        }
    )


def _positions(declared: Sequence[DeclaredFlow]) -> dict[tuple[str, str], int]:
    return {
        (flow.label, step.label): number
        for flow in declared
        for number, step in enumerate(flow.steps, 1)
    }


def _steps(source: Source, orders: Orders, declared: Sequence[DeclaredFlow]) -> list[FlowStep]:
    """Flow by flow, in the usual order of their steps."""
    positions = _positions(declared)
    found = [
        FlowStep(
            flow=row["flow"],
            step=row["step"],
            declared=positions.get((row["flow"], row["step"])),
            traces=row["traces"],
            present=row["present"],
            repeated=row["repeated"],
            times=significant(row["times"]),
        )
        for row in source.rows(_STEPS)
    ]
    return sorted(found, key=lambda one: (one.flow, orders.ranks[one.flow, one.step], one.step))


def _follows(orders: Orders) -> list[Follows]:
    """Flow by flow, the most frequent first."""
    found = [
        Follows(flow=flow, before=before, step=step, times=times)
        for (flow, before, step), times in orders.follows.items()
    ]
    return sorted(found, key=lambda one: (one.flow, -one.times, one.before, one.step))


def _declared(source: Source, base: Flow, declared: Sequence[DeclaredFlow]) -> Flow:
    positions = _positions(declared)
    source.connection.execute(
        _KNOWN,
        {
            "flows": [flow for flow, _ in positions],
            "steps": [step for _, step in positions],
            "positions": list(positions.values()),
        },
    )
    found = [
        *_broken(source, "missing", _MISSING, "is not there"),
        *_broken(source, "extra", _EXTRA, "is there and not declared"),
        *_broken(source, "duplicated", _DUPLICATED, "is there several times"),
        *_broken(source, "swapped", _SWAPPED, "comes after"),
    ]
    labels = {flow.label for flow in declared}
    return base.model_copy(
        update={
            "basis": ", ".join(sorted(labels)[:4]) + (" …" if len(labels) > 4 else ""),
            "undeclared": [name for name in base.flows if name not in labels],
            "unseen": sorted(labels - set(base.flows)),
            "discrepancies": sorted(found, key=lambda one: (-one.share, one.flow, one.step)),
        }
    )


def _broken(source: Source, violation: str, sql: str, told: str) -> Iterable[Discrepancy]:
    for row in source.rows(sql):
        other = row.get("other")
        yield Discrepancy(
            flow=row["flow"],
            violation=violation,
            step=row["step"],
            other=other,
            told=f"{row['step']} {told}{f' {other}' if other else ''}",
            traces=row["traces"],
            broken=row["broken"],
            verdict="breaks the declaration",
            trace_ids=row["trace_ids"] or [],
        )


def _learned(source: Source, base: Flow, options: Options) -> Flow:
    found: list[Discrepancy] = []
    known: list[str] = []
    for pair in compare(source.dataset, candidate=options.release):
        if pair.baseline is None:
            continue
        known.append(f"{pair.service} {pair.baseline.version}")
        with Contracts(source.dataset, pair) as contracts:
            for rule in contracts.broken(LEAST):
                traces = contracts.trace_ids(rule.violation, rule.operation, rule.step, rule.other)
                found.append(_discrepancy(source, rule, traces[:3]))
    notes = [f"A rule is learned from at least {LEAST} good traces that keep it without exception."]
    if not known:
        notes = ["There is one release only and no sequence file (--declared): nothing says what "
                 "should happen."]  # fmt: skip
    return base.model_copy(
        update={
            "basis": f"good traces of {', '.join(known)}" if known else "nothing",
            "discrepancies": sorted(found, key=lambda one: (-one.share, one.flow, one.step)),
            "notes": notes,
        }
    )


def _discrepancy(source: Source, rule: Broken, traces: list[str]) -> Discrepancy:
    known = [
        one
        for one in source.found_anomalies(("behavioral",))
        if one.operation == rule.operation
        and one.evidence.get("violation") == rule.violation
        and one.evidence.get("step") == rule.step
    ]
    told = {
        "missing": f"{rule.step} was always there and is not",
        "extra": f"{rule.step} was never there and is",
        "duplicated": f"{rule.step} came once and now comes several times",
        "swapped": f"{rule.other} now comes before {rule.step}",
        "wrong caller": f"{rule.step} is now called by {rule.other}",
    }[rule.violation]
    verdict = (
        f"anomaly {known[0].id}" if known else f"no finding (p = {significant(rule.p_value, 3)})"
    )
    return Discrepancy(
        flow=rule.operation,
        violation=rule.violation,
        step=rule.step,
        other=rule.other,
        told=told,
        traces=rule.traces,
        broken=rule.broken,
        verdict=verdict,
        trace_ids=traces,
    )
