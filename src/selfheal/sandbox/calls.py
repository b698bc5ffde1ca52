"""Making calls again: those recorded of functions without a test, and those that raise an error."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from selfheal.artifacts import Anomaly, Dataset
from selfheal.config import TestsConfig
from selfheal.repair import Problem
from selfheal.repair.recorded import RecordedCall, own_name, recorded_calls
from selfheal.sandbox.crash import Called, Crash, Target, called_by_tests, crashing_calls
from selfheal.sandbox.recorded import observe, spread
from selfheal.sandbox.worktree import Worktree

AT_ONCE = 2


@dataclass(frozen=True)
class Calls:
    """Where calls are known from, and where they are made again."""

    anomalies: Sequence[Anomaly]
    dataset: Dataset
    repository: Path
    folder: Path
    tests: TestsConfig

    def behaviour(self, problem: Problem) -> Problem:
        """The problem with what the recorded calls of its untested function do, if there are any."""
        if problem.diagnosis.kind != "coverage":
            return problem
        records = recorded_calls(problem.diagnosis, self._release(problem), self.dataset)
        if not records.calls and not records.unused:
            return problem
        with self._tree(problem.base_commit, f"calls-{problem.diagnosis.id}") as tree:
            found = observe(tree.path, self.tests, records)
            around = spread(tree.path, self.tests, found)
        return problem.model_copy(update={"recorded": found.model_copy(update={"spread": around})})

    def by_tests(self, commit: str, problems: Sequence[Problem]) -> Called:
        """What the suite calls the functions on the way to errors with, by one run of it."""
        targets = list(dict.fromkeys(each for problem in problems for each in targets_of(problem)))
        with self._tree(commit, f"calls-{commit[:12]}") as tree:
            return called_by_tests(tree.path, self.tests, targets)

    def crashing(self, problem: Problem, crash: Crash, by_tests: Called) -> Problem:
        """The problem with calls that raise its error, or with the reason why none is known."""
        targets = targets_of(problem)
        known = {each: self._recorded(problem, each) for each in targets}
        with self._tree(problem.base_commit, f"calls-{problem.diagnosis.id}") as tree:
            found = crashing_calls(tree.path, self.tests, crash, targets, by_tests, known)
        return problem.model_copy(update={"recorded": found})

    def _recorded(self, problem: Problem, target: Target) -> list[RecordedCall]:
        """Production's calls of a function that ended in the exception."""
        accused = problem.diagnosis.locations[0].model_copy(
            update={"file": target.file, "function": target.function}
        )
        diagnosis = problem.diagnosis.model_copy(update={"locations": [accused]})
        calls = recorded_calls(diagnosis, self._release(problem), self.dataset).calls
        return [call for call in calls if own_name(call.exception) == problem.exception]

    def _release(self, problem: Problem) -> str | None:
        own = [each for each in self.anomalies if each.id in problem.diagnosis.anomaly_ids]
        return next((each.detector.window.candidate_release for each in own), None)

    def _tree(self, commit: str, name: str) -> Worktree:
        return Worktree(self.repository, commit, self.folder / name)


def with_behaviour(
    problems: Sequence[Problem], calls: Calls, *, requested: Sequence[bool]
) -> list[Problem]:
    """The problems, some of them with what calls of a function of theirs do.

    Those are the ones in which a test is missing and the recorder wrote calls, and errors
    that no failing test shows and for which no request was recorded (`requested` is False).
    Two are looked at at a time; the suite is run once a commit.
    """
    crashes = [
        None if asked and problem.client else crash_of(problem)
        for problem, asked in zip(problems, requested, strict=True)
    ]
    raised = [each for each, crash in zip(problems, crashes, strict=True) if crash is not None]
    by_tests = {
        commit: calls.by_tests(commit, [each for each in raised if each.base_commit == commit])
        for commit in sorted({each.base_commit for each in raised})
    }

    def one(problem: Problem, crash: Crash | None) -> Problem:
        if crash is None:
            return calls.behaviour(problem)
        return calls.crashing(problem, crash, by_tests[problem.base_commit])

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return list(pool.map(one, problems, crashes))


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
