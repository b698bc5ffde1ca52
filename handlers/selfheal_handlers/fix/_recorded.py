"""Making the calls again that production recorded of functions without a test."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from selfheal.artifacts import Anomaly, Dataset
from selfheal.config import TestsConfig
from selfheal.repair import Problem
from selfheal.repair.recorded import Records, recorded_calls
from selfheal.sandbox.recorded import observe, spread
from selfheal.sandbox.worktree import Worktree

AT_ONCE = 2


def with_behaviour(
    problems: Sequence[Problem],
    anomalies: Sequence[Anomaly],
    dataset: Dataset,
    repository: Path,
    folder: Path,
    tests: TestsConfig,
) -> list[Problem]:
    """The problems, some of them with what the recorded calls of their function do.

    Those are the ones in which a test is missing and the recorder wrote calls; two are
    looked at at a time.
    """

    def one(problem: Problem) -> Problem:
        records = _records(problem, anomalies, dataset)
        if not records.calls and not records.unused:
            return problem
        place = folder / f"calls-{problem.diagnosis.id}"
        with Worktree(repository, problem.base_commit, place) as tree:
            found = observe(tree.path, tests, records)
            around = spread(tree.path, tests, found)
        return problem.model_copy(update={"recorded": found.model_copy(update={"spread": around})})

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return list(pool.map(one, problems))


def _records(problem: Problem, anomalies: Sequence[Anomaly], dataset: Dataset) -> Records:
    if problem.diagnosis.kind != "coverage":
        return Records()
    own = [each for each in anomalies if each.id in problem.diagnosis.anomaly_ids]
    release = next((each.detector.window.candidate_release for each in own), None)
    return recorded_calls(problem.diagnosis, release, dataset)
