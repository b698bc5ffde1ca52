"""The bench of a beat, from its workspace and configuration."""

from __future__ import annotations

from pathlib import Path

from selfheal.config import TestsConfig, ValidateConfig
from selfheal.contract import Workspace
from selfheal.errors import RepositoryError
from selfheal.sandbox.bench import Bench


def bench_of(workspace: Workspace, tests: TestsConfig, config: ValidateConfig) -> Bench:
    """A bench in the beat's own folder. Raises RepositoryError where the run has no repository."""
    return Bench(repository_of(workspace), workspace.folder, tests, config)


def repository_of(workspace: Workspace) -> Path:
    """The repository under repair. Raises RepositoryError where the run has none."""
    if workspace.repository is None:
        raise RepositoryError(
            "the run has no repository to prove fixes on.", hint="Name one with --repo."
        )
    return workspace.repository
