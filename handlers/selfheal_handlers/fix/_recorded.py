"""Making the calls again that production recorded of functions without a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from selfheal.artifacts import Anomaly, Dataset
from selfheal.config import TestsConfig
from selfheal.repair import Problem
from selfheal.repair.recorded import recorded_calls
from selfheal.sandbox.recorded import observe, spread
from selfheal.sandbox.worktree import Worktree


def with_behaviour(
    problem: Problem,
    anomalies: Sequence[Anomaly],
    dataset: Dataset,
    repository: Path,
    folder: Path,
    tests: TestsConfig,
) -> Problem:
    """The problem with what the recorded calls of its function do at its commit.

    Only where a test is missing and the recorder wrote calls of the function.
    """
    if problem.diagnosis.kind != "coverage":
        return problem
    release = next((each.detector.window.candidate_release for each in anomalies), None)
    records = recorded_calls(problem.diagnosis, release, dataset)
    if not records.calls and not records.unused:
        return problem
    with Worktree(
        repository, problem.base_commit, folder / f"calls-{problem.diagnosis.id}"
    ) as tree:
        found = observe(tree.path, tests, records)
        if found.calls:
            found = found.model_copy(update={"spread": spread(tree.path, tests, found)})
    return problem.model_copy(update={"recorded": found})
