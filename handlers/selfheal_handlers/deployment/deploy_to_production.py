"""Roll the merged change out step by step, or back."""

from __future__ import annotations

from pathlib import Path

from selfheal.artifacts import Anomalies
from selfheal.artifacts.deployment import Merge
from selfheal.config import DeployConfig
from selfheal.contract import Effects, Skipped, Workspace, handler
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.forge import Pull
from selfheal.delivery.rollout import (
    Begin,
    Gates,
    ProcessesTarget,
    Rollout,
    begin_rollout,
    roll_out,
)
from selfheal.delivery.shipping import Reverted, revert_merge
from selfheal.errors import InvalidInput
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import LoadedChange
from selfheal_handlers.deployment._services import forge_of, workshop_of


@handler("deploy_to_production", kind="stage-crew", example=_examples.deploy_to_production)
def deploy_to_production(
    *,
    auto_merge_pr: Merge,
    create_pull_request: Pull,
    load_validation_results: LoadedChange,
    anomalies: Anomalies,
    config: DeployConfig,
    workspace: Workspace,
    effects: Effects,
) -> Rollout | Skipped:
    """How the rollout went; what it measured is in measurements/."""
    if auto_merge_pr.commit is None:
        return Skipped(f"nothing was merged: {auto_merge_pr.reason}")
    if config.target == "none" or config.fleet is None:
        return Skipped("deploy.target is none: what runs is somebody else's to change")
    merge, fleet = auto_merge_pr.commit, Fleet(Path(config.fleet))
    try:
        noted = effects.once(
            "rollout:begin",
            lambda: begin_rollout(fleet, merge).model_dump(mode="json"),
            lambda: None,
        )
    except InvalidInput as error:
        return Rollout(reason=error.message.rstrip("."))
    begin = Begin.model_validate(noted)
    forge, workshop = forge_of(workspace, config), workshop_of(workspace, config)

    def checkout() -> Path:
        workshop.fetch(forge.remote, config.base)
        return workshop.extract(merge, fleet.checkout(begin.new))

    def revert(reason: str) -> Reverted:
        return revert_merge(
            effects, forge, workshop, create_pull_request, merge=merge, reason=reason
        )

    healed = [a for a in anomalies.anomalies if a.id in load_validation_results.anomaly_ids]
    gates = Gates(healed, config.gate, workspace.folder, workspace.measured)
    return roll_out(
        ProcessesTarget(fleet, begin, merge, checkout),
        gates,
        steps=config.steps,
        effects=effects,
        revert=revert,
    )
