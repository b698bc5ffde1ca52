"""The end of the demo: what one run found, did and proved, as a table for people."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from selfheal.artifacts import (
    Anomalies,
    Anomaly,
    Candidate,
    Dataset,
    Deployment,
    Diagnoses,
    Diagnosis,
    Model,
    Patch,
    Patterns,
    Validation,
)
from selfheal.artifacts.deployment import CiRun
from selfheal.artifacts.envelope import read_artifact
from selfheal.artifacts.validation import Result
from selfheal.errors import NotFound

WIDTH = 96
LABEL = 11
RULE = "─" * WIDTH

M = TypeVar("M", bound=Model)
Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Story:
    """The artifacts of one run, as far as it came; absent ones are None."""

    folder: Path
    anomalies: Anomalies | None
    diagnoses: Diagnoses | None
    patch: Patch | None
    validation: Validation | None
    deployment: Deployment | None
    patterns: Patterns | None

    @classmethod
    def read(cls, folder: Path) -> Story:
        """Read what a run folder holds."""
        return cls(
            folder=folder,
            anomalies=artifact(folder, "anomalies", Anomalies),
            diagnoses=artifact(folder, "diagnosis", Diagnoses),
            patch=artifact(folder, "patch", Patch),
            validation=artifact(folder, "validation", Validation),
            deployment=artifact(folder, "deployment", Deployment),
            patterns=artifact(folder, "patterns", Patterns),
        )

    def selected(self, diagnosis: Diagnosis) -> Candidate | None:
        """The candidate that heals a diagnosis, None where none was proven."""
        if self.validation is None or self.patch is None:
            return None
        chosen = {choice.diagnosis_id: choice for choice in self.validation.selections}
        choice = chosen.get(diagnosis.id)
        candidates = {candidate.id: candidate for candidate in self.patch.candidates}
        return candidates.get(choice.candidate_id or "") if choice else None

    def result(self, candidate: Candidate) -> Result | None:
        """What validation said of a candidate."""
        results = self.validation.results if self.validation else []
        return next((each for each in results if each.candidate_id == candidate.id), None)

    def measurements(self, name: str) -> Mapping[str, Any]:
        path = self.folder / "measurements" / f"{name}.json"
        found: Mapping[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
        return found


def artifact(folder: Path, name: str, model: type[M]) -> M | None:
    """An artifact's payload, None where the run did not write it."""
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    payload = read_artifact(path, name)
    assert isinstance(payload, model)
    return payload


def health_of(live: Dataset | None, service: str, release: str) -> float | None:
    """The health score of a release in live telemetry, None where nothing was measured."""
    from selfheal.analysis.health import health

    return None if live is None else health(live, [(service, release)]).score


def tell(story: Story, *, health_after: float | None = None) -> str:
    """The table: one part for each cause, then the delivery and where to look further."""
    diagnoses = story.diagnoses.diagnoses if story.diagnoses else []
    lines = [RULE, headline(story, diagnoses)]
    for number, diagnosis in enumerate(diagnoses, start=1):
        lines += [RULE, f"{number}. {diagnosis.title}", *table(cause(story, diagnosis))]
    lines += [
        RULE,
        *table(delivery(story, health_after)),
        RULE,
        *table(further(story)),
        *commands(story),
        RULE,
    ]
    return "\n".join(lines)


def headline(story: Story, diagnoses: list[Diagnosis]) -> str:
    healed = sum(story.selected(diagnosis) is not None for diagnosis in diagnoses)
    outcome = story.deployment.outcome.replace("_", " ") if story.deployment else "not deployed"
    causes = "1 cause" if len(diagnoses) == 1 else f"{len(diagnoses)} causes"
    return f"{causes} found, {healed} with a proven fix; {outcome}"


def cause(story: Story, diagnosis: Diagnosis) -> Rows:
    """What was wrong, where, since which commit, the fix, the proof, and how it is now."""
    anomalies = story.anomalies.anomalies if story.anomalies else []
    own = [anomaly for anomaly in anomalies if anomaly.id in diagnosis.anomaly_ids]
    rows = [("wrong", "; ".join(symptom(anomaly) for anomaly in own) or diagnosis.reason)]
    if diagnosis.locations:
        place = diagnosis.locations[0]
        rows.append(("where", f"{place.file}:{place.line} in {place.function}"))
    if diagnosis.suspect_commits:
        suspect = diagnosis.suspect_commits[0]
        author = suspect.author.partition(" <")[0]
        rows.append(("since", f"commit {suspect.sha[:7]} “{suspect.summary}” by {author}"))
    candidate = story.selected(diagnosis)
    if candidate is None:
        rows.append(("fix", f"none: {unhealed(story, diagnosis)}"))
        return rows
    rows.append(("fix", f"{candidate.strategy}: {candidate.explanation}"))
    result = story.result(candidate)
    if result is not None:
        passed = [check.summary for check in result.checks if check.verdict == "passed"]
        rows.append(("proof", "; ".join(passed)))
    rows += [("now", text) for text in improvements(story, own)]
    return rows


