"""Load the selected change and write the preview of its pull request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from selfheal.artifacts import Anomalies, Diagnoses, Patch, Validation
from selfheal.artifacts.deployment import CiRun
from selfheal.config import DeployConfig, TestsConfig
from selfheal.contract import Skipped, Workspace, handler
from selfheal.delivery.autonomy import Earned, earned
from selfheal.delivery.ci import run_ci
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.library import read_patterns
from selfheal.delivery.plan import Plan, chosen_candidates, make_plan
from selfheal.delivery.rebase import rebased, revalidate, uncommitted
from selfheal.delivery.shipping import obstacle
from selfheal.delivery.standing import standing_of
from selfheal.delivery.workshop import Conflict, Workshop
from selfheal.errors import InvalidInput
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import DeployRequest, LoadedChange
from selfheal_handlers.deployment._services import forge_of, repository_of, workshop_of

PREVIEW = "reports/pull_request.md"


@handler(
    "load_validation_results",
    kind="stage-crew",
    version="2",
    example=_examples.load_validation_results,
)
def load_validation_results(
    *,
    deploy_requested: DeployRequest,
    validation: Validation,
    patch: Patch,
    diagnosis: Diagnoses,
    anomalies: Anomalies,
    config: DeployConfig,
    tests: TestsConfig,
    workspace: Workspace,
) -> LoadedChange | Skipped:
    """The plan of commits and the text of the pull request, which lies in reports/ for review."""
    if deploy_requested.candidate_id is None:
        return Skipped(deploy_requested.refusal or "no change was selected")
    chosen = validation.model_copy(update={"selected": deploy_requested.candidate_id})
    plan = make_plan(
        chosen,
        patch,
        diagnosis,
        anomalies,
        config=config,
        run_id=workspace.run_id,
        left_out=deploy_requested.left_out,
    )
    planned = {commit.diagnosis_id for commit in plan.commits}
    healed = {name for d in diagnosis.diagnoses if d.id in planned for name in d.anomaly_ids}
    change = LoadedChange(
        run_id=workspace.run_id,
        plan=plan,
        anomaly_ids=sorted(healed),
        preview=PREVIEW,
        branch=f"{config.branch_prefix}{workspace.run_id}",
        earned=_earned(deploy_requested, chosen, patch, diagnosis, workspace),
    )
    if deploy_requested.refusal is None:
        change = _placed(change, config, tests, workspace)
    notes = "".join(f"> {note}\n\n" for note in change.notes)
    workspace.write(PREVIEW, f"# {change.plan.title}\n\n{notes}{change.plan.body}")
    return change


def _earned(
    request: DeployRequest,
    validation: Validation,
    patch: Patch,
    diagnosis: Diagnoses,
    workspace: Workspace,
) -> list[Earned]:
    if request.ruling is None or request.ruling.approval != "auto":
        return []
    kinds = {each.id: each.kind for each in diagnosis.diagnoses}
    pairs = [
        (kinds[candidate.diagnosis_id], candidate.strategy)
        for candidate in chosen_candidates(validation, patch)
        if candidate.diagnosis_id in kinds
    ]
    return earned(read_patterns(workspace.artifacts_folder), pairs, request.ruling.level)


def _placed(
    change: LoadedChange, config: DeployConfig, tests: TestsConfig, workspace: Workspace
) -> LoadedChange:
    """The change with its place on the forge. Nobody should be asked for what cannot be delivered."""
    try:
        if config.target == "processes":
            if config.fleet is None:
                said = "deploy.target is processes and deploy.fleet is not set"
                return change.model_copy(update={"obstacle": said})
            Fleet(Path(config.fleet)).settings  # noqa: B018 - refuses a folder without a fleet
        forge, workshop = forge_of(workspace, config), workshop_of(workspace, config)
        standing = standing_of(forge, workshop, change.plan, config, workspace.run_id)
        notes = [standing.note] if standing.note else []
        found = standing.refusal
        plan = change.plan
        tip = workshop.fetch(forge.remote, config.base)
        if found is None and tip and not workshop.is_ancestor(plan.base_commit, tip):
            plan, found, told = _rebased(workshop, plan, tip, config, tests, workspace)
            notes += [told] if told else []
        found = found or obstacle(forge, workshop, plan, config.base)
        dirty = uncommitted(repository_of(workspace), plan)
        if dirty:
            notes.append(
                f"The work tree of the repository has uncommitted changes in {', '.join(dirty)}, "
                "which this change touches; they are no part of it."
            )
    except InvalidInput as error:
        return change.model_copy(update={"obstacle": error.message.rstrip(".")})
    return change.model_copy(
        update={
            "plan": plan,
            "branch": standing.branch,
            "updates": standing.updates,
            "notes": notes,
            "obstacle": found,
        }
    )


def _rebased(
    workshop: Workshop,
    plan: Plan,
    tip: str,
    config: DeployConfig,
    tests: TestsConfig,
    workspace: Workspace,
) -> tuple[Plan, str | None, str | None]:
    """The plan on the base where the release is not part of it; else why it cannot be there."""
    away = f"the released commit {plan.base_commit[:12]} is not part of {config.base}"
    moved = rebased(workshop, plan, tip)
    if isinstance(moved, Conflict):
        return plan, f"{away}, and the change does not apply to it: {moved.reason}", None

    def suite(commit: str, selected: Sequence[str]) -> CiRun:
        command = [*tests.command, *selected] if selected else config.ci_command
        verdict, _ = run_ci(
            workshop.folder,
            commit,
            workspace.folder / f"rebased-{commit[:12]}",
            config=config.model_copy(update={"ci_command": command}),
            tests=tests,
        )
        return verdict

    patterns = [f"{tests.folder}/", "test_*.py", "*/test_*.py", "*_test.py"]
    proof = revalidate(workshop, moved, suite, patterns)
    if not proof.holds:
        return plan, f"{away}, and carried over to it the change fails: {proof.reason}", None
    note = f"Carried over to {config.base} at {tip[:12]}, as {away}; there {proof.reason}."
    body = moved.body.replace(
        "## Risk", f"## Carried over to {config.base}\n\n{note}\n\n## Risk", 1
    )
    return moved.model_copy(update={"body": body}), None, note
