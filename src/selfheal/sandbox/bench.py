"""The bench on which a candidate's tests are run: before, after, and against the old suite."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from selfheal.artifacts import Candidate
from selfheal.artifacts.patch import RecordedRequest
from selfheal.artifacts.validation import Check, CheckVerdict
from selfheal.config import TestsConfig, ValidateConfig
from selfheal.errors import RepositoryError
from selfheal.sandbox.changes import ChangedFile, changed_files
from selfheal.sandbox.documentation import link_targets
from selfheal.sandbox.evidence import AppliedCandidate, Subject, TestedCandidate, passed
from selfheal.sandbox.suite import SuiteResult, run_suite, runs_in_order
from selfheal.sandbox.weakening import weakenings
from selfheal.sandbox.work import Work, measure_works
from selfheal.sandbox.worktree import Worktree

T = TypeVar("T")

RERUN_AT_MOST = 20


@dataclass
class Bench:
    """Runs a candidate's tests in checkouts below `folder`; safe to use from several threads.

    What belongs to the base commit (its own suite, the new test without the fix, its
    work) is run once and remembered; `baselines` are suites that are known already.
    `seconds` keeps how long each run took.
    """

    repository: Path
    folder: Path
    tests: TestsConfig
    config: ValidateConfig
    baselines: Mapping[str, SuiteResult] = field(default_factory=dict)
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

    def apply(self, candidate: Candidate) -> AppliedCandidate:
        """Whether the patch applies, what it changes, and whether it weakens a test."""
        with self.checkout(candidate.base_commit) as worktree:
            try:
                worktree.apply(candidate.patch)
            except RepositoryError as error:
                check = Check(name="applies", verdict="failed", summary=error.message)
                return AppliedCandidate(candidate_id=candidate.id, checks=[check])
            files = changed_files(worktree)
            linked = {path: _text(worktree.path / path) for path in link_targets(files)}
        return AppliedCandidate(
            candidate_id=candidate.id,
            checks=[_applies(candidate), _not_weakened(files)],
            files=files,
            linked=linked,
        )

    def prove(
        self, candidate: Candidate, subject: Subject, files: Sequence[ChangedFile]
    ) -> TestedCandidate:
        """The regression test without and with the fix, then the whole suite.

        `files` are what the candidate changes. The suite is not run where the regression
        test says no: that test runs first, in the process that then runs the suite.
        """
        refused = self._shows_nothing(candidate, subject, files)
        if refused is not None:
            return TestedCandidate(candidate_id=candidate.id, checks=[refused])
        with self.checkout(candidate.base_commit, candidate.patch) as worktree:
            suite = self._suite(worktree, f"suite of {candidate.id}", first=subject.test)
            checks = [self._regression(candidate, subject, suite, worktree)]
            if not passed(checks):
                return TestedCandidate(candidate_id=candidate.id, checks=checks)
            checks.append(self._judge_suite(candidate, suite, worktree))
        return _tested(candidate, checks, suite, files)

    def prove_whole(
        self, composition: Candidate, subjects: Sequence[Subject], files: Sequence[ChangedFile]
    ) -> TestedCandidate:
        """The whole suite of a composition, all regression tests of its parts among it.

        That those fail without a fix was proven with each part.
        """
        with self.checkout(composition.base_commit, composition.patch) as worktree:
            suite = self._suite(worktree, f"suite of {composition.id}")
            checks = [_passes_in(suite, subject) for subject in subjects]
            checks.append(self._judge_suite(composition, suite, worktree))
        return _tested(composition, checks, suite, files)

    def baseline(self, commit: str) -> SuiteResult:
        """The suite of a commit without any patch."""
        if commit in self.baselines:
            return self.baselines[commit]

        def compute() -> SuiteResult:
            with self.checkout(commit) as worktree:
                return self._run(worktree, f"suite of {commit}")

        return self._once(("baseline", commit), compute)

    def work(self, commit: str, patch: str | None, subject: Subject) -> Work:
        """The counted work of the subject's first session at a commit, with a patch or without."""

        return self.works(commit, patch, [subject])[0]

    def works(self, commit: str, patch: str | None, subjects: Sequence[Subject]) -> list[Work]:
        """`work` of several subjects by one start of the tests; `work` then knows them."""
        keys = [("work", commit, patch, subject.diagnosis_id) for subject in subjects]
        with self._guard:
            new = [
                subject
                for key, subject in zip(keys, subjects, strict=True)
                if key not in self._known
            ]

        def compute() -> list[Work]:
            sessions = [subject.sessions[0] if subject.sessions else [] for subject in new]
            with self.checkout(commit, patch) as worktree:
                return self._measured(worktree, sessions)

        if new:
            names = tuple(subject.diagnosis_id for subject in new)
            for subject, found in zip(
                new, self._once(("works", commit, patch, names), compute), strict=True
            ):
                self._known["work", commit, patch, subject.diagnosis_id] = found
        return [self._known[key] for key in keys]

    def timed(
        self, worktree: Worktree, requests: Sequence[RecordedRequest], repetitions: int
    ) -> list[float]:
        """Seconds of answers to the last request by the test client; empty if it has none."""
        return self._measured(worktree, [requests], repetitions)[0].seconds

    def _measured(
        self,
        worktree: Worktree,
        sessions: Sequence[Sequence[RecordedRequest]],
        repetitions: int = 0,
    ) -> list[Work]:
        return measure_works(
            worktree,
            self.tests,
            sessions,
            repetitions=repetitions,
            timeout_seconds=self.config.timeout_seconds,
            memory_megabytes=self.config.memory_megabytes,
        )

    def coverage_report(
        self, commit: str, patch: str | None, select: Sequence[str], report: Path
    ) -> None:
        """Keep coverage.py's JSON report of a suite, or of selected tests, at `report`.

        There is no such file afterwards where coverage cannot be measured.
        """
        with self.checkout(commit, patch) as worktree:
            run_suite(
                worktree,
                self.tests,
                select=select,
                coverage=True,
                timeout_seconds=self.config.timeout_seconds,
                memory_megabytes=self.config.memory_megabytes,
                keep=report,
            )

    def _suite(self, worktree: Worktree, name: str, first: str | None = None) -> SuiteResult:
        if first is not None and not runs_in_order(self.tests):
            alone = self._run(worktree, f"{first} in {name}", select=[first])
            if alone.outcome(first) != "passed":
                return alone
        return self._run(worktree, name, first=first, coverage=True)

    def _run(
        self,
        worktree: Worktree,
        name: str,
        *,
        select: Sequence[str] = (),
        first: str | None = None,
        coverage: bool = False,
    ) -> SuiteResult:
        result = run_suite(
            worktree,
            self.tests,
            select=select,
            first=first,
            coverage=coverage,
            timeout_seconds=self.config.timeout_seconds,
            memory_megabytes=self.config.memory_megabytes,
        )
        self.seconds[name] = round(result.seconds, 3)
        return result

    def _shows_nothing(
        self, candidate: Candidate, subject: Subject, files: Sequence[ChangedFile]
    ) -> Check | None:
        """The failed check of a regression test that does not fail without the fix."""
        name, test = "regression_test", subject.test
        if test is None or subject.kind == "coverage":
            return None
        before = self._before(candidate, test, files)
        if before.state in ("timed_out", "error"):
            why = f"{test} could not be run without the fix: {before.note}"
            return Check(name=name, verdict=_verdict(before), summary=why)
        if not any(failed.partition("[")[0] == test for failed in before.failed):
            why = f"{test} is {before.outcome(test)} without the fix: it shows nothing"
            return Check(name=name, verdict="failed", summary=why)
        return None

    def _regression(
        self, candidate: Candidate, subject: Subject, suite: SuiteResult, worktree: Worktree
    ) -> Check:
        """The regression test with the fix, as it came out at the head of the suite."""
        name, test = "regression_test", subject.test
        if test is None:
            why = subject.test_unavailable or "there is no regression test"
            return Check(name=name, verdict="unavailable", summary=why, required=False)
        outcome, ended = suite.outcome(test), suite
        if outcome == "absent" and not suite.first_passed and suite.state != "timed_out":
            # The suite does not hold it, or could not be collected: then it runs alone.
            ended = self._run(worktree, f"{test} with {candidate.id}", select=[test])
            outcome = ended.outcome(test) if ended.state == "passed" else "failed"
        if outcome == "passed" or (outcome == "absent" and suite.first_passed):
            how = (
                "passes" if subject.kind == "coverage" else "fails without the fix, passes with it"
            )
            return Check(name=name, verdict="passed", summary=f"{test} {how}", counts={"tests": 1})
        verdict: CheckVerdict = "timed_out" if ended.state == "timed_out" else "failed"
        told = ended.note if ended.state in ("timed_out", "error", "no_tests") else ""
        why = f"{test} {told or 'still fails'} with the fix"
        return Check(name=name, verdict=verdict, summary=why)

    def _before(self, candidate: Candidate, test: str, files: Sequence[ChangedFile]) -> SuiteResult:
        """The new test without the fix: only the test files of the patch on its base."""
        tests = [file for file in files if file.role == "test"]

        def compute() -> SuiteResult:
            patch = candidate.patch if tests else None
            only = [file.path for file in tests]
            with self.checkout(candidate.base_commit, patch, only) as worktree:
                return self._run(worktree, f"{test} without a fix", select=[test])

        texts = tuple((file.path, file.after) for file in tests)
        return self._once(("before", candidate.base_commit, test, texts), compute)

    def _judge_suite(self, candidate: Candidate, suite: SuiteResult, worktree: Worktree) -> Check:
        name, known = "suite", self.baseline(candidate.base_commit)
        if suite.state in ("timed_out", "error", "no_tests"):
            return Check(name=name, verdict=_verdict(suite), summary=suite.note or suite.state)
        fresh = sorted(suite.broken - known.broken)
        broken = self._confirmed(candidate, fresh, worktree)
        ran = {*suite.passed, *suite.failed, *suite.errors, *suite.skipped}
        lost = sorted(set(known.passed) - ran)
        counts = {
            "passed": len(suite.passed) + len(fresh) - len(broken),
            "skipped": len(suite.skipped),
            "new_failures": len(broken),
            "known_failures": len(suite.broken & known.broken),
        }
        if broken:
            why = f"{len(broken)} tests fail that passed before: {_some(broken)}"
        elif lost:
            why = f"{len(lost)} tests are no longer run: {_some(lost)}"
        elif not suite.passed:
            why = "no test passes"
        else:
            why = f"{counts['passed']} tests pass, no new failure"
            if counts["known_failures"]:
                why += f", {counts['known_failures']} failed before and still do"
            return Check(name=name, verdict="passed", summary=why, counts=counts)
        return Check(name=name, verdict="failed", summary=why, counts=counts)

    def _confirmed(
        self, candidate: Candidate, fresh: Sequence[str], worktree: Worktree
    ) -> list[str]:
        """Those new failures that fail again on their own: the others are flaky."""
        rerunnable = fresh and len(fresh) <= RERUN_AT_MOST and all("::" in test for test in fresh)
        if not rerunnable:
            return list(fresh)
        again = self._run(worktree, f"new failures of {candidate.id}", select=fresh)
        return [test for test in fresh if again.outcome(test) != "passed"]

    def _once(self, key: tuple[Any, ...], compute: Callable[[], T]) -> T:
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._known:
                self._known[key] = compute()
            value: T = self._known[key]
            return value


