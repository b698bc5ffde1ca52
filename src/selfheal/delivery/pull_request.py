"""The text of a pull request, as a reviewer likes it: claims with their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from selfheal.artifacts import (
    Anomalies,
    Anomaly,
    Candidate,
    Diagnoses,
    Diagnosis,
    Validation,
)
from selfheal.artifacts.validation import Check, Result
from selfheal.config import DeployConfig
from selfheal.delivery.fingerprint import Fingerprint

# Evidence that says something to a person, in the order told; the rest is in the artifact.
_TOLD = (
    "exception_type",
    "message",
    "baseline_count",
    "candidate_count",
    "requests",
    "ratio",
    "interval",
    "cliffs_delta",
    "p_value",
    "baseline",
    "candidate",
    "violation",
    "step",
    "expected",
    "observed",
)


SUBJECT_WIDTH = 72


def shortened(text: str, width: int = SUBJECT_WIDTH) -> str:
    """The text on one line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """The text as a sentence of its own."""
    whole = text.strip()
    return f"{whole[:1].upper()}{whole[1:]}{'' if whole.endswith(('.', '!', '?')) else '.'}"


def title_of(chosen: list[Candidate], diagnoses: Diagnoses) -> str:
    """One line that names what is healed."""
    causes = {diagnosis.id: diagnosis for diagnosis in diagnoses.diagnoses}
    titles = [
        causes[candidate.diagnosis_id].title
        if candidate.diagnosis_id in causes
        else candidate.strategy
        for candidate in chosen
    ]
    return shortened(f"Fix: {'; '.join(titles)}", 120)


def body_of(
    chosen: list[Candidate],
    *,
    anomalies: Anomalies,
    diagnoses: Diagnoses,
    validation: Validation,
    config: DeployConfig,
    run_id: str,
    left_out: Sequence[str] = (),
    fingerprint: Fingerprint | None = None,
) -> str:
    """The whole text in Markdown: incident, cause, change, proof, risk, way back.

    `left_out` says of other changes why they are not in this one; `fingerprint` is
    hidden at the end.
    """
    found = {anomaly.id: anomaly for anomaly in anomalies.anomalies}
    causes = {diagnosis.id: diagnosis for diagnosis in diagnoses.diagnoses}
    parts: list[str] = []
    for number, candidate in enumerate(chosen, start=1):
        diagnosis = causes.get(candidate.diagnosis_id)
        heading = diagnosis.title if diagnosis else candidate.strategy
        parts.append(f"## {number}. {heading}" if len(chosen) > 1 else f"## {heading}")
        if diagnosis is not None:
            parts += _incident(diagnosis, found)
            parts += _root_cause(diagnosis)
        parts += _change(candidate)
        parts += _proof(candidate.id, validation)
        parts += _alternatives(candidate, validation)
    if len(chosen) > 1 and validation.selected is not None:
        parts.append("## All changes together")
        parts += _proof(validation.selected, validation)
    if left_out:
        parts += ["## Not part of this", "\n".join(f"- {sentence(each)}" for each in left_out)]
    parts += _risk(chosen, causes, validation)
    parts += _way_back(config)
    parts += _switch_off(chosen, causes)
    parts += _artifacts(run_id)
    if fingerprint is not None:
        parts.append(fingerprint.comment())
    return "\n\n".join(parts) + "\n"


def _incident(diagnosis: Diagnosis, found: Mapping[str, Anomaly]) -> Iterable[str]:
    yield "### Incident"
    impact = diagnosis.impact
    affected = ""
    if impact.all_requests:
        affected = (
            f", {impact.affected_requests} of {impact.all_requests} "
            f"requests affected ({impact.share:.1%})"
        )
    yield (
        f"{diagnosis.service}, `{diagnosis.operation}`: {sentence(impact.explanation)} "
        f"Severity {impact.severity}{affected}."
    )
    lines = []
    for anomaly in (found[name] for name in diagnosis.anomaly_ids if name in found):
        window = anomaly.detector.window
        compared = " against ".join(
            filter(None, (window.candidate_release, window.baseline_release))
        )
        lines.append(
            f"- {anomaly.title} (found by {anomaly.detector.name}"
            f"{', release ' + compared if compared else ''}; "
            f"{anomaly.count} times, {anomaly.first_seen or '?'} to {anomaly.last_seen or '?'})"
        )
        lines += [f"  - {told}" for told in _told(anomaly.evidence)]
    if lines:
        yield "\n".join(lines)


