"""Dependencies: which operations and services call which, and what is behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Chart, Column, Facts, Table
from selfheal.reports.layout import laid_out
from selfheal.reports.model import Edge, Graph, Node, Options, Report
from selfheal.reports.source import NO_SPANS, Source
from selfheal.reports.text import milliseconds
from selfheal.telemetry.statistics import significant

DRAWN = 120

_SPANS = """
CREATE OR REPLACE TEMP TABLE called AS
SELECT trace_id, span_id, parent_span_id, coalesce(service, 'unknown') AS service, operation,
    kind, duration_ms, status = 'error' OR coalesce(http_status, 0) >= 500 AS failed,
    CASE WHEN kind IN ('client', 'producer') THEN coalesce(
        attributes ->> '$."peer.service"', attributes ->> '$."db.system.name"',
        attributes ->> '$."db.system"', attributes ->> '$."messaging.system"',
        attributes ->> '$."server.address"') END AS outside
FROM spans WHERE $release IS NULL OR release = $release
"""
_NODES = """
SELECT service, operation, count(*)::BIGINT AS executions, sum(duration_ms) AS total_ms,
    count(*) FILTER (failed)::BIGINT AS errors,
    bool_or(kind IN ('server', 'consumer') OR parent_span_id IS NULL) AS entry
FROM called GROUP BY ALL ORDER BY service, operation
"""
_CALLS = """
SELECT p.service AS from_service, p.operation AS from_operation, c.service AS to_service,
    c.operation AS to_operation, count(*)::BIGINT AS calls,
    count(*) / count(DISTINCT (p.trace_id, p.span_id)) AS each,
    sum(c.duration_ms) AS total_ms, quantile_cont(c.duration_ms, 0.95) AS p95_ms,
    count(*) FILTER (c.failed)::BIGINT AS errors
FROM called AS c JOIN called AS p ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id
GROUP BY ALL ORDER BY total_ms DESC NULLS LAST, 1, 2, 3, 4
"""
# What a client span reaches is another service where that has a span below, else what
# the span's attributes name.
_SERVICES = """
SELECT p.service AS source, c.service AS target, count(*)::BIGINT AS calls,
    sum(c.duration_ms) AS total_ms, count(*) FILTER (c.failed)::BIGINT AS errors
FROM called AS c JOIN called AS p ON c.trace_id = p.trace_id AND c.parent_span_id = p.span_id
WHERE p.service <> c.service GROUP BY ALL
UNION ALL
SELECT o.service, o.outside, count(*)::BIGINT, sum(o.duration_ms),
    count(*) FILTER (o.failed)::BIGINT
