"""Declared sequences against what ran: every broken declaration is an anomaly.

An instance of a declared flow is a span of its name; the steps are the spans within it.
Only instances that ended well are asked, for a failed one lacks steps rightly. Steps
that a declaration leaves unordered may run in any order, and what overlaps in time
breaks none. A step that never showed anywhere may not be instrumented: an open
question, but for beat logs, in which every beat tells of itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from selfheal.analysis.declared import DeclaredFlow, DeclaredStep, plain
from selfheal.analysis.model import Comparison, DetectionData, Findings, Judgement
from selfheal.analysis.order_statements import Violation
from selfheal.analysis.severity import of_share
from selfheal.analysis.statistics.rates import trials_to_see
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector, Undecided
from selfheal.artifacts.canonical import short_id
from selfheal.config import DetectConfig
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

DETECTOR = "declared_order"
# What is no step of its flow, and a movement around steps.
_EXTRA, _AROUND = -1, -2

_SCOPE = f"""coalesce(service, '{UNKNOWN}') = $service
    AND coalesce(release, '{UNKNOWN}') = $candidate AND db_statement IS NULL"""


def _beat(name: str) -> str:
    return f"""CASE WHEN attributes LIKE '%"beat.%' THEN attributes ->> '$."beat.{name}"' END"""


_SPANS = f"""
CREATE TEMP TABLE told AS
SELECT trace_id, span_id, parent_span_id, operation, start_ns, end_ns, status, code_function AS function,
    {_beat("event")} AS event, {_beat("handler")} AS handler, {_beat("part")} AS part,
    {_beat("sequence")} AS sequence, {_beat("movement")} AS movement,
    status = 'error' OR coalesce(http_status, 0) >= 400 OR (status <> 'ok' AND {_beat("part")} IS NOT NULL) AS failed
FROM spans WHERE {_SCOPE} AND kind <> 'client'
"""
_NAMES = """
SELECT DISTINCT operation, event, handler, function, part FROM told ORDER BY ALL
"""
_INSTANCES = """
CREATE TEMP TABLE instances AS
SELECT f.flow, t.trace_id, t.span_id, t.start_ns, t.end_ns, t.part IS NOT NULL AS of_beats
FROM told AS t JOIN flows AS f ON f.operation = t.operation
WHERE NOT t.failed AND coalesce(t.part, 'sequence') = 'sequence'
"""
_STEPS = """
CREATE TEMP TABLE steps AS
SELECT i.flow, i.span_id AS instance, i.trace_id, c.step,
    any_value(coalesce(t.event, t.handler, t.operation)) AS label, any_value(t.movement) AS movement,
    count(*)::BIGINT AS times, min(t.start_ns) AS first_ns, max(t.end_ns) AS last_ns
FROM instances AS i JOIN told AS t ON t.trace_id = i.trace_id AND t.span_id <> i.span_id
    -- A beat log's trace is one sequence; what it prints of times is rounded.
    AND (i.of_beats OR t.start_ns BETWEEN i.start_ns AND i.end_ns)
JOIN called AS c ON c.flow = i.flow AND c.operation = t.operation
    AND c.event IS NOT DISTINCT FROM t.event AND c.handler IS NOT DISTINCT FROM t.handler
    AND c.function IS NOT DISTINCT FROM t.function AND c.part IS NOT DISTINCT FROM t.part
GROUP BY i.flow, i.span_id, i.trace_id, c.step,
    CASE WHEN c.step < 0 THEN coalesce(t.event, t.handler, t.operation) END
"""
_TOTALS = """
SELECT flow, count(*)::BIGINT AS runs, bool_and(of_beats) AS of_beats FROM instances
GROUP BY flow ORDER BY flow
"""
_COUNTS = """
SELECT flow, step, CASE WHEN step < 0 THEN label END AS label, movement, count(*)::BIGINT AS runs,
    count(*) FILTER (times > 1)::BIGINT AS repeated,
    list(trace_id ORDER BY trace_id)[:5] AS trace_ids,
    (list(trace_id ORDER BY trace_id) FILTER (times > 1))[:5] AS repeated_ids
FROM steps GROUP BY ALL ORDER BY ALL
"""
_ABSENT = """
SELECT list(i.trace_id ORDER BY i.trace_id)[:5] FROM instances AS i LEFT JOIN (
    SELECT DISTINCT instance FROM steps WHERE flow = $flow AND step = $step
) AS s ON s.instance = i.span_id
WHERE i.flow = $flow AND s.instance IS NULL
"""
_PAIRS = """
SELECT a.flow, a.step AS first, b.step AS second, count(*)::BIGINT AS runs,
    count(*) FILTER (b.last_ns <= a.first_ns AND b.first_ns < a.first_ns)::BIGINT AS reversed,
    (list(a.trace_id ORDER BY a.trace_id)
        FILTER (b.last_ns <= a.first_ns AND b.first_ns < a.first_ns))[:5] AS trace_ids