def _told(evidence: Mapping[str, Any]) -> Iterable[str]:
    for key in _TOLD:
        value = evidence.get(key)
        if value is not None:
            yield f"{key.replace('_', ' ')}: {_figure(value)}"


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_figure(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return " to ".join(_figure(part) for part in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return shortened(str(value), 200)


def _root_cause(diagnosis: Diagnosis) -> Iterable[str]:
    yield "### Root cause"
    yield sentence(diagnosis.reason)
    lines = [
        f"- `{place.file}:{place.line}` in `{place.function}` (score {place.score:.2f})"
        + (f": {'; '.join(place.reasons)}" if place.reasons else "")
        for place in diagnosis.locations
    ]
    lines += [
        f"- since commit {suspect.sha[:12]}"
        + (f" “{suspect.summary}”" if suspect.summary else "")
        + (f" by {suspect.author}" if suspect.author else "")
        + f" (score {suspect.score:.2f}): {suspect.reason}"
        for suspect in diagnosis.suspect_commits[:1]
    ]
    if lines:
        yield "\n".join(lines)


def _change(candidate: Candidate) -> Iterable[str]:
    yield "### Change"
    yield candidate.explanation
    added, removed = _lines_changed(candidate.patch)
    files = ", ".join(f"`{name}`" for name in candidate.files)
    yield f"Strategy `{candidate.strategy}`; lines added {added}, removed {removed}, in {files}."


def _lines_changed(patch: str) -> tuple[int, int]:
    lines = patch.splitlines()
    added = sum(line.startswith("+") and not line.startswith("+++ ") for line in lines)
    removed = sum(line.startswith("-") and not line.startswith("--- ") for line in lines)
    return added, removed


def _proof(candidate_id: str, validation: Validation) -> Iterable[str]:
    yield "### Proof"
    result = next((r for r in validation.results if r.candidate_id == candidate_id), None)
    if result is None:
        yield f"{sentence(validation.reason)} Isolation: {sentence(validation.isolation)}"
        return
    yield f"{sentence(result.reason)} Isolation: {sentence(validation.isolation)}"
    asked = [check for check in result.checks if check.verdict in ("passed", "failed")]
    if asked:
        yield _table(asked)
    yield "### Not validated"
    unasked = [check for check in result.checks if check not in asked]
    yield "\n".join(f"- {c.name} ({c.verdict}): {c.summary}" for c in unasked) or (
        "Of the checks that there are, none was left out."
    )


def _table(checks: list[Check]) -> str:
    rows = ["| check | verdict | what was seen |", "|---|---|---|"]
    for check in checks:
        seen = check.summary.replace("|", "\\|").replace("\n", " ")
        rows.append(f"| {check.name} | {check.verdict} | {seen} |")
    return "\n".join(rows)


def _alternatives(candidate: Candidate, validation: Validation) -> Iterable[str]:
    others: list[Result] = [
        result
        for result in validation.results
        if result.diagnosis_id == candidate.diagnosis_id and result.candidate_id != candidate.id
    ]
    if not others:
        return
    yield "### Alternatives"
    yield "\n".join(f"- {other.candidate_id}: {other.reason}" for other in others)


def _risk(
    chosen: list[Candidate], causes: Mapping[str, Diagnosis], validation: Validation
) -> Iterable[str]:
    yield "## Risk"
    grades = sorted(
        {causes[c.diagnosis_id].complexity for c in chosen if c.diagnosis_id in causes},
        key=("low", "medium", "high").index,
    )
    lines = [f"- Complexity of the causes: {', '.join(grades)}."] if grades else []
    files = sorted({name for candidate in chosen for name in candidate.files})
    counted = [_lines_changed(candidate.patch) for candidate in chosen]
    lines.append(
        f"- Files touched: {', '.join(f'`{name}`' for name in files)}; "
        f"{sum(added for added, _ in counted)} lines added, "
        f"{sum(removed for _, removed in counted)} removed."
    )
    for candidate in chosen:
        known = candidate.pattern_confidence
        lines.append(
            f"- Strategy `{candidate.strategy}`: "
            + ("no earlier use is on record" if known is None else f"healed before: {known:.0%}")
            + f"; its score in this run is {candidate.score:.2f}."
        )
    weak = [
        f"{check.name} ({check.summary})"
        for result in validation.results
        if result.candidate_id in {candidate.id for candidate in chosen}
        for check in result.checks
        if not check.required and check.verdict == "failed"
    ]
    if weak:
        lines.append(f"- Failed, though not required: {'; '.join(sorted(set(weak)))}.")
    healed = {candidate.diagnosis_id for candidate in chosen}
    lines += [
        f"- {sentence(each.weak_suite)} Look whether this change is the one that is meant."
        for each in validation.selections
        if each.weak_suite is not None and each.diagnosis_id in healed
    ]
    lines.append(
        "- What the suite and the recorded requests do not exercise is not proven; the "
        "gates of a rollout watch it."
    )
    yield "\n".join(lines)


def _way_back(config: DeployConfig) -> Iterable[str]:
    yield "## How to roll back"
    automatic = (
        "While the rollout runs, a gate that fails moves all traffic back to the old release, "
        "reverts the merge and stops the new instances. "
        if config.target != "none"
        else ""
    )
    yield (
        f"{automatic}By hand, on `{config.base}`:\n\n"
        "```\ngit revert -m 1 <merge commit of this pull request>\n```"
    )


def _switch_off(chosen: list[Candidate], causes: Mapping[str, Diagnosis]) -> Iterable[str]:
    yield "## How to switch this kind off"
    kinds = sorted({causes[c.diagnosis_id].kind for c in chosen if c.diagnosis_id in causes})
    rules = "\n".join(f"    - {{kind: {kind}, approval: never}}" for kind in kinds)
    strategies = ", ".join(f"`{name}`" for name in sorted({c.strategy for c in chosen}))
    yield (
        "In `selfheal.yaml`, for all changes of this kind (a `path` beside it narrows it):\n\n"
        f"```yaml\ndeploy:\n  policies:\n{rules}\n```\n\n"
        f"To do without {strategies} alone, list the others in `fix.strategies`. Closing this "
        "pull request without a merge keeps it from being opened again."
    )


def _artifacts(run_id: str) -> Iterable[str]:
    yield "## Where to look further"
    yield (
        f"Run `{run_id}`: `selfheal show diagnosis`, `selfheal show validation`, "
        f"`selfheal patch --run {run_id}`; the files are in the run's folder, `runs/{run_id}/`."
    )
