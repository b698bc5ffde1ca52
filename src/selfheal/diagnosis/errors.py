"""Why requests fail: from a traceback to the expression, the function and the commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.diagnosis import Location, SuspectCommit, Verdict
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis.downstream import is_unreachable
from selfheal.diagnosis.error_suspects import (
    SOURCE_CHANGED,
    dependency_suspects,
    error_suspects,
    shorten,
)
from selfheal.diagnosis.failure import Failure, read_failure
from selfheal.diagnosis.model import Cause, CodeRange
from selfheal.diagnosis.suspects import change_size
from selfheal.diagnosis.traffic import InputHistory, earlier_failures, input_history

# The share of an operation's requests from which a failure counts as one of every request.
ALWAYS = 0.9


def explain_error(
    anomaly: Anomaly, span: CodeRange, dataset: Dataset, config: DiagnoseConfig
) -> Cause:
    """The cause of one error anomaly, convicting or abstaining with the reason."""
    failure = read_failure(anomaly.evidence, span, config.vendored)
    suspects = error_suspects(failure, span, config.max_suspects)
    pins: list[SuspectCommit] = []
    if not suspects or suspects[0].score < config.minimum_score:
        pins = dependency_suspects(failure, span)
        suspects = [*pins, *suspects][: config.max_suspects]
    traces = _trace_ids(anomaly.evidence)
    inputs = input_history(dataset, traces, span.pair.baseline)
    evidence = _evidence(anomaly.evidence, failure, span, suspects, inputs)
    convicted = None
    if not _intermittent(anomaly.evidence, failure):
        convicted = _conviction(suspects, pins, inputs, config)
    verdict, reason = convicted or _abstention(failure, span, inputs)
    if verdict in ("no_code_cause", "traffic_mix"):
        follows = earlier_failures(dataset, traces, str(anomaly.evidence.get("fingerprint")))
        if follows:
            evidence["follows_fingerprints"] = follows
            verdict = "no_code_cause"
            reason = "another error struck the same sessions before it: it follows from that."
    where = f" in {failure.frames[0].function}" if failure.frames else ""
    return Cause(
        anomaly_ids=[anomaly.id],
        kind="error",
        service=anomaly.service,
        operation=anomaly.operation,
        title=f"{failure.exception_type}{where} at {anomaly.operation}",
        verdict=verdict,
        reason=reason,
        locations=_locations(failure, span, suspects, config.max_locations),
        suspect_commits=suspects,
        root_service=anomaly.service,
        good_commit=span.good,
        bad_commit=span.bad,
        evidence=evidence,
    )


def _intermittent(evidence: Mapping[str, Any], failure: Failure) -> bool:
    """Whether something was not reached though the same code reaches it in other requests."""
    share = evidence.get("share")
    return (
        is_unreachable(failure.exception_type) and isinstance(share, int | float) and share < ALWAYS
    )


def _conviction(
    suspects: list[SuspectCommit],
    pins: list[SuspectCommit],
    inputs: InputHistory | None,
    config: DiagnoseConfig,
) -> tuple[Verdict, str] | None:
    """The accusation of the first suspect, None where the evidence does not carry it.

    Where the earlier release was never sent what fails now, it may have failed there as well:
    then only a change of the failing expression or of what it is computed from counts.
    """
    best = suspects[0] if suspects else None
    new_inputs = inputs is not None and inputs.seen == 0
    least = max(config.minimum_score, SOURCE_CHANGED) if new_inputs else config.minimum_score
    if best is None or best.score < least:
        return None
    verdict: Verdict = "dependency" if best in pins else "code_cause"
    return verdict, f"{best.sha[:10]} {best.reason}."


def _abstention(
    failure: Failure, span: CodeRange, inputs: InputHistory | None
) -> tuple[Verdict, str]:
    """No commit is convicted: what is missing, or what else it was.

    A traceback without an earlier release to compare still shows where the fault is.
    """
    if span.bad is None:
        return "insufficient_data", f"{'; '.join(span.gaps)}."
    if not failure.frames and not failure.sources:
        return (
            "insufficient_data",
            "no frame of the traceback lies in the service's code in this repository; a traceback with its own frames is needed.",
        )
    frame = failure.frames[0] if failure.frames else failure.test
    place = f"{frame.file}:{frame.line}" if frame else "the failure"
    if is_unreachable(failure.exception_type):
        return (
            "dependency",
            f"{failure.exception_type} at {place}: what is called there was not reached, and the code that calls it is not shown to be at fault.",
        )
    if span.good is None and span.pair.baseline is None:
        return (
            "code_cause",
            f"the traceback ends at {place}; there is no earlier release to compare.",
        )
    if span.good is None:
        return "insufficient_data", f"the traceback ends at {place}, but {'; '.join(span.gaps)}."
    if not span.compares:
        return (
            "no_code_cause",
            f"both releases run the same commit; the error at {place} came without a change of code.",
        )
    return _without_suspect(place, span, inputs)


def _without_suspect(
    place: str, span: CodeRange, inputs: InputHistory | None
) -> tuple[Verdict, str]:
    """No commit touches the failure: was it sent other inputs, or did something else change?"""
    base = f"none of the {len(span.changes)} commits between the releases changes what {place} depends on"
    if inputs is None:
        return "no_code_cause", f"{base}."
    if inputs.seen == 0:
        return (
            "traffic_mix",
            f"{base}, and none of the {inputs.failing} failing inputs was sent to the earlier release: an old fault met new inputs.",
        )
    return (
        "no_code_cause",
        f"{base}; {inputs.requests} earlier requests had the same inputs, of which {inputs.failed} failed: data or environment changed.",
    )


def _locations(
    failure: Failure, span: CodeRange, suspects: list[SuspectCommit], limit: int
) -> list[Location]:
    """Own frames innermost first, then the functions whose results reached the failure."""
    found: list[Location] = []
    for depth, frame in enumerate(failure.frames):
        score = round(0.9 * 0.6**depth * (1 if frame.matches else 0.8), 4)
        reasons = ["the innermost own frame" if depth == 0 else f"{depth} calls up the traceback"]
        if depth == 0 and failure.expression:
            reasons.append(f"evaluates {shorten(failure.expression.text)}")
        if not frame.matches:
            reasons.append(
                "the deployed text differs from the commit, placed by the function's name"
            )
        found.append(
            Location(
                file=frame.file,
                line=frame.line,
                function=frame.function,
                score=score,
                reasons=reasons,
            )
        )
    accused = span.commit(suspects[0].sha) if suspects else None
    for source in failure.sources:
        changed = accused is not None and any(accused.of(source.file, source.function))
        score = 0.7 if changed else 0.3
        reason = "its result reaches the failing expression"
        if failure.test is not None:
            reason = f"{failure.test.function} tests it"
        found.append(
            Location(
                file=source.file,
                line=source.line or 1,
                function=source.function,
                score=score,
                reasons=[reason],
            )
        )
    unique: dict[tuple[str, str], Location] = {}
    for location in found:
        unique.setdefault((location.file, location.function), location)
    ranked = sorted(unique.values(), key=lambda item: (-item.score, item.file, item.line))
    return ranked[:limit]


def _evidence(
    given: Mapping[str, Any],
    failure: Failure,
    span: CodeRange,
    suspects: list[SuspectCommit],
    inputs: InputHistory | None,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "exception_type": failure.exception_type,
        "message": failure.message,
        "frames": [frame.model_dump(mode="json") for frame in failure.frames],
        "fingerprint": given.get("fingerprint"),
        "trace_ids": _trace_ids(given),
    }
    if failure.expression:
        found["expression"] = failure.expression.text
        found["expression_kind"] = failure.expression.kind
        found["expression_base"] = failure.expression.base
        found["expression_line"] = failure.expression.line
    if failure.test:
        found["test"] = f"{failure.test.file}::{failure.test.function}"
    if failure.library:
        found["library"] = failure.library
    if inputs:
        found["inputs"] = inputs.model_dump(mode="json")
    if suspects:
        found["change"] = change_size(span, suspects)
    return found


def _trace_ids(evidence: Mapping[str, Any]) -> list[str]:
    return [str(trace) for trace in evidence.get("trace_ids") or []]
