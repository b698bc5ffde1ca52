"""Documents that tell another story than production: the line to mend, and the code behind it."""

from __future__ import annotations

from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.diagnosis import Location, SuspectCommit, Verdict
from selfheal.codebase.changes import CommitChange, FunctionChange
from selfheal.codebase.index import Definition
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis.model import Cause, CodeRange
from selfheal.diagnosis.suspects import Target, Weight, rank_suspects

CODE_MOVED_ON = 0.6


def explain_documentation(anomaly: Anomaly, span: CodeRange, config: DiagnoseConfig) -> Cause:
    """The cause of a contradiction: the document's line, what it says, what production and code say.

    The code is right where production runs it: the document is what the verdict accuses.
    `evidence` has ``contradiction``, ``name``, ``file`` and ``line`` of the document, and
    ``code``: the functions that serve the operation, with their signatures' lines.
    """
    evidence = anomaly.evidence
    file, line = evidence.get("file"), evidence.get("line")
    known = isinstance(file, str) and file in span.index.known
    code = _code(anomaly, span)
    verdict: Verdict = "code_cause" if span.bad and known else "insufficient_data"
    reason = f"{anomaly.title}." if known else f"{file or 'its document'} is not in the code."
    if span.bad is None:
        reason = f"{'; '.join(span.gaps)}."
    locations = [
        Location(
            file=str(file),
            line=int(line) if isinstance(line, int) else 1,
            function="",
            score=0.9,
            reasons=[str(evidence.get("contradiction") or "contradicts production")],
        )
    ]
    locations += [
        Location(
            file=item.file,
            line=item.line,
            function=item.qualified_name,
            score=0.3,
            reasons=["is the code that the document is about"],
        )
        for item in code
    ]
    return Cause(
        anomaly_ids=[anomaly.id],
        kind="documentation",
        service=anomaly.service,
        operation=anomaly.operation,
        title=anomaly.title,
        verdict=verdict,
        reason=reason,
        locations=locations[: config.max_locations] if verdict == "code_cause" else [],
        suspect_commits=_suspects(span, code, config.max_suspects),
        root_service=anomaly.service,
        good_commit=span.good,
        bad_commit=span.bad,
        evidence={
            **evidence,
            "code": [
                {"file": item.file, "line": item.line, "function": item.qualified_name}
                for item in code
            ],
            "documents": sorted(
                {path for item in code for path in span.index.docs_mentioning(item.name)}
            ),
        },
    )


def _code(anomaly: Anomaly, span: CodeRange) -> list[Definition]:
    """The functions behind the operation or the name that the document is about."""
    told = [str(anomaly.evidence.get(key) or "") for key in ("subject", "name")]
    for name in filter(None, (*told, anomaly.operation)):
        method, _, path = name.partition(" ")
        found = span.index.routed(path if path.startswith("/") else method)
        if not found and not path:
            found = span.index.find(name.lstrip("-").replace("-", "_"))
        if found:
            return found[:3]
    return []


def _suspects(span: CodeRange, code: list[Definition], limit: int) -> list[SuspectCommit]:
    """The commits after which the document no longer told the truth."""

    def judge(_: CommitChange, touched: FunctionChange, target: Target) -> Weight:
        what = "adds" if touched.kind == "added" else "changes"
        reason = f"{what} {target.function} and leaves the document as it was"
        return Weight(score=CODE_MOVED_ON, reason=reason)

    targets = [
        Target(file=item.file, function=item.qualified_name, line=item.line) for item in code
    ]
    return rank_suspects(span, targets, judge, limit)
