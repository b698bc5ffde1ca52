"""Making calls again: those recorded of functions without a test, and those that raise an error."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from selfheal.artifacts import Anomaly, Dataset
from selfheal.config import TestsConfig
from selfheal.repair import Problem
from selfheal.repair.recorded import RecordedCall, Records, recorded_calls
from selfheal.sandbox.crash import Crash, Target, crashing_calls
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
    *,
    requested: Sequence[bool],
) -> list[Problem]:
    """The problems, some of them with what calls of a function of theirs do.

    Those are the ones in which a test is missing and the recorder wrote calls, and errors
    that no failing test shows and for which no request was recorded (`requested` is False).
    Two are looked at at a time.
    """

    def one(problem: Problem, has_requests: bool) -> Problem:
        crash = None if has_requests and problem.client else crash_of(problem)
        release = _release(problem, anomalies)
        place = folder / f"calls-{problem.diagnosis.id}"
        if crash is not None:
            targets = targets_of(problem)
            known = {each: _recorded_of(problem, each, release, dataset) for each in targets}
            with Worktree(repository, problem.base_commit, place) as tree:
                found = crashing_calls(tree.path, tests, crash, targets, known)
            return problem.model_copy(update={"recorded": found})
        records = Records()
        if problem.diagnosis.kind == "coverage":
            records = recorded_calls(problem.diagnosis, release, dataset)
        if not records.calls and not records.unused:
            return problem
        with Worktree(repository, problem.base_commit, place) as tree:
            found = observe(tree.path, tests, records)
            around = spread(tree.path, tests, found)
        return problem.model_copy(update={"recorded": found.model_copy(update={"spread": around})})

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return list(pool.map(one, problems, requested))


def crash_of(problem: Problem) -> Crash | None:
    """What has to be raised where, for an error that no test of the suite shows."""
    frames = problem.diagnosis.evidence.get("frames") or []
    if problem.diagnosis.kind != "error" or problem.failing_tests or not frames:
        return None
    inner = frames[0]
    return Crash(problem.exception, problem.message, str(inner["file"]), int(inner["line"]))


def targets_of(problem: Problem) -> list[Target]:
    """The accused functions, the innermost of the traceback first."""
    return [Target(each.source.path, each.qualified_name) for each in problem.places()]


def _release(problem: Problem, anomalies: Sequence[Anomaly]) -> str | None:
    own = [each for each in anomalies if each.id in problem.diagnosis.anomaly_ids]
    return next((each.detector.window.candidate_release for each in own), None)


def _recorded_of(
    problem: Problem, target: Target, release: str | None, dataset: Dataset
) -> list[RecordedCall]:
    """Production's calls of a function that ended in the exception."""
    accused = problem.diagnosis.locations[0].model_copy(
        update={"file": target.file, "function": target.function}
    )
    diagnosis = problem.diagnosis.model_copy(update={"locations": [accused]})
    calls = recorded_calls(diagnosis, release, dataset).calls
    named = [(call, (call.exception or "").rpartition(":")[2].rpartition(".")[2]) for call in calls]
    return [call for call, name in named if name == problem.exception]
