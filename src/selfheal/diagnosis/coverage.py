"""Operations in production that no test executes: where a test is missing."""

from __future__ import annotations

from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.diagnosis import Location
from selfheal.codebase.index import Definition
from selfheal.diagnosis.model import Cause, CodeRange
from selfheal.diagnosis.traces import entries_of, first_traces


def explain_coverage(anomaly: Anomaly, span: CodeRange, dataset: Dataset) -> Cause:
    """The cause of a coverage gap: the function is known, and no commit needs to be accused.

    Its evidence names traces of production that run the function: a test can be made of them.
    """
    evidence = anomaly.evidence
    file = span.index.locate(str(evidence.get("file", "")))
    definition = _definition(span, file, evidence) if file else None
    if file is None:
        verdict, locations = "insufficient_data", []
        reason = f"{evidence.get('file') or 'its file'} is not in the code of the release."
        if span.bad is None and span.gaps:
            reason = f"{'; '.join(span.gaps)}."
    else:
        verdict = "code_cause"
        covered, total = evidence.get("covered_lines"), evidence.get("total_lines")
        counts = f" ({covered} of {total} lines)" if covered is not None and total else ""
        reason = f"no test executes it{counts}."
        locations = [
            Location(
                file=file,
                line=definition.line if definition else int(evidence.get("first_line") or 1),
                function=definition.qualified_name
                if definition
                else str(evidence.get("function", "")),
                score=0.9,
                reasons=["runs in production and in no test"],
            )
        ]
    place = (anomaly.service, anomaly.operation, span.pair.candidate)
    return Cause(
        anomaly_ids=[anomaly.id],
        kind="coverage",
        service=anomaly.service,
        operation=anomaly.operation,
        title=f"{anomaly.operation} runs in production without a test",
        verdict="code_cause" if verdict == "code_cause" else "insufficient_data",
        reason=reason,
        locations=locations,
        root_service=anomaly.service,
        good_commit=span.good,
        bad_commit=span.bad,
        evidence={
            key: evidence[key]
            for key in (
                "file",
                "function",
                "first_line",
                "executed_count",
                "covered_lines",
                "total_lines",
            )
            if key in evidence
        }
        | {
            "trace_ids": evidence.get("trace_ids") or first_traces(dataset, *place),
            "entry_operations": entries_of(dataset, *place),
        },
    )


def _definition(span: CodeRange, file: str, evidence: dict[str, object]) -> Definition | None:
    name = str(evidence.get("function") or "")
    named = span.index.find(name, file) if name else []
    first = evidence.get("first_line")
    at = span.index.function_at(file, first) if isinstance(first, int) else None
    return named[0] if named else at
