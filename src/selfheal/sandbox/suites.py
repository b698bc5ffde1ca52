"""A project's suite in checkouts of its commits: without any patch, and held against that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from selfheal.artifacts import Candidate
from selfheal.artifacts.validation import Check
from selfheal.config import TestsConfig, ValidateConfig
from selfheal.sandbox import runner
from selfheal.sandbox.checks import state_verdict, suite_check
from selfheal.sandbox.suite import SuiteResult, run_suite
from selfheal.sandbox.worktree import Worktree

T = TypeVar("T")

RERUN_AT_MOST = 20
# Flaky tests are few: a patch that breaks more has broken them.
UNSTEADY_AT_MOST = 3
# With a patch a suite may take longer by this than without one; a busy machine counts for both.
LONGER, AT_LEAST_SECONDS = 10.0, 90.0


@dataclass
class Suites:
    """Runs a suite in checkouts below `folder`; safe to use from several threads.

    What belongs to a commit is run once and remembered; `baselines` are suites that are known
    already. `incident` are the tests of the suite that show the troubles under repair: they
    fail before, perhaps without end. `seconds` keeps how long each run took.
    """

    repository: Path
    folder: Path
    tests: TestsConfig
    config: ValidateConfig
    baselines: Mapping[str, SuiteResult] = field(default_factory=dict)
    incident: Sequence[str] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    _known: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    _locks: dict[tuple[Any, ...], threading.Lock] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def checkout(
        self, commit: str, patch: str | None = None, only: Sequence[str] = ()
    ) -> Iterator[Worktree]:
        """A work tree of `commit` with a patch, or with its files `only`, applied."""
        with self._guard:
            folder = self.folder / f"tree-{next(self._numbers)}"
        with Worktree(self.repository, commit, folder) as worktree:
            if patch is not None:
                worktree.apply(patch, only=only)
            yield worktree

    def baseline(self, commit: str) -> SuiteResult:
        """The suite of a commit without any patch."""
        if commit in self.baselines:
            return self.baselines[commit]

        def compute() -> SuiteResult:
            with self.checkout(commit) as worktree:
                return self._run(worktree, f"suite of {commit}", without=self.incident)

        return self._once(("baseline", commit), compute)

    def limit(self, commit: str) -> float:
        """The seconds for the suite of a commit with a patch: by its time without one.

        At the most the configured ones; these where its own time is not known.
        """
        most, known = self.config.timeout_seconds, self.baseline(commit).seconds
        return min(most, AT_LEAST_SECONDS + LONGER * known) if known else most

    def endless(self, commit: str) -> Check | None:
        """The check of every candidate where the suite does not even end without a patch."""
        known = self.baseline(commit)
        if known.state != "timed_out":
            return None
        why = (
            f"without any patch it does not end within {self.config.timeout_seconds:g} s "
            "(validate.timeout_seconds): nothing can be proven by it"
        )
        return Check(name="suite", verdict="timed_out", summary=why)

    def _run(
        self,
        worktree: Worktree,
        name: str,
        *,
        select: Sequence[str] = (),
        first: Sequence[str] = (),
        without: Sequence[str] = (),
        repeat: Sequence[str] = (),
        coverage: bool = False,
        timeout_seconds: float | None = None,
    ) -> SuiteResult:
        result = run_suite(
            worktree,
            self.tests,
            select=select,
            first=first,
            without=without,
            repeat=repeat,
            runs=self.config.shuffled_runs,
            coverage=coverage,
            timeout_seconds=timeout_seconds or self.config.timeout_seconds,
            memory_megabytes=self.config.memory_megabytes,
        )
        self.seconds[name] = round(result.seconds, 3)
        return result

    def _judge_suite(self, candidate: Candidate, suite: SuiteResult, worktree: Worktree) -> Check:
        name, known = "suite", self.baseline(candidate.base_commit)
        if suite.state in ("timed_out", "error", "no_tests"):
            return Check(name=name, verdict=state_verdict(suite), summary=suite.note or suite.state)
        fresh = [
            test
            for test in sorted(suite.broken - known.broken)
            if not runner.is_among(test, list(self.incident))
        ]
        broken = self._confirmed(candidate, fresh, worktree)
        flaky = self._unsteady(candidate.base_commit, broken)
        return suite_check(suite, known, fresh, [test for test in broken if test not in flaky])

    def _confirmed(
        self, candidate: Candidate, fresh: Sequence[str], worktree: Worktree
    ) -> list[str]:
        """Those new failures that fail again on their own: the others are flaky."""
        if not _rerunnable(fresh):
            return list(fresh)
        again = self._run(worktree, f"new failures of {candidate.id}", select=fresh)
        return [test for test in fresh if again.outcome(test) != "passed"]

    def _unsteady(self, commit: str, tests: Sequence[str]) -> list[str]:
        """Those tests that alone and without any patch sometimes pass and sometimes fail."""

        def look(test: str) -> bool:
            with self.checkout(commit) as worktree:
                found = self._run(worktree, f"{test} at {commit}", select=[test], repeat=[test])
            seen = {found.outcome(test) == "passed"}
            if found.repeated is not None:
                passed, runs = found.repeated.passed, found.repeated.runs
                seen |= {True} if passed else set()
                seen |= {False} if passed < runs else set()
            return len(seen) == 2

        if not _rerunnable(tests) or len(tests) > UNSTEADY_AT_MOST:
            return []
        return [
            test
            for test in tests
            if self._once(("unsteady", commit, test), lambda test=test: look(test))  # type: ignore[misc]
        ]

    def _once(self, key: tuple[Any, ...], compute: Callable[[], T]) -> T:
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._known:
                self._known[key] = compute()
            value: T = self._known[key]
            return value


def _rerunnable(tests: Sequence[str]) -> bool:
    return 0 < len(tests) <= RERUN_AT_MOST and all("::" in test for test in tests)
