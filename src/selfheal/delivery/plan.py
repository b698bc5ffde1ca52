"""What will be shipped: one commit per root cause, and the tree that was proven."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from selfheal.artifacts import (
    Anomalies,
    Candidate,
    Deployment,
    Diagnoses,
    Diagnosis,
    Model,
    Patch,
    Validation,
)
from selfheal.config import DeployConfig
from selfheal.delivery.fingerprint import Fingerprint, fingerprint_of
from selfheal.delivery.pull_request import body_of, shortened, title_of
from selfheal.delivery.workshop import Conflict, Workshop
from selfheal.errors import InvalidInput


class PlannedCommit(Model):
    """One candidate's change: its unified diff against the plan's base, and its message."""

    candidate_id: str
    diagnosis_id: str
    message: str
    patch: str


class Plan(Model):
    """A change ready for review.

    `patch` is the whole diff as it was proven, against `base_commit`; `commits` tell it
    root cause by root cause. `title` and `body` are the pull request's text, whose
    hidden part is `fingerprint`.
    """

    candidate_id: str
    base_commit: str
    patch: str
    commits: list[PlannedCommit]
    title: str
    body: str
    fingerprint: Fingerprint = Field(default_factory=Fingerprint)

    @property
    def summary(self) -> str:
        return f"{self.title} ({len(self.commits)} commits planned)"


def make_plan(
    validation: Validation,
    patch: Patch,
    diagnoses: Diagnoses,
    anomalies: Anomalies,
    *,
    config: DeployConfig,
    run_id: str,
    left_out: Sequence[str] = (),
) -> Plan:
    """The plan for what validation selected. `left_out` says of other changes why they are not in it.

    Raises InvalidInput where the selected candidate is not among those of the patch.
    """
    chosen = chosen_candidates(validation, patch)
    if validation.selected is None or not chosen:
        raise InvalidInput(
            f"patch.json does not hold the selected candidate {validation.selected}.",
            where="validation.json: /payload/selected",
        )
    proven = proven_patch(validation, chosen)
    causes = {candidate.diagnosis_id for candidate in chosen}
    fingerprint = fingerprint_of((d for d in diagnoses.diagnoses if d.id in causes), proven)
    return Plan(
        candidate_id=validation.selected,
        base_commit=chosen[0].base_commit,
        patch=proven,
        commits=planned_commits(chosen, diagnoses, run_id),
        title=title_of(chosen, diagnoses),
        body=body_of(
            chosen,
            anomalies=anomalies,
            diagnoses=diagnoses,
            validation=validation,
            config=config,
            run_id=run_id,
            left_out=left_out,
            fingerprint=fingerprint,
        ),
        fingerprint=fingerprint,
    )


def chosen_candidates(validation: Validation, patch: Patch) -> list[Candidate]:
    """The candidates behind `validation.selected`, gravest cause first; none if none is."""
    composition = validation.composition
    if composition is not None and composition.id == validation.selected:
        wanted = composition.candidate_ids
    else:
        wanted = [validation.selected] if validation.selected is not None else []
    return [candidate for candidate in patch.candidates if candidate.id in wanted]


def shipped_candidates(
    deployment: Deployment, validation: Validation, patch: Patch
) -> list[Candidate]:
    """The candidates that the delivery was about: a policy may have let only a part through."""
    sent = deployment.candidate_id or validation.selected
    return chosen_candidates(validation.model_copy(update={"selected": sent}), patch)


def proven_patch(validation: Validation, chosen: list[Candidate]) -> str:
    """The diff that was validated as a whole."""
    composition = validation.composition
    if composition is not None and composition.id == validation.selected:
        return composition.patch
    return chosen[0].patch


def planned_commits(
    chosen: list[Candidate], diagnoses: Diagnoses, run_id: str
) -> list[PlannedCommit]:
    """One commit for each chosen candidate."""
    causes = {diagnosis.id: diagnosis for diagnosis in diagnoses.diagnoses}
    return [
        PlannedCommit(
            candidate_id=candidate.id,
            diagnosis_id=candidate.diagnosis_id,
            message=commit_message(candidate, causes.get(candidate.diagnosis_id), run_id),
            patch=candidate.patch,
        )
        for candidate in chosen
    ]


def commit_message(candidate: Candidate, diagnosis: Diagnosis | None, run_id: str) -> str:
    """Subject, story and trailers of one commit."""
    title = diagnosis.title if diagnosis else f"{candidate.strategy} in {candidate.files[0]}"
    story = [shortened(f"Fix: {title}"), "", candidate.explanation]
    if diagnosis and diagnosis.locations:
        place = diagnosis.locations[0]
        story += ["", f"Root cause: {place.function} at {place.file}:{place.line}."]
    if diagnosis and diagnosis.suspect_commits:
        suspect = diagnosis.suspect_commits[0]
        named = f" ({suspect.summary})" if suspect.summary else ""
        story += [f"Since commit {suspect.sha[:12]}{named}."]
    trailers = {
        "Selfheal-Run": run_id,
        "Selfheal-Diagnosis": candidate.diagnosis_id,
        "Selfheal-Candidate": candidate.id,
    }
    return "\n".join([*story, "", *(f"{key}: {value}" for key, value in trailers.items())]) + "\n"


def build_commits(workshop: Workshop, plan: Plan) -> list[str] | Conflict:
    """Make the plan's commits on its base; their ids, oldest first.

    The last commit's tree is the proven one, to the byte. Those before it hold the
    changes one after the other; where two meet (say, in a change log), the earlier is
    told together with the next. Equal plans and dates give equal ids.
    """
    final = workshop.tree_with(plan.patch, plan.base_commit)
    if isinstance(final, Conflict):
        return final
    made: list[str] = []
    head, untold = plan.base_commit, ""
    for planned in plan.commits[:-1]:
        tree = _stacked(workshop, plan.base_commit, head, planned.patch)
        if isinstance(tree, Conflict):
            untold += planned.message + "\n"
            continue
        head = workshop.commit(tree, [head], untold + planned.message)
        untold = ""
        made.append(head)
    made.append(workshop.commit(final, [head], untold + plan.commits[-1].message))
    return made


def _stacked(workshop: Workshop, base: str, head: str, patch: str) -> str | Conflict:
    """The tree of `head` with a patch that was made for `base`."""
    tree = workshop.tree_with(patch, base)
    if isinstance(tree, Conflict) or head == base:
        return tree
    return workshop.transplant(tree, base, head)
