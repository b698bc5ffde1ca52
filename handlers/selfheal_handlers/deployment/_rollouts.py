"""What the beat of the rollout is made of, by ``deploy.target``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from selfheal.artifacts import Anomaly
from selfheal.config import DeployConfig
from selfheal.contract import Workspace
from selfheal.delivery import rollout_steward
from selfheal.delivery.command_target import begin_command
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.fleet_target import begin_rollout
from selfheal.delivery.rollout import Control, planned_steps
from selfheal.delivery.rollout_record import RolloutFolder
from selfheal.delivery.rollout_steward import StewardPlan
from selfheal.delivery.rollout_windows import closed
from selfheal.delivery.target import Begin


def rollout_folder(workspace: Workspace, config: DeployConfig) -> RolloutFolder:
    """The fleet's folder, or one beside the runs."""
    if config.target == "processes" and config.fleet is not None:
        return RolloutFolder(Path(config.fleet))
    return RolloutFolder(workspace.artifacts_folder / "rollout")


def begin_of(config: DeployConfig, commit: str) -> Begin:
    """What serves now. Raises InvalidInput, ConfigurationError or ServiceError if nothing does."""
    if config.target == "command":
        return begin_command(config.command, commit)
    assert config.fleet is not None
    return begin_rollout(Fleet(Path(config.fleet)), commit)


def plan_of(
    config: DeployConfig, begin: Begin, commit: str, anomalies: list[Anomaly]
) -> StewardPlan:
    """What the steward must know to judge on and to take traffic back."""
    command = config.target == "command"
    return StewardPlan(
        begin=begin,
        commit=commit,
        fleet=None if command or config.fleet is None else str(Path(config.fleet).absolute()),
        command=config.command if command else None,
        anomalies=anomalies,
        gate=config.gate,
        steps=len(planned_steps(config.steps)),
    )


def control_of(
    folder: RolloutFolder, workspace: Workspace, config: DeployConfig, plan: StewardPlan
) -> Control:
    """What the rollout minds besides its gates."""
    return Control(
        folder=folder,
        run_id=workspace.run_id,
        commit=plan.commit,
        closed=lambda: closed_now(config),
        steward=lambda: rollout_steward.start(folder, plan),
    )


def closed_now(config: DeployConfig) -> str | None:
    """Why nothing may be shipped at this moment."""
    return closed(datetime.now(UTC), config.windows, config.freezes, config.timezone)
