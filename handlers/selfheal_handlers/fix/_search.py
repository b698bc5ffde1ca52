"""The search for edits that make failing tests pass, for all problems that have such tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from selfheal.config import FixConfig, TestsConfig
from selfheal.repair import Problem, propose
from selfheal.sandbox.search import search_all, workers
from selfheal.sandbox.search_lanes import Lanes
from selfheal.sandbox.search_model import SearchReport
from selfheal.sandbox.suite import is_pytest

SEARCH = "search"


def searches(
    problems: Sequence[Problem], repository: Path, folder: Path, tests: TestsConfig, fix: FixConfig
) -> list[SearchReport]:
    """One report for every problem that a failing test shows, if the search is wanted."""
    shown = [each for each in problems if each.diagnosis.kind == "error" and each.failing_tests]
    wanted = not fix.strategies or SEARCH in fix.strategies
    if not wanted or not is_pytest(tests) or not fix.search.candidates:
        return []
    found: list[SearchReport] = []
    for commit in sorted({problem.base_commit for problem in shown}):
        own = [problem for problem in shown if problem.base_commit == commit]
        failing = [test for problem in own for test in problem.failing_tests]
        given = {problem.diagnosis.id: propose(problem, fix.strategies) for problem in own}
        with Lanes(
            repository,
            commit,
            folder / f"search-{commit[:12]}",
            tests,
            failing,
            count=workers(fix.search),
            seconds=fix.search.seconds,
        ) as lanes:
            found += search_all(own, given, lanes, fix.search)
    return found
