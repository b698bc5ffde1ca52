"""The artifacts as text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from selfheal.cli.console import table

if TYPE_CHECKING:
    from selfheal.artifacts import (
        Anomalies,
        Deployment,
        Diagnoses,
        Model,
        Patch,
        Patterns,
        Telemetry,
        Validation,
    )
    from selfheal.artifacts.patch import Search

SHOWN_OPERATIONS = 40


def render(name: str, payload: Model) -> str:
    """The text of an artifact's payload; `name` is the artifact's."""
    return RENDERERS[name](payload)


def detail(value: Any) -> str:
    """Any JSON-like value as YAML, the form that people read most easily."""
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).rstrip()


def telemetry(payload: Telemetry) -> str:
    events = payload.events
    operations = sorted(payload.operations, key=lambda o: (o.service, o.operation, o.release))
    rows = [
        (
            found.service,
            found.operation,
            found.release,
            str(found.count),
            f"{found.error_rate:.1%}",
            f"{found.p50_ms:.2f}",
            f"{found.p95_ms:.2f}",
            f"{found.p99_ms:.2f}",
        )
        for found in operations[:SHOWN_OPERATIONS]
    ]
    header = ("SERVICE", "OPERATION", "RELEASE", "COUNT", "ERRORS", "P50 ms", "P95 ms", "P99 ms")
    hidden = len(operations) - len(rows)
    return _blocks(
        f"{len(payload.sources)} sources, {sum(s.lines_read for s in payload.sources)} lines read, "
        f"{payload.refused.total} refused",
        f"{events.spans} spans, {events.logs} logs, {events.errors} errors, "
        f"{events.metrics} metrics",
        f"from {payload.window.start or 'unknown'} to {payload.window.end or 'unknown'}",
        "",
        table(rows, header=header),
        f"… and {hidden} more: --json" if hidden > 0 else None,
        _refused(payload),
    )


def _refused(payload: Telemetry) -> str | None:
    listed = payload.refused.listed
    if not listed:
        return None
    rows = [(f"{line.file}:{line.line}", line.reason) for line in listed[:10]]
    return f"\nrefused lines (the first {len(rows)} of {payload.refused.total}):\n{table(rows)}"


def anomalies(payload: Anomalies) -> str:
    health = payload.health
    score = "no data" if health.score is None else f"{health.score:.1f} of 100"
    rows = [(found.severity, found.kind, found.title, found.id) for found in payload.anomalies]
    undecided = [
        (f"undecided: {u.operation}", u.reason, f"needs {u.needed}" if u.needed else "")
        for u in payload.undecided
    ]
    return _blocks(
        f"health {score}",
        table([(f"  {c.name}", c.explanation) for c in health.components]),
        "",
        table(rows, header=("SEVERITY", "KIND", "WHAT", "ID")) if rows else "no anomalies",
        f"\n{table(undecided)}" if undecided else None,
    )


def diagnosis(payload: Diagnoses) -> str:
    blocks = []
    for found in payload.diagnoses:
        place = found.locations[0] if found.locations else None
        suspects = [
            f"  {s.sha[:10]} {s.score:.2f} {s.summary or s.reason}" for s in found.suspect_commits
        ]
        blocks.append(
            _blocks(
                f"{found.title}  [{found.impact.severity}, {found.verdict}]  {found.id}",
                f"  {place.file}:{place.line} {place.function} ({place.score:.2f})"
                if place
                else None,
                *suspects,
                f"  {found.reason}",
                f"  impact: {found.impact.explanation}",
                *[f"  try {r.strategy}: {r.reason}" for r in found.recommendations],
            )
        )
    return "\n\n".join(blocks) or "nothing to diagnose"


def patch(payload: Patch) -> str:
    rows = [
        (str(c.rank), f"{c.score:.2f}", c.strategy, c.id, c.diagnosis_id, ", ".join(c.files))
        for c in payload.candidates
    ]
    dropped = [(f"dropped: {d.strategy}", d.diagnosis_id, d.reason) for d in payload.dropped]
    header = ("RANK", "SCORE", "STRATEGY", "CANDIDATE", "DIAGNOSIS", "FILES")
    return _blocks(
        table(rows, header=header) if rows else "no candidates",
        f"\n{table(dropped)}" if dropped else None,
        "\nselfheal patch --candidate CANDIDATE prints one" if rows else None,
    )


def validation(payload: Validation) -> str:
    doubts = [each.weak_suite for each in payload.selections if each.weak_suite]
    blocks = [f"selected: {payload.selected or 'none'}", payload.reason, *doubts, ""]
    for result in payload.results:
        blocks.append(f"{result.candidate_id}: {result.verdict}  {result.reason}")
        blocks.append(
            table([(f"  {c.verdict}", c.name, c.summary) for c in result.checks])
            if result.checks
            else "  no checks"
        )
    for search in payload.searches:
        blocks += ["", *_search(search)]
    return _blocks(*blocks, f"\nisolation: {payload.isolation}")


def _search(search: Search) -> list[str]:
    """What a search tried, and why it fell."""
    if search.unavailable:
        return [f"search for {search.diagnosis_id}: none, {search.unavailable}"]
    head = (
        f"search for {search.diagnosis_id}: {search.tried} of {search.proposed} edits run, "
        f"{search.plausible} made {len(search.tests)} failing tests pass; {search.note}"
    )
    if search.left:
        others = "; ".join(search.left[:3]) + ("; …" if len(search.left) > 3 else "")
        head += f"; {len(search.left)} other failing tests are touched by no edit: {others}"
    rows = [
        (
            f"  {each.strategy}",
            f"{each.tried} tried",
            f"{each.plausible} plausible",
            "; ".join(f"{count} × {reason}" for reason, count in each.fell.items()),
        )
        for each in search.ledger
    ]
    return [head, table(rows)] if rows else [head]


def deployment(payload: Deployment) -> str:
    pull, approval, ci, merge = (
        payload.pull_request,
        payload.approval,
        payload.ci,
        payload.merge,
    )
    rollout = [
        (f"  {step.percent} %", step.gate.state, step.gate.reason) for step in payload.rollout
    ]
    return _blocks(
        f"{payload.outcome}: {payload.reason}",
        f"branch     {payload.branch} {(payload.commit or '')[:10]}" if payload.branch else None,
        f"pull request {pull.number}: {pull.title} ({pull.url})" if pull else None,
        f"CI         {ci.verdict}: {ci.summary}" if ci else None,
        f"approval   {approval.state} {approval.by or ''} {approval.reason}" if approval else None,
        f"merge      {merge.commit or 'not merged'} {merge.reason}" if merge else None,
        "rollout" if rollout else None,
        table(rollout) if rollout else None,
        f"rolled back: {payload.rollback}" if payload.rollback else None,
    )


def patterns(payload: Patterns) -> str:
    rows = [
        (
            f"{found.confidence:.2f}",
            f"{found.confidence_interval[0]:.2f}–{found.confidence_interval[1]:.2f}",
            f"{found.outcomes.merged} of {found.outcomes.tried} merged",
            found.name,
            found.id,
        )
        for found in payload.patterns
    ]
    insights = [f"{insight.title}: {insight.text}" for insight in payload.insights]
    header = ("CONFIDENCE", "95 %", "OUTCOMES", "PATTERN", "ID")
    return _blocks(table(rows, header=header) if rows else "no patterns yet", "", *insights)


RENDERERS: dict[str, Callable[[Any], str]] = {
    "telemetry": telemetry,
    "anomalies": anomalies,
    "diagnosis": diagnosis,
    "patch": patch,
    "validation": validation,
    "deployment": deployment,
    "patterns": patterns,
}


def _blocks(*lines: str | None) -> str:
    return "\n".join(_kept(lines)).rstrip()


def _kept(lines: Iterable[str | None]) -> Iterable[str]:
    return (line for line in lines if line is not None)