FROM called AS o LEFT JOIN called AS b ON b.trace_id = o.trace_id AND b.parent_span_id = o.span_id
WHERE o.outside IS NOT NULL AND b.span_id IS NULL GROUP BY ALL
ORDER BY 1, 2
"""


class Callable(Model):
    """An operation of the graph; `entry` where requests come in."""

    service: str
    operation: str
    executions: int
    total_ms: float | None
    errors: int
    entry: bool


class Call(Model):
    """Calls of one operation by another. `each` is how many one execution of the caller makes."""

    from_service: str
    from_operation: str
    to_service: str
    to_operation: str
    calls: int
    each: float
    total_ms: float | None
    p95_ms: float | None
    errors: int


class Link(Model):
    """Calls from a service to another one, or to what it reaches outside of the telemetry."""

    source: str
    target: str
    calls: int
    total_ms: float | None
    errors: int


class Dependencies(Report):
    TITLE: ClassVar[str] = "Dependency graph"
    QUESTION: ClassVar[str] = "Which operations and services call which?"

    operations: list[Callable] = Field(default_factory=list)
    calls: list[Call] = Field(default_factory=list)
    services: list[Link] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        graph = self.graph()
        told = {
            f"{one.service}/{one.operation}": [
                f"{one.executions:,} executions, {one.errors} failed",
                milliseconds(one.total_ms or 0.0),
            ]
            for one in self.operations
        }
        blocks: list[Block] = [
            Facts(
                [
                    ("services", str(len({one.service for one in self.operations}))),
                    ("operations", str(len(self.operations))),
                    ("entries", str(sum(one.entry for one in self.operations))),
                    ("kinds of calls", str(len(self.calls))),
                ]
            ),
            Chart(
                "graph",
                "operations-graph",
                "Operations",
                laid_out(graph, told),
                "Thicker: more time. Red: some calls failed. Drag to move, scroll to zoom.",
            ),
        ]
        if self.services:
            blocks.append(
                Chart(
                    "graph", "services-graph", "Services", laid_out(_service_graph(self.services))
                )
            )
        return [
            *blocks,
            Table.of("calls", "Calls", _CALL_COLUMNS, self.calls),
            Table.of("services", "Services and what they reach", _LINK_COLUMNS, self.services),
        ]

    def graph(self) -> Graph:
        """The operations that the most costly calls join, and entries that call nothing."""
        drawn = self.calls[:DRAWN]
        ends = {(one.from_service, one.from_operation) for one in drawn}
        ends |= {(one.to_service, one.to_operation) for one in drawn}
        nodes = [
            Node(
                id=f"{one.service}/{one.operation}",
                label=one.operation,
                group=one.service,
                weight=one.total_ms or 0.0,
                bad=one.errors > 0,
            )
            for one in self.operations
            if (one.service, one.operation) in ends or (one.entry and len(ends) < DRAWN)
        ]
        edges = [
            Edge(
                source=f"{one.from_service}/{one.from_operation}",
                target=f"{one.to_service}/{one.to_operation}",
                label=f"{one.calls:,}",
                weight=one.total_ms or 0.0,
                bad=one.errors > 0,
            )
            for one in drawn
        ]
        return Graph(nodes=nodes, edges=edges)


_CALL_COLUMNS = (
    Column("from_operation", "caller"),
    Column("to_operation", "called"),
    Column("from_service", "of service"),
    Column("to_service", "in service"),
    Column("calls", "calls", "count"),
    Column("each", "per caller", "number"),
    Column("total_ms", "total", "ms"),
    Column("p95_ms", "P95", "ms"),
    Column("errors", "failed", "count"),
)
_LINK_COLUMNS = (
    Column("source", "service"),
    Column("target", "reaches"),
    Column("calls", "calls", "count"),
    Column("total_ms", "total", "ms"),
    Column("errors", "failed", "count"),
)


def _service_graph(links: Sequence[Link]) -> Graph:
    names = sorted({one.source for one in links} | {one.target for one in links})
    return Graph(
        nodes=[Node(id=name, label=name) for name in names],
        edges=[
            Edge(
                source=one.source,
                target=one.target,
                label=f"{one.calls:,}",
                weight=one.total_ms or 0.0,
                bad=one.errors > 0,
            )
            for one in links
        ],
    )


def build(source: Source, options: Options) -> Dependencies:
    """The graph of all traces, or of one release's."""
    source.connection.execute(_SPANS, {"release": options.release})
    operations = [Callable(**_rounded(row)) for row in source.rows(_NODES)]
    if not operations:
        return Dependencies(report="dependencies", run_id=source.run_id, empty=NO_SPANS)
    calls = [Call(**_rounded(row)) for row in source.rows(_CALLS)]
    notes = ["A call is a span and its parent; what has no span does not appear."]
    if len(calls) > DRAWN:
        notes.append(f"The {DRAWN} most costly of {len(calls)} kinds of calls are drawn.")
    return Dependencies(
        report="dependencies",
        run_id=source.run_id,
        operations=operations,
        calls=calls,
        services=[Link(**_rounded(row)) for row in source.rows(_SERVICES)],
        notes=notes,
    )


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: significant(value) if isinstance(value, float) else value
        for name, value in row.items()
    }