FROM steps AS a JOIN steps AS b ON a.flow = b.flow AND a.instance = b.instance
WHERE a.step >= 0 AND b.step >= 0 AND a.times = 1 AND b.times = 1
GROUP BY ALL HAVING reversed > 0 ORDER BY a.flow, first, second
"""


class Breach(NamedTuple):
    """A declaration that `broken` of `runs` instances break; `unseen`: the step never showed."""

    flow: int
    violation: Violation
    step: str
    other: str | None
    runs: int
    broken: int
    trace_ids: list[str]
    unseen: bool = False


def breaches(
    dataset: Dataset, comparison: Comparison, flows: Sequence[DeclaredFlow]
) -> tuple[list[Breach], dict[int, int]]:
    """The breaches of the judged release, and how many instances each flow (position) had."""
    with dataset.connect() as connection:

        def rows(sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
            cursor = connection.execute(sql, values or {})
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

        connection.execute(
            _SPANS, {"service": comparison.service, "candidate": comparison.candidate.version}
        )
        told = rows(_NAMES)
        connection.register("flows", _flows_of(told, flows))
        connection.execute(_INSTANCES)
        totals = {row["flow"]: row for row in rows(_TOTALS)}
        if not totals:
            return [], {}
        connection.register("called", _called(told, flows, sorted(totals)))
        connection.execute(_STEPS)
        counts, found = rows(_COUNTS), []
        for position, total in totals.items():
            own = [row for row in counts if row["flow"] == position]
            for breach in _about_steps(flows[position], position, own, total):
                ids = breach.trace_ids
                if breach.violation == "missing":
                    step = _position(flows[position], breach.step)
                    absent = connection.execute(_ABSENT, {"flow": position, "step": step})
                    ids = [str(one) for one in absent.fetchall()[0][0] or []]
                found.append(breach._replace(trace_ids=ids))
        found += _about_pairs(flows, rows(_PAIRS))
    return found, {position: total["runs"] for position, total in totals.items()}


def _position(flow: DeclaredFlow, label: str) -> int:
    return next(n for n, step in enumerate(flow.steps) if step.label == label)


def _spoken(row: Mapping[str, Any]) -> list[str]:
    """Every plain name of a span; of a qualified one, its last part too."""
    names = [row[key] for key in ("operation", "event", "handler", "function") if row[key]]
    tails = [one.rpartition(mark)[2] for one in names for mark in "./"]
    return [plain(one) for one in (*names, *tails)]


def _table(columns: Mapping[str, list[Any]]) -> Any:
    import pyarrow as pa

    kinds = {"flow": pa.int64(), "step": pa.int64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in columns])
    return pa.table(dict(columns), schema=schema)


def _flows_of(told: Sequence[Mapping[str, Any]], flows: Sequence[DeclaredFlow]) -> Any:
    """Which operations are instances of which flow (position)."""
    columns: dict[str, list[Any]] = {"operation": [], "flow": []}
    for operation in sorted({row["operation"] for row in told if row["operation"]}):
        names = {plain(operation), plain(operation.rpartition(".")[2])}
        for position, flow in enumerate(flows):
            if names & set(flow.names):
                columns["operation"].append(operation)
                columns["flow"].append(position)
                break
    return _table(columns)


def _called(
    told: Sequence[Mapping[str, Any]], flows: Sequence[DeclaredFlow], shown: Sequence[int]
) -> Any:
    """Which step of each flow that is shown a span's names are."""
    keys = ("operation", "event", "handler", "function", "part")
    columns: dict[str, list[Any]] = {"flow": [], "step": [], **{key: [] for key in keys}}
    for row in told:
        names = _spoken(row)
        for position in shown:
            step = _step(flows, position, names, row["part"])
            if step is None:
                continue
            columns["flow"].append(position)
            columns["step"].append(step)
            for key in keys:
                columns[key].append(row[key])
    return _table(columns)


def _step(
    flows: Sequence[DeclaredFlow], position: int, names: Sequence[str], part: str | None
) -> int | None:
    """The step's position; `_EXTRA` for a beat or another flow's step; None for other spans."""
    if part in ("movement", "sequence"):
        return None
    step = flows[position].step_of(names)
    if step is not None:
        return step
    if part == "beat":
        return _EXTRA
    foreign = [one for one in names if not one.startswith("beat")]
    others = (flow for number, flow in enumerate(flows) if number != position)
    return _EXTRA if any(flow.step_of(foreign) is not None for flow in others) else None


def _about_steps(
    flow: DeclaredFlow, position: int, counts: Sequence[Mapping[str, Any]], total: Mapping[str, Any]
) -> Iterator[Breach]:
    runs = total["runs"]
    for number, step in enumerate(flow.steps):
        rows = [row for row in counts if row["step"] == number]
        present = sum(row["runs"] for row in rows)
        if present < runs and not step.optional:
            unseen = not present and not total["of_beats"]
            yield Breach(
                position, "missing", step.label, None, runs, runs - present, [], unseen=unseen
            )
        repeated = sum(row["repeated"] for row in rows)
        if repeated and not step.repeats:
            ids = [one for row in rows for one in row["repeated_ids"] or []][:5]
            yield Breach(position, "duplicated", step.label, None, present, repeated, ids)
        for row in rows:
            caller = row["movement"]
            elsewhere = caller and plain(caller) in flow.around - set(step.movement)
            if elsewhere and step.movement:
                yield Breach(
                    position, "wrong caller", step.label, caller, present, row["runs"],
                    row["trace_ids"],
                )  # fmt: skip
    for row in counts:
        if row["step"] == _EXTRA:
            yield Breach(position, "extra", row["label"], None, runs, row["runs"], row["trace_ids"])


