"""Roll the merged change out step by step, or back."""

from __future__ import annotations

from pathlib import Path

from selfheal.artifacts import Anomalies
from selfheal.artifacts.deployment import Merge
from selfheal.config import DeployConfig
from selfheal.contract import Effects, Skipped, Waiting, Workspace, handler
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.forge import Pull
from selfheal.delivery.manifests import write_manifests
from selfheal.delivery.rollout import Gates, Paused, Rollout, roll_out
from selfheal.delivery.rollout_steward import target_of
from selfheal.delivery.shipping import Reverted, revert_merge
from selfheal.delivery.target import Begin
from selfheal.errors import ConfigurationError, InvalidInput, ServiceError
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import LoadedChange
from selfheal_handlers.deployment._rollouts import (
    begin_of,
    closed_now,
    control_of,
    plan_of,
    rollout_folder,
)
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
) -> Rollout | Skipped | Waiting:
    """How the rollout went; what it measured is in measurements/."""
    if auto_merge_pr.commit is None:
        return Skipped(f"nothing was merged: {auto_merge_pr.reason}")
    if config.target == "none" or (config.target == "processes" and config.fleet is None):
        return Skipped("deploy.target is none: what runs is somebody else's to change")
    merge, folder = auto_merge_pr.commit, rollout_folder(workspace, config)
    again = f"selfheal resume {workspace.run_id}"
    if config.target == "manifests":
        closed = closed_now(config)
        return Waiting(closed, again) if closed else write_manifests(config, merge, workspace)
    with folder.in_hand(patience_seconds=2.0) as held:
        if not held:
            return Waiting("another rollout of this service is under way", again)
        try:
            noted = effects.once(
                "rollout:begin",
                lambda: begin_of(config, merge).model_dump(mode="json"),
                lambda: None,
            )
        except (InvalidInput, ConfigurationError, ServiceError) as error:
            return Rollout(reason=error.message.rstrip("."))
        begin = Begin.model_validate(noted)
        forge, workshop = forge_of(workspace, config), workshop_of(workspace, config)

        def checkout() -> Path:
            workshop.fetch(forge.remote, config.base)
            return workshop.extract(merge, Fleet(folder.folder).checkout(begin.new))

        def revert(reason: str) -> Reverted:
            return revert_merge(
                effects, forge, workshop, create_pull_request, merge=merge, reason=reason
            )

        healed = [a for a in anomalies.anomalies if a.id in load_validation_results.anomaly_ids]
        plan = plan_of(config, begin, merge, healed)
        result = roll_out(
            target_of(plan, folder, checkout),
            Gates(healed, config.gate, workspace.folder, workspace.measured),
            steps=config.steps,
            effects=effects,
            control=control_of(folder, workspace, config, plan),
            revert=revert,
        )
    if isinstance(result, Paused):
        return Waiting(result.reason, f"selfheal rollout status {folder.folder}; then {again}")
    return result
