"""The forge and the scratch repository of a beat, from its workspace and configuration."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from selfheal.config import DeployConfig
from selfheal.contract import Workspace
from selfheal.delivery.forge import Forge, forge_for
from selfheal.delivery.workshop import Identity, Workshop
from selfheal.errors import RepositoryError


def repository_of(workspace: Workspace) -> Path:
    """The repository under repair. Raises RepositoryError where the run has none."""
    if workspace.repository is None:
        raise RepositoryError(
            "the run has no repository to deliver to.", hint="Name one with --repo."
        )
    return workspace.repository


def forge_of(workspace: Workspace, config: DeployConfig) -> Forge:
    """The forge behind ``deploy.remote``. Raises RepositoryError where there is none."""
    return forge_for(repository_of(workspace), config.remote)


def workshop_of(workspace: Workspace, config: DeployConfig) -> Workshop:
    """A scratch repository in the beat's folder.

    Commits are dated when the run was made, so that a resumed run makes the same ones.
    """
    seconds = int(datetime.fromisoformat(workspace.started_at).timestamp())
    identity = Identity(config.author_name, config.author_email, f"@{seconds} +0000")
    return Workshop(workspace.folder / "scratch.git", repository_of(workspace), identity)