def _passes_in(suite: SuiteResult, subject: Subject) -> Check:
    name, test = "regression_test", subject.test
    if test is None:
        why = subject.test_unavailable or "there is no regression test"
        return Check(name=name, verdict="unavailable", summary=why, required=False)
    outcome = suite.outcome(test)
    verdict: CheckVerdict = "passed" if outcome == "passed" else "failed"
    if suite.state in ("timed_out", "error"):
        verdict = _verdict(suite)
    why = f"{test} {outcome} with all fixes"
    return Check(name=name, verdict=verdict, summary=why, counts={"tests": 1})


def _tested(
    candidate: Candidate, checks: list[Check], suite: SuiteResult, files: Sequence[ChangedFile]
) -> TestedCandidate:
    coverage = None if suite.coverage is None else _of_changed_lines(suite.coverage, files)
    return TestedCandidate(
        candidate_id=candidate.id, checks=checks, coverage=coverage, coverage_note=suite.note
    )


def coverage_check(tested: TestedCandidate, minimum: float) -> Check:
    """How many of the changed executable lines the suite runs; required where a minimum is set."""
    name, required = "changed_coverage", minimum > 0
    if tested.coverage is None:
        why = tested.coverage_note or "coverage was not measured"
        return Check(name=name, verdict="unavailable", summary=why, required=required)
    lines = [ran for file in tested.coverage.values() for ran in file.values()]
    counts = {"executable": len(lines), "covered": sum(lines)}
    if not lines:
        why = "the patch adds no executable line"
        return Check(name=name, verdict="passed", summary=why, required=required, counts=counts)
    enough = sum(lines) >= minimum * len(lines)
    why = f"{sum(lines)} of {len(lines)} changed executable lines are run by the tests"
    verdict: CheckVerdict = "passed" if enough else "failed"
    return Check(name=name, verdict=verdict, summary=why, required=required, counts=counts)


