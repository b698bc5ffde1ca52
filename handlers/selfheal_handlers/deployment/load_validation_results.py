"""Load the selected change and write the preview of its pull request."""

from __future__ import annotations

from pathlib import Path

from selfheal.artifacts import Anomalies, Diagnoses, Patch, Validation
from selfheal.config import DeployConfig
from selfheal.contract import Skipped, Workspace, handler
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.plan import Plan, make_plan
from selfheal.delivery.shipping import obstacle
from selfheal.errors import InvalidInput
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import DeployRequest, LoadedChange
from selfheal_handlers.deployment._services import forge_of, workshop_of

PREVIEW = "reports/pull_request.md"


@handler("load_validation_results", kind="stage-crew", example=_examples.load_validation_results)
def load_validation_results(
    *,
    deploy_requested: DeployRequest,
    validation: Validation,
    patch: Patch,
    diagnosis: Diagnoses,
    anomalies: Anomalies,
    config: DeployConfig,
    workspace: Workspace,
) -> LoadedChange | Skipped:
    """The plan of commits and the text of the pull request, which lies in reports/ for review."""
    if deploy_requested.candidate_id is None:
        return Skipped(deploy_requested.refusal or "no change was selected")
    plan = make_plan(
        validation, patch, diagnosis, anomalies, config=config, run_id=workspace.run_id
    )
    workspace.write(PREVIEW, f"# {plan.title}\n\n{plan.body}")
    planned = {commit.diagnosis_id for commit in plan.commits}
    healed = {name for d in diagnosis.diagnoses if d.id in planned for name in d.anomaly_ids}
    return LoadedChange(
        run_id=workspace.run_id,
        plan=plan,
        anomaly_ids=sorted(healed),
        preview=PREVIEW,
        obstacle=_obstacle(plan, config, workspace),
    )


def _obstacle(plan: Plan, config: DeployConfig, workspace: Workspace) -> str | None:
    """Nobody should be asked to approve what cannot be delivered."""
    try:
        if config.target == "processes":
            if config.fleet is None:
                return "deploy.target is processes and deploy.fleet is not set"
            Fleet(Path(config.fleet)).settings  # noqa: B018 - refuses a folder without a fleet
        forge = forge_of(workspace, config)
        return obstacle(forge, workshop_of(workspace, config), plan, config.base)
    except InvalidInput as error:
        return error.message.rstrip(".")
