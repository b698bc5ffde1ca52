"""Documented flows against those that production shows.

A documented flow counts where production shows at least two of its steps; then one that
neither production nor the code knows is promised and not kept, and so is an order of
steps that no session keeps though many show both. The reverse: an operation with steps
of its own that no flow names, where documents tell of several flows that production shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from selfheal.analysis.declared import plain
from selfheal.analysis.documentation import documentation_anomaly
from selfheal.analysis.flow_documents import DocumentedFlow
from selfheal.analysis.model import Comparison, DetectionData, Findings
from selfheal.analysis.promises import METHODS, alike, parts
from selfheal.artifacts import Anomaly, Dataset
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN

# Of a flow, production has to show so many steps before it is one of this service.
MINIMUM_SHOWN = 2
# Documents that tell of fewer flows do not claim to tell of all.
MINIMUM_FLOWS = 3

_NAMES = f"""
SELECT DISTINCT operation, code_function AS function,
    CASE WHEN attributes LIKE '%"beat.%' THEN attributes ->> '$."beat.event"' END AS event,
    CASE WHEN attributes LIKE '%"beat.%' THEN attributes ->> '$."beat.handler"' END AS handler
FROM spans WHERE coalesce(service, '{UNKNOWN}') = $service AND db_statement IS NULL
ORDER BY ALL
"""
# What belongs together is a session, else a trace.
_ORDERS = f"""
WITH steps AS (
    SELECT coalesce(session_id, trace_id) AS run, n.step, min(start_ns) AS first_ns, max(start_ns) AS last_ns
    FROM spans AS s JOIN named AS n ON s.operation = n.operation
    WHERE coalesce(service, '{UNKNOWN}') = $service AND coalesce(release, '{UNKNOWN}') = $candidate
        AND start_ns IS NOT NULL
    GROUP BY ALL
)
SELECT a.step AS first, b.step AS second, count(*)::BIGINT AS runs,
    count(*) FILTER (a.first_ns <= b.last_ns)::BIGINT AS kept