def _about_pairs(
    flows: Sequence[DeclaredFlow], pairs: Sequence[Mapping[str, Any]]
) -> Iterator[Breach]:
    """Reversed pairs without those that follow from a pair between."""
    wrong = {
        (row["flow"], row["first"], row["second"]): row
        for row in pairs
        if row["first"] in flows[row["flow"]].steps[row["second"]].after
    }
    for (position, first, second), row in wrong.items():
        steps = flows[position].steps
        between = [n for n in steps[second].after if first in steps[n].after]
        if any((position, first, n) in wrong or (position, n, second) in wrong for n in between):
            continue
        yield Breach(
            position, "swapped", steps[first].label, steps[second].label, row["runs"],
            row["reversed"], row["trace_ids"],
        )  # fmt: skip


def detect_declared(data: DetectionData, config: DetectConfig) -> Findings:
    """The breaches of the declared sequences in every judged release."""
    anomalies: list[Anomaly] = []
    undecided: list[Undecided] = []
    for comparison in data.comparisons if data.declared else ():
        found, _ = breaches(data.dataset, comparison, data.declared)
        for breach in found:
            flow = data.declared[breach.flow]
            if breach.unseen:
                undecided.append(_open(breach, flow))
            else:
                anomalies.append(_anomaly(breach, flow, comparison, config))
    return Findings(anomalies=anomalies, undecided=undecided)


def _told(breach: Breach) -> tuple[str, str]:
    """What is declared, and what was observed."""
    step, other = breach.step, breach.other
    match breach.violation:
        case "missing":
            return f"{step}", f"no {step}"
        case "extra":
            return f"no {step}", f"{step}"
        case "duplicated":
            return f"{step} once", f"{step} several times"
        case "swapped":
            return f"{step} before {other}", f"{other} before {step}"
        case _:
            return f"{step} in its own movement", f"{step} in {other}"


def _anomaly(
    breach: Breach, flow: DeclaredFlow, comparison: Comparison, config: DetectConfig
) -> Anomaly:
    expected, observed = _told(breach)
    share = breach.broken / breach.runs
    asked = {"violation": breach.violation, "step": breach.step, "other": breach.other}
    return Anomaly(
        id=short_id("anomaly", DETECTOR, comparison.service, flow.label, *asked.values()),
        kind="behavioral",
        service=comparison.service,
        operation=flow.label,
        severity=of_share(share),
        score=1.0,
        title=(
            f"{flow.label}: {observed} in {breach.broken} of {breach.runs} runs of "
            f"{comparison.candidate.version}, where {flow.file} declares {expected}"
        ),
        first_seen=iso(comparison.candidate.start_ns),
        last_seen=iso(comparison.candidate.end_ns),
        count=breach.broken,
        detector=Detector(
            name=DETECTOR,
            parameters={
                **asked,
                "significance": config.significance,
                "expected_rate": significant(share),
                "flow": flow.model_dump(mode="json"),
            },
            window=comparison.window,
        ),
        evidence={
            **asked,
            "expected": expected,
            "observed": observed,
            "declared_in": flow.file,
            "traces": breach.runs,
            "broken": breach.broken,
            "trace_ids": breach.trace_ids,
        },
    )


def _open(breach: Breach, flow: DeclaredFlow) -> Undecided:
    return Undecided(
        detector=DETECTOR,
        operation=flow.label,
        reason=(
            f"{breach.step} is declared in {flow.file} and no span of {breach.runs} runs shows it: "
            "it did not run, or is not instrumented"
        ),
        needed="a span or log record of the step",
    )


def judge_declared(dataset: Dataset, sides: Comparison, asked: Mapping[str, Any]) -> Judgement:
    """Whether the candidate of `sides` still breaks the declaration that the anomaly keeps."""
    flow = DeclaredFlow.model_validate(asked["flow"])
    step = plain(asked["step"])
    another = DeclaredStep(label=asked["step"], names=[step])
    others = DeclaredFlow(label="others", file="", names=[], events=[], steps=[another])
    found, totals = breaches(dataset, sides, [flow, others])
    runs = totals.get(0, 0)
    key = (asked["violation"], asked["step"], asked.get("other"))
    same = [one for one in found if (one.violation, one.step, one.other) == key]
    seen = same[0].broken if same else 0
    needed = trials_to_see(float(asked["expected_rate"]), float(asked["significance"]))
    numbers = {"seen": seen, "requests": runs, "needed": needed}
    told = f"{asked['violation']} {asked['step']} in {seen} of {runs} runs; {needed} are needed"
    if seen:
        return Judgement("anomalous", told, numbers)
    if not runs:
        return Judgement("no_data", f"{flow.label} did not run", numbers)
    return Judgement("quiet" if runs >= needed else "inconclusive", told, numbers)
