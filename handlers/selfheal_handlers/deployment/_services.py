"""The forge and the scratch repository of a beat, from its workspace and configuration."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from selfheal.config import DeployConfig
from selfheal.contract import Effects, Workspace
from selfheal.delivery.access import workshop_for
from selfheal.delivery.audit import record_once
from selfheal.delivery.forge import Forge, forge_for
from selfheal.delivery.workshop import Workshop
from selfheal.errors import RepositoryError


def repository_of(workspace: Workspace) -> Path:
    """The repository under repair. Raises RepositoryError where the run has none."""
    if workspace.repository is None:
        raise RepositoryError(
            "the run has no repository to deliver to.", hint="Name one with --repo."
        )
    return workspace.repository


def forge_of(workspace: Workspace, config: DeployConfig) -> Forge:
    """The forge behind ``deploy.remote``. Raises as `forge_for` does."""
    return forge_for(repository_of(workspace), config)


def workshop_of(workspace: Workspace, config: DeployConfig) -> Workshop:
    """A scratch repository in the beat's folder.

    Commits are dated when the run was made, so that a resumed run makes the same ones.
    """
    seconds = int(datetime.fromisoformat(workspace.started_at).timestamp())
    scratch = workspace.folder / "scratch.git"
    return workshop_for(repository_of(workspace), config, scratch, f"@{seconds} +0000")


def audit(
    workspace: Workspace, effects: Effects, event: str, *, by: str, subject: str, **details: Any
) -> None:
    """Put into the audit log what this run did, once."""
    folder, run_id = workspace.artifacts_folder, workspace.run_id
    record_once(effects, folder, event, by=by, subject=subject, run_id=run_id, **details)