FROM steps AS a JOIN steps AS b ON a.run = b.run
JOIN edges AS e ON e.first = a.step AND e.second = b.step
GROUP BY ALL ORDER BY ALL
"""
_FLOWS = f"""
WITH entries AS (
    SELECT trace_id, operation, span_id FROM spans
    WHERE coalesce(service, '{UNKNOWN}') = $service AND coalesce(release, '{UNKNOWN}') = $candidate
        AND (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
        AND status <> 'error' AND coalesce(http_status, 0) < 400
    QUALIFY row_number() OVER (PARTITION BY trace_id ORDER BY start_ns, id) = 1
)
SELECT e.operation, count(DISTINCT e.trace_id)::BIGINT AS traces,
    list(DISTINCT s.operation ORDER BY s.operation) FILTER (s.operation IS NOT NULL) AS steps,
    list(s.operation ORDER BY s.start_ns, s.id) FILTER (s.trace_id = first.trace_id) AS taken
FROM entries AS e LEFT JOIN spans AS s ON s.trace_id = e.trace_id AND s.span_id <> e.span_id
    AND coalesce(s.service, '{UNKNOWN}') = $service AND s.kind = 'internal' AND s.db_statement IS NULL
LEFT JOIN (SELECT operation, min(trace_id) AS trace_id FROM entries GROUP BY operation) AS first
    ON first.operation = e.operation
GROUP BY e.operation ORDER BY e.operation
"""


class _Known(NamedTuple):
    """A flow, and under which operation production knows each of its steps (None: it does not)."""

    flow: DocumentedFlow
    operations: list[str | None]

    @property
    def shown(self) -> int:
        return sum(operation is not None for operation in self.operations)


def detect_documented_flows(data: DetectionData, config: DetectConfig) -> Findings:
    """Flows that documents and production tell differently, for services whose code is known."""
    anomalies: list[Anomaly] = []
    for comparison in data.comparisons:
        promises = data.promises.get(comparison.service)
        if promises is None or not promises.flows:
            continue
        names = data.dataset.rows(_NAMES, {"service": comparison.service})
        known = [
            _Known(flow, [_operation_of(step, names) for step in flow.steps])
            for flow in promises.flows
        ]
        told = [one for one in known if one.shown >= MINIMUM_SHOWN]
        anomalies += _not_shown(told, comparison)
        anomalies += _out_of_order(data.dataset, told, comparison, config)
        anomalies += _not_told(data.dataset, told, comparison, config)
    unique = {one.id: one for one in anomalies}
    return Findings(anomalies=list(unique.values()))


def _operation_of(step: str, names: Sequence[dict[str, Any]]) -> str | None:
    method, _, path = step.partition(" ")
    if method in METHODS:
        wanted = parts(path)
        for row in names:
            first, _, rest = row["operation"].partition(" ")
            if first == method and alike(parts(rest), wanted):
                return str(row["operation"])
        return None
    wanted_name = plain(step)
    for row in names:
        told = [row[key] for key in ("operation", "function", "event", "handler") if row[key]]
        tails = [one.rpartition(".")[2] for one in told] if "." not in step else []
        if wanted_name in {plain(one) for one in (*told, *tails)}:
            return str(row["operation"])
    return None


def _not_shown(told: Sequence[_Known], comparison: Comparison) -> Iterator[Anomaly]:
    release = comparison.candidate.version
    for flow, operations in told:
        for step, operation, in_code in zip(flow.steps, operations, flow.in_code, strict=True):
            # Of requests, `documentation` tells wherever they are named.
            request = step.partition(" ")[0] in METHODS
            if operation is None and not in_code and not request:
                yield documentation_anomaly(
                    comparison, "flow step not shown", step, flow.file, flow.line, 0,
                    f"{flow.file}:{flow.line} tells of {_told(flow)}; {release} neither shows "
                    f"{step} nor has it in its code",
                )  # fmt: skip


def _told(flow: DocumentedFlow) -> str:
    return " → ".join(flow.steps[:6]) + (" → …" if len(flow.steps) > 6 else "")


def _out_of_order(
    dataset: Dataset, told: Sequence[_Known], comparison: Comparison, config: DetectConfig
) -> Iterator[Anomaly]:
    edges = {
        (first, second): (one.flow, one.flow.steps[a], one.flow.steps[b])
        for one in reversed(told)
        for a, b in one.flow.edges
        if (first := one.operations[a]) and (second := one.operations[b]) and first != second
    }
    for row in _orders(dataset, comparison, sorted(edges)):
        if row["runs"] < config.minimum_traces or row["kept"]:
            continue
        flow, first, second = edges[row["first"], row["second"]]
        yield documentation_anomaly(
            comparison, "flow order not shown", f"{first} → {second}", flow.file, flow.line,
            row["runs"],
            f"{flow.file}:{flow.line} tells of {first} before {second}; in all {row['runs']} "
            f"sessions of {comparison.candidate.version} with both, {second} comes first",
            operation=row["second"], facts={"steps": [first, second]},
        )  # fmt: skip


def _orders(
    dataset: Dataset, comparison: Comparison, edges: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    import pyarrow as pa

    names = sorted({name for edge in edges for name in edge})
    text = pa.string()
    with dataset.connect() as connection:
        for table, columns in (
            ("named", {"operation": names, "step": names}),
            ("edges", {"first": [a for a, _ in edges], "second": [b for _, b in edges]}),
        ):
            schema = pa.schema([(column, text) for column in columns])
            connection.register(table, pa.table(columns, schema=schema))
        values = {"service": comparison.service, "candidate": comparison.candidate.version}
        cursor = connection.execute(_ORDERS, values)
        columns_told = [column[0] for column in cursor.description or ()]
        return [dict(zip(columns_told, row, strict=True)) for row in cursor.fetchall()]


def _not_told(
    dataset: Dataset, told: Sequence[_Known], comparison: Comparison, config: DetectConfig
) -> Iterator[Anomaly]:
    if len(told) < MINIMUM_FLOWS:
        return
    named = {operation for one in told for operation in one.operations if operation}
    files = sorted({one.flow.file for one in told})
    values = {"service": comparison.service, "candidate": comparison.candidate.version}
    for row in dataset.rows(_FLOWS, values):
        steps = row["steps"] or []
        many = row["traces"] >= config.minimum_traces and len(steps) >= MINIMUM_SHOWN
        if many and row["operation"] not in named and not named & set(steps):
            yield documentation_anomaly(
                comparison, "flow not documented", row["operation"], files[0], None, row["traces"],
                f"{row['operation']} with {', '.join(steps[:4])} ran {row['traces']} times in "
                f"{comparison.candidate.version}; {', '.join(files)} tell of {len(told)} flows "
                "and not of this one",
                facts={"steps": list(dict.fromkeys(row["taken"] or steps))},
            )  # fmt: skip
