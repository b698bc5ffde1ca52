"""The search for edits that make failing tests pass, for all problems that have such tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from selfheal.config import FixConfig, SearchConfig, TestsConfig
from selfheal.repair import Edit, Problem, propose, regression_test
from selfheal.sandbox.search import search_all, workers
from selfheal.sandbox.search_lanes import Lanes
from selfheal.sandbox.search_model import SearchReport

SEARCH = "search"


def searches(
    problems: Sequence[Problem], repository: Path, folder: Path, tests: TestsConfig, fix: FixConfig
) -> list[SearchReport]:
    """One report for every error that a test shows, if the search is wanted.

    Where the suite has no such test, it is the one that is made of recorded requests: then
    few edits are tried, and none of the search's where one of a strategy heals. Whatever
    command the suite is run by, pytest runs those tests here: it is not the proof.
    """
    wanted = not fix.strategies or SEARCH in fix.strategies
    if not wanted or not fix.search.candidates:
        return []
    errors = [each for each in problems if each.diagnosis.kind == "error"]
    shown = [each for each in errors if each.failing_tests]
    made = [new for each in errors if not each.failing_tests and (new := _made(each))]
    few = fix.search.model_copy(update={"candidates": fix.search.recorded, "pairs": 0, "enough": 1})
    found: list[SearchReport] = []
    for commit in sorted({problem.base_commit for problem in errors}):
        here = _Place(repository, commit, folder, tests)
        own = [each for each in shown if each.base_commit == commit]
        if own:
            given = {each.diagnosis.id: propose(each, fix.strategies) for each in own}
            found += here.search("search", own, given, {}, fix.search)
        recorded = [each for each in made if each.problem.base_commit == commit]
        if recorded and few.candidates:
            added = {each.path: each.text for each in recorded}
            given = {each.problem.diagnosis.id: each.given(fix.strategies) for each in recorded}
            own = [each.problem for each in recorded]
            reports = here.search("recorded", own, given, added, few)
            found += [_own(report, given[report.told.diagnosis_id]) for report in reports]
    return found


class _Made(NamedTuple):
    """A problem as its regression test shows it, with that test, and as it is."""

    problem: Problem
    original: Problem
    path: str
    text: str

    def given(self, strategies: Sequence[str]) -> list[Edit]:
        return propose(self.original, strategies)


def _made(problem: Problem) -> _Made | None:
    test = regression_test(problem)
    path, name = test.reproducer.test_file, test.reproducer.test_name
    if test.text is None or path is None:
        return None
    evidence = problem.diagnosis.evidence | {"failing_tests": [f"{path}::{name}"]}
    diagnosis = problem.diagnosis.model_copy(update={"evidence": evidence})
    return _Made(problem.model_copy(update={"diagnosis": diagnosis}), problem, path, test.text)


class _Place(NamedTuple):
    repository: Path
    commit: str
    folder: Path
    tests: TestsConfig

    def search(
        self,
        name: str,
        problems: Sequence[Problem],
        given: Mapping[str, Sequence[Edit]],
        added: Mapping[str, str],
        limits: SearchConfig,
    ) -> list[SearchReport]:
        failing = [test for problem in problems for test in problem.failing_tests]
        folder = self.folder / f"{name}-{self.commit[:12]}"
        with Lanes(
            self.repository,
            self.commit,
            folder,
            self.tests,
            failing,
            count=workers(limits),
            seconds=limits.seconds,
            added=added,
        ) as lanes:
            return search_all(problems, given, lanes, limits)


def _own(report: SearchReport, given: Sequence[Edit]) -> SearchReport:
    """What the search itself found: edits of strategies keep the fit that they have.

    What fell in forks is given up only where something else heals.
    """
    known = [(edit.splices, edit.files) for edit in given]
    own = [edit for edit in report.plausible if (edit.splices, edit.files) not in known]
    fallen = report.fallen if report.told.plausible else {}
    return report.model_copy(update={"plausible": own, "fallen": fallen})
