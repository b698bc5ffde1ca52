"""One diagnosis per root cause: joins what several analyses found of the same trouble."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from selfheal.artifacts.anomalies import Anomaly
from selfheal.diagnosis.model import Cause

# A cause of a later kind joins one of an earlier kind, never the other way round.
_LEADING = ("error", "performance", "behavioral")
# What is told of failing tests; those of one cause are all of them its reproducer.
_OF_TESTS = {"failing_tests", "failures", "guarding_tests", "known_failures", "timed_out"}


def join_causes(causes: Iterable[Cause], anomalies: Sequence[Anomaly]) -> list[Cause]:
    """Causes with each root named once; every anomaly is in one of them.

    Errors raised at the same place are one cause, as is what one library lacks, and an
    error that follows from another in the same sessions joins that one. A change of
    behaviour joins the error or slowness that shares its traces or its guilty commit and
    operation. An anomaly
    that no analysis took up is given a cause that says so. A cause that convicts nobody
    names no suspects; those looked at are in its evidence as ``not_convicted``.
    """
    found: list[Cause] = []
    for cause in sorted(causes, key=_order):
        position = next((i for i, other in enumerate(found) if _same_root(other, cause)), None)
        if position is None:
            found.append(cause)
        else:
            found[position] = _joined(found[position], cause)
    explained = {anomaly for cause in found for anomaly in cause.anomaly_ids}
    left = [_unexplained(item) for item in anomalies if item.id not in explained]
    return [*map(_spared, found), *left]


def _order(cause: Cause) -> tuple[int, bool, int, str]:
    kind = _LEADING.index(cause.kind) if cause.kind in _LEADING else len(_LEADING)
    tests = len(cause.evidence.get("failing_tests") or ())
    return kind, bool(cause.evidence.get("follows_fingerprints")), -tests, cause.id


def _same_root(one: Cause, other: Cause) -> bool:
    if one.service != other.service or one.kind == "coverage" or other.kind == "coverage":
        return False
    if one.kind == other.kind == "error":
        follows = one.evidence.get("fingerprint") in other.evidence.get("follows_fingerprints", ())
        return follows or (_place(one) is not None and _place(one) == _place(other))
    if one.kind == other.kind == "dependency":
        return _told_of(one) == _told_of(other)
    if other.kind != "behavioral":
        return False
    if other.evidence.get("follows_errors") and one.kind == "error":
        return one.operation == other.operation or _share_traces(one, other)
    return _culprit(one) is not None and _culprit(one) == _culprit(other)


def _place(cause: Cause) -> tuple[str, str, int, str] | None:
    if not cause.locations:
        return None
    first = cause.locations[0]
    return first.file, first.function, first.line, str(cause.evidence.get("exception_type"))


def _told_of(cause: Cause) -> list[object]:
    """What is wrong with which library, at which line of the manifest."""
    told = ("problem", "distribution", "module", "manifest", "manifest_line", "message")
    return [cause.evidence.get(name) for name in told]


def _culprit(cause: Cause) -> tuple[str, str] | None:
    """The convicted commit and the function it is convicted for."""
    if cause.verdict != "code_cause" or not cause.suspect_commits or not cause.locations:
        return None
    return cause.suspect_commits[0].sha, cause.locations[0].function


def _share_traces(one: Cause, other: Cause) -> bool:
    ids = [set(cause.evidence.get("trace_ids") or []) for cause in (one, other)]
    return not ids[0].isdisjoint(ids[1])


def _joined(first: Cause, second: Cause) -> Cause:
    evidence = dict(first.evidence)
    traces = [*(first.evidence.get("trace_ids") or []), *(second.evidence.get("trace_ids") or [])]
    follows = second.evidence.get("follows_fingerprints")
    if first.kind == second.kind and not follows:
        evidence["trace_ids"] = list(dict.fromkeys(traces))
    for name in _OF_TESTS & first.evidence.keys() & second.evidence.keys():
        both = [*first.evidence[name], *second.evidence[name]]
        evidence[name] = list({str(each): each for each in both}.values())
    operations = {first.operation, second.operation, *evidence.get("operations", [])}
    if len(operations) > 1:
        evidence["operations"] = sorted(operations)
    if second.kind == "behavioral":
        joined = {
            "violation": second.evidence.get("violation"),
            "step": second.evidence.get("step"),
        }
        if second.evidence.get("other"):
            joined["other"] = second.evidence["other"]
        evidence["behavior"] = [*evidence.get("behavior", []), joined]
    return first.model_copy(
        update={
            "anomaly_ids": sorted({*first.anomaly_ids, *second.anomaly_ids}),
            "evidence": evidence,
        }
    )


def _spared(cause: Cause) -> Cause:
    if cause.verdict in ("code_cause", "dependency") or not cause.suspect_commits:
        return cause
    looked_at = [
        {"sha": suspect.sha, "score": suspect.score, "reason": suspect.reason}
        for suspect in cause.suspect_commits
    ]
    evidence = {key: value for key, value in cause.evidence.items() if key != "change"}
    return cause.model_copy(
        update={"suspect_commits": [], "evidence": evidence | {"not_convicted": looked_at}}
    )


def _unexplained(anomaly: Anomaly) -> Cause:
    return Cause(
        anomaly_ids=[anomaly.id],
        kind=anomaly.kind,
        service=anomaly.service,
        operation=anomaly.operation,
        title=anomaly.title,
        verdict="insufficient_data",
        reason=f"no analysis of this run explains anomalies of the kind {anomaly.kind}; a beat of the diagnose phase that returns causes for them would.",
        root_service=anomaly.service,
    )
