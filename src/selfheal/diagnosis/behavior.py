"""Why the steps of an operation changed: the code of the step and of what calls it."""

from __future__ import annotations

import re

from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.diagnosis import Location, SuspectCommit, Verdict
from selfheal.codebase.changes import CommitChange, FunctionChange
from selfheal.codebase.index import Definition
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis.model import Cause, CodeRange
from selfheal.diagnosis.performance import place_definitions
from selfheal.diagnosis.suspects import Target, Weight, change_size, changed_line, rank_suspects
from selfheal.diagnosis.traces import callers_of, code_of, failed_traces

CALL_CHANGED = 0.8
CALLER_CHANGED = 0.55
STEP_CHANGED = 0.5
FOLLOWS_ERRORS = 0.8


def explain_behavior(
    anomaly: Anomaly, span: CodeRange, dataset: Dataset, config: DiagnoseConfig
) -> Cause:
    """The cause of a step that is missing, extra, duplicated or out of order.

    The code that calls a step decides whether and when it runs, so its changes weigh
    more than the step's own. Steps that are missing in requests that failed follow from
    the failure; the cause then says so and is joined to it later.
    """
    step = str(anomaly.evidence.get("step", ""))
    callers, steps = step_code(anomaly, step, span, dataset)
    suspects = _suspects(span, callers, steps, config.max_suspects)
    traces = [str(trace) for trace in anomaly.evidence.get("trace_ids") or []]
    failed = failed_traces(dataset, traces)
    follows = bool(traces) and len(failed) >= FOLLOWS_ERRORS * len(traces)
    verdict, reason = _verdict(span, [*callers, *steps], suspects, follows, config)
    violation = str(anomaly.evidence.get("violation", "changed"))
    return Cause(
        anomaly_ids=[anomaly.id],
        kind="behavioral",
        service=anomaly.service,
        operation=anomaly.operation,
        title=f"step {step} is {violation} in {anomaly.operation}",
        verdict=verdict,
        reason=reason,
        locations=_locations(span, callers, steps, suspects, config.max_locations),
        suspect_commits=suspects,
        root_service=anomaly.service,
        good_commit=span.good,
        bad_commit=span.bad,
        evidence={
            "violation": violation,
            "step": step,
            **({"other": anomaly.evidence["other"]} if anomaly.evidence.get("other") else {}),
            "trace_ids": traces,
            "follows_errors": follows,
            **({"change": change_size(span, suspects)} if suspects else {}),
        },
    )


def step_code(
    anomaly: Anomaly, step: str, span: CodeRange, dataset: Dataset
) -> tuple[list[Definition], list[Definition]]:
    """The functions that call a step, and the step's own.

    A missing step has no spans in the candidate: the baseline's name its code.
    """
    callers: list[Definition] = []
    steps: list[Definition] = []
    for release in (span.pair.candidate, span.pair.baseline):
        steps = steps or place_definitions(span, code_of(dataset, anomaly.service, step, release))
        for service, operation in callers_of(dataset, anomaly.service, step, release):
            found = place_definitions(span, code_of(dataset, service, operation, release))
            callers += [item for item in found if item not in callers]
    if not steps:
        # Beats and event handlers are named by their function, in whatever case it has.
        steps = (
            span.index.find(re.split(r"[#:]", step)[-1])[:1] or span.index.find(_snake(step))[:1]
        )
    if not callers:
        entry = code_of(dataset, anomaly.service, anomaly.operation, span.pair.candidate)
        callers = place_definitions(span, entry)
    return [item for item in callers if item not in steps], steps


def _snake(name: str) -> str:
    """``make_offer`` of ``offers#makeOffer``."""
    own = re.split(r"[#:/]", name)[-1]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", own).lower()


def _suspects(
    span: CodeRange, callers: list[Definition], steps: list[Definition], limit: int
) -> list[SuspectCommit]:
    names = {item.name for item in steps}

    def judge(_: CommitChange, touched: FunctionChange, target: Target) -> Weight:
        if any(target.function == item.qualified_name for item in steps):
            return Weight(score=STEP_CHANGED, reason=f"changes the step {target.function}")
        if any(touched.before.count(name) != touched.after.count(name) for name in names):
            reason = f"changes how {target.function} calls {', '.join(sorted(names))}"
            return Weight(score=CALL_CHANGED, reason=reason)
        return Weight(
            score=CALLER_CHANGED, reason=f"changes {target.function}, which runs the step"
        )

    targets = [
        Target(file=item.file, function=item.qualified_name, line=item.line)
        for item in [*callers, *steps]
    ]
    return rank_suspects(span, targets, judge, limit)


def _verdict(
    span: CodeRange,
    code: list[Definition],
    suspects: list[SuspectCommit],
    follows: bool,
    config: DiagnoseConfig,
) -> tuple[Verdict, str]:
    if follows:
        return (
            "no_code_cause",
            "the traces that show it failed with an error: it follows from that.",
        )
    if span.bad is None or (span.good is None and span.pair.baseline is not None):
        return "insufficient_data", f"{'; '.join(span.gaps)}."
    if not code:
        return (
            "insufficient_data",
            "neither the step's spans nor those around it name code; code.function.name would.",
        )
    best = suspects[0] if suspects else None
    if best and best.score >= config.minimum_score:
        return "code_cause", f"{best.sha[:10]} {best.reason}."
    return "no_code_cause", "no commit between the releases changes the step or what runs it."


def _locations(
    span: CodeRange,
    callers: list[Definition],
    steps: list[Definition],
    suspects: list[SuspectCommit],
    limit: int,
) -> list[Location]:
    best = suspects[0].sha if suspects else ""
    found = []
    for role, base, definitions in (("runs the step", 0.4, callers), ("is the step", 0.3, steps)):
        for item in definitions:
            line = changed_line(span, best, item.file, item.line, item.last_line)
            found.append(
                Location(
                    file=item.file,
                    line=line or item.line,
                    function=item.qualified_name,
                    score=round(base + (0.4 if line else 0.0), 4),
                    reasons=[role, *([f"changed by {best[:10]}"] if line else [])],
                )
            )
    return sorted(found, key=lambda item: (-item.score, item.file, item.line))[:limit]
