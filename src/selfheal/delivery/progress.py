"""What is said below a pull request while it is on its way: statuses, and one comment."""

from __future__ import annotations

from collections.abc import Sequence

from selfheal.artifacts import Anomalies, Diagnoses, Patch, Validation
from selfheal.artifacts.deployment import CiRun, Merge
from selfheal.delivery.pull_request import sentence, shortened

STICKY = "<!-- selfheal progress -->"


def phases_told(
    anomalies: Anomalies, diagnoses: Diagnoses, patch: Patch, validation: Validation
) -> dict[str, str]:
    """One line for each phase that led to the pull request, in their order."""
    tried = sum(result.verdict != "not_run" for result in validation.results)
    return {
        "detect": f"{len(anomalies.anomalies)} anomalies found",
        "diagnose": shortened(diagnoses.summary, 140),
        "fix": f"{len(patch.candidates)} candidates proposed",
        "validate": shortened(f"{tried} candidates tried; {validation.reason}", 140),
    }


def progress(
    notes: Sequence[str] = (),
    *,
    ci: CiRun | None = None,
    merge: Merge | None = None,
    rollout: str | None = None,
) -> str:
    """The text of the one comment: how far the delivery has come, in Markdown."""
    lines = [f"- {note}" for note in notes]
    lines.append(f"- CI: {ci.verdict}, {ci.summary}" if ci else "- CI: runs next")
    if merge is not None and merge.merged:
        lines.append(f"- merged into `{merge.base}` as {(merge.commit or '')[:12]}")
    elif merge is not None:
        lines.append(f"- not merged: {merge.reason}")
    if rollout is not None:
        lines.append(f"- rollout: {sentence(rollout)}")
    return f"{STICKY}\nselfheal:\n\n" + "\n".join(lines) + "\n"
