"""The bench of a beat, from its workspace and configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from selfheal.config import TestsConfig, ValidateConfig
from selfheal.contract import Workspace
from selfheal.errors import RepositoryError
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.evidence import Subject
from selfheal.sandbox.suite import SuiteResult


def bench_of(
    workspace: Workspace,
    tests: TestsConfig,
    config: ValidateConfig,
    baselines: Mapping[str, SuiteResult] | None = None,
    subjects: Sequence[Subject] = (),
) -> Bench:
    """A bench in the beat's own folder, with the suites that are known already.

    The suite's tests that show the troubles of `subjects` are kept apart from the rest.

    Raises RepositoryError where the run has no repository.
    """
    repository = repository_of(workspace)
    incident = sorted({test for subject in subjects for test in subject.tests})
    return Bench(
        repository, workspace.folder, tests, config, baselines=baselines or {}, incident=incident
    )


def repository_of(workspace: Workspace) -> Path:
    """The repository under repair. Raises RepositoryError where the run has none."""
    if workspace.repository is None:
        raise RepositoryError(
            "the run has no repository to prove fixes on.", hint="Name one with --repo."
        )
    return workspace.repository