def symptom(anomaly: Anomaly) -> str:
    """One line with the measured numbers of an anomaly."""
    evidence = anomaly.evidence
    before, after = evidence.get("baseline"), evidence.get("candidate")
    if isinstance(before, dict) and isinstance(after, dict) and "p95_ms" in after:
        return (
            f"{anomaly.operation}: p95 {before['p95_ms']:.1f} ms → {after['p95_ms']:.1f} ms"
            f" ({anomaly.severity})"
        )
    return f"{anomaly.title} ({anomaly.severity})"


def unhealed(story: Story, diagnosis: Diagnosis) -> str:
    choices = story.validation.selections if story.validation else []
    reason = next((choice.reason for choice in choices if choice.diagnosis_id == diagnosis.id), "")
    return reason or diagnosis.reason


def improvements(story: Story, anomalies: list[Anomaly]) -> Iterator[str]:
    """How the living service does after the rollout, by anomaly."""
    known = {anomaly.id for anomaly in anomalies}
    learned = story.measurements("learning")
    verdicts = {
        verdict["anomaly_id"]: f"{verdict['verdict']}: {verdict['reason']}"
        for verdict in (learned.get("assessments") or {}).get("verdicts", [])
    }
    for found in learned.get("improvements", []):
        if found["anomaly_id"] not in known:
            continue
        compared = found["comparison"]
        before, after = compared.get("before"), compared.get("after")
        measured = ""
        if before is not None and after is not None:
            measured = (
                f"{shown(compared['measure'], before)} → {shown(compared['measure'], after)}, "
            )
        yield f"{found['operation']}: {measured}{verdicts.get(found['anomaly_id'], '')}"


def shown(measure: str, value: float) -> str:
    return f"p95 {value:.1f} ms" if measure == "p95_ms" else f"errors {value:.1%}"


def delivery(story: Story, health_after: float | None) -> Rows:
    """The pull request, the rollout with its gates, and the health before and after."""
    rows: Rows = []
    shipped = story.deployment
    if shipped is not None:
        if shipped.pull_request is not None:
            rows.append(("review", f"{shipped.pull_request.title} — {shipped.pull_request.url}"))
        if shipped.ci is not None:
            rows.append(("CI", continuous_integration(shipped.ci)))
        if shipped.approval is not None:
            by = f" by {shipped.approval.by}" if shipped.approval.by else ""
            rows.append(("approval", f"{shipped.approval.state}{by}"))
        if shipped.rollout:
            steps = " → ".join(f"{step.percent} % {step.gate.state}" for step in shipped.rollout)
            rows.append(("rollout", steps))
        rows.append(("outcome", f"{shipped.outcome.replace('_', ' ')}: {shipped.reason}"))
    before = story.anomalies.health.score if story.anomalies else None
    rows.append(("health", f"{score(before)} before, {score(health_after)} after (of 100)"))
    if story.patterns is not None:
        proven = [each for each in story.patterns.patterns if each.outcomes.validated]
        names = [f"{each.name} ({each.confidence:.0%} sure)" for each in proven]
        rows.append(("learned", "; ".join(names) or "nothing"))
    return rows


def continuous_integration(ci: CiRun) -> str:
    """The command that was the judge, and what it said."""
    command = shlex.join(part.replace("{python}", "python") for part in ci.command)
    return f"{command}: {ci.summary}" if command else ci.summary


def score(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.0f}"


def further(story: Story) -> Rows:
    """Where the evidence lies."""
    rows = [("run", str(story.folder))]
    reports = sorted((story.folder / "reports").glob("*.md"))
    if reports:
        rows.append(("reports", ", ".join(f"reports/{report.name}" for report in reports)))
    return rows


def commands(story: Story) -> list[str]:
    """What to type next (a run lies in ARTIFACTS/runs); unwrapped, so that it can be copied."""
    kept = shlex.quote(str(from_here(story.folder.parents[1])))
    return [
        f"   {'' if number else 'commands':<{LABEL}}selfheal {verb} --artifacts {kept}"
        for number, verb in enumerate(("status", "show diagnosis", "patch"))
    ]


def from_here(folder: Path) -> Path:
    """The folder as it is shortest to name from the current one."""
    here = Path.cwd().resolve()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def table(rows: Rows) -> list[str]:
    """Two columns: a label, and its text wrapped beside it."""
    lines = []
    for label, text in rows:
        margin = " " * (LABEL + 3)
        wrapped = textwrap.fill(
            " ".join(text.split()),
            WIDTH,
            initial_indent=f"   {label:<{LABEL}}",
            subsequent_indent=margin,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines.append(wrapped)
    return lines


def latest_run(artifacts: Path) -> Path:
    """The newest run's folder. Raises NotFound where there is none."""
    latest = artifacts / "latest"
    if not latest.exists():
        raise NotFound("the demo made no run.", where=str(artifacts))
    return latest.resolve()