def _of_changed_lines(
    coverage: dict[str, dict[int, bool]], files: Sequence[ChangedFile]
) -> dict[str, dict[int, bool]]:
    found = {}
    for file in files:
        measured = coverage.get(file.path, {}) if file.role == "code" else {}
        changed = {line: measured[line] for line in file.added_lines if line in measured}
        if changed:
            found[file.path] = changed
    return found


def _applies(candidate: Candidate) -> Check:
    why = f"git apply takes it on {candidate.base_commit[:12]}"
    return Check(
        name="applies", verdict="passed", summary=why, counts={"files": len(candidate.files)}
    )


def _not_weakened(files: Sequence[ChangedFile]) -> Check:
    found = weakenings(files)
    if found:
        return Check(name="tests_not_weakened", verdict="failed", summary=_some(found))
    return Check(
        name="tests_not_weakened", verdict="passed", summary="no test asks less than before"
    )


def _verdict(result: SuiteResult) -> CheckVerdict:
    if result.state in ("passed", "timed_out", "error"):
        return result.state
    return "failed"


def _some(names: Sequence[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return "; ".join(names[:shown]) + more


def _text(path: Path) -> str | None:
    if not path.exists():
        return None
    if path.is_dir() or path.suffix.lower() not in (".md", ".markdown"):
        return ""
    return path.read_text(encoding="utf-8", errors="replace")
