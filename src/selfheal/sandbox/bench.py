"""The bench on which a candidate's tests are run: before, after, and against the old suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from selfheal.artifacts import Candidate
from selfheal.artifacts.patch import RecordedRequest
from selfheal.artifacts.validation import Check, CheckVerdict
from selfheal.errors import RepositoryError
from selfheal.sandbox import runner
from selfheal.sandbox.changes import ChangedFile, changed_files
from selfheal.sandbox.checks import (
    applies_check,
    exit_code_check,
    listed,
    mutants_check,
    passes_check,
    shuffled_check,
    state_verdict,
    tested_candidate,
    weakening_check,
)
from selfheal.sandbox.documentation import link_targets
from selfheal.sandbox.evidence import ANSWER, AppliedCandidate, Subject, TestedCandidate, passed
from selfheal.sandbox.examples import Example, examples_check, examples_kept, with_examples
from selfheal.sandbox.mutants import Mutants, changed_lines, count_killed, function_lines
from selfheal.sandbox.suite import SuiteResult, is_pytest, run_suite, runs_in_order
from selfheal.sandbox.suites import Suites
from selfheal.sandbox.tampering import refused_parts
from selfheal.sandbox.weakening import new_tests, to_restore
from selfheal.sandbox.work import Work, measure_works
from selfheal.sandbox.worktree import Worktree

# A test that fails by not ending is given this long without the fix, and with it.
HANGING_SECONDS = 20.0


@dataclass
class Bench(Suites):
    """Runs a candidate's tests, the new ones without the fix and all with it.

    Each test of the `incident` is run with the candidates for its own trouble. What the new
    tests say without the fix, and the work of a commit, are asked once and remembered.
    """

    def apply(self, candidate: Candidate) -> AppliedCandidate:
        """Whether the patch applies, what it changes, and whether it weakens a test."""
        if refused := refused_parts(candidate.patch):
            check = Check(name="applies", verdict="failed", summary=listed(refused))
            return AppliedCandidate(candidate_id=candidate.id, checks=[check])
        with self.checkout(candidate.base_commit) as worktree:
            try:
                worktree.apply(candidate.patch)
            except RepositoryError as error:
                check = Check(name="applies", verdict="failed", summary=error.message)
                return AppliedCandidate(candidate_id=candidate.id, checks=[check])
            files = changed_files(worktree)
            linked = {path: _text(worktree.path, path) for path in link_targets(files)}
        return AppliedCandidate(
            candidate_id=candidate.id,
            checks=[applies_check(candidate), weakening_check(files)],
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
        refused = refused or self.endless(candidate.base_commit)
        if refused is not None:
            return TestedCandidate(candidate_id=candidate.id, checks=[refused])
        with self.checkout(candidate.base_commit, candidate.patch) as worktree:
            worktree.restore(to_restore(files))
            others = [test for test in self.incident if test not in subject.shown_by]
            name = f"suite of {candidate.id}"
            own = sorted({*subject.shown_by, *new_tests(files)})
            suite = self._suite(worktree, name, first=subject.shown_by, without=others, repeat=own)
            checks = [self._regression(candidate, subject, suite, worktree, files)]
            if not passed(checks):
                return TestedCandidate(candidate_id=candidate.id, checks=checks)
            if subject.untold:
                checks.append(_untold(subject.untold))
            checks.append(shuffled_check(suite, self.config.shuffled_runs))
            checks.append(self._judge_suite(candidate, suite, worktree))
            if passed(checks):
                checks.append(self._examples(candidate, worktree, files))
            if passed(checks) and self.config.mutants:
                checks.append(self._mutants(worktree, own, files, subject))
        return tested_candidate(candidate, checks, suite, files)

    def _examples(
        self, candidate: Candidate, worktree: Worktree, files: Sequence[ChangedFile]
    ) -> Check:
        """What the documentation shows of the changed code, without the fix and with it."""
        texts = {each.path: each.after or "" for each in files if each.role == "code"}
        paths = with_examples(texts)
        if not paths:
            return examples_check({}, {})

        def compute() -> dict[Example, bool]:
            with self.checkout(candidate.base_commit) as before:
                there = [path for path in paths if (before.path / path).is_file()]
                return examples_kept(before.path, self.tests, there)

        known = self._once(("examples", candidate.base_commit, *paths), compute)
        return examples_check(known, examples_kept(worktree.path, self.tests, paths))

    def _mutants(
        self,
        worktree: Worktree,
        own: Sequence[str],
        files: Sequence[ChangedFile],
        subject: Subject,
    ) -> Check:
        """Faults in the changed lines; where only tests are added, in the code that they are for."""
        what = "the untested code" if subject.untested else "the fix"
        if not runs_in_order(self.tests):
            why = "the tests are not run by python -m pytest"
            return mutants_check(Mutants(unavailable=why), what)
        places = changed_lines(files)
        for each in subject.untested:
            found = function_lines(worktree.path, each.file, each.function, each.line)
            places += [found] if found else []
        killed = count_killed(
            worktree.path,
            self.tests,
            own,
            places,
            memory_megabytes=self.config.memory_megabytes,
        )
        return mutants_check(killed, what, required=bool(subject.untested))

    def prove_whole(
        self, composition: Candidate, subjects: Sequence[Subject], files: Sequence[ChangedFile]
    ) -> TestedCandidate:
        """The whole suite of a composition, all regression tests of its parts among it.

        That those fail without a fix was proven with each part.
        """
        with self.checkout(composition.base_commit, composition.patch) as worktree:
            worktree.restore(to_restore(files))
            healed = [test for subject in subjects for test in subject.shown_by]
            others = [test for test in self.incident if test not in healed]
            suite = self._suite(worktree, f"suite of {composition.id}", without=others)
            checks = [passes_check(suite, subject) for subject in subjects]
            checks.append(self._judge_suite(composition, suite, worktree))
        return tested_candidate(composition, checks, suite, files)

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

    def _suite(
        self,
        worktree: Worktree,
        name: str,
        first: Sequence[str] = (),
        without: Sequence[str] = (),
        repeat: Sequence[str] = (),
    ) -> SuiteResult:
        if first and is_pytest(self.tests) and not runs_in_order(self.tests):
            alone = self._run(worktree, f"{listed(first)} in {name}", select=first)
            if any(alone.outcome(test) != "passed" for test in first):
                return alone
        return self._run(
            worktree,
            name,
            first=first,
            without=without,
            repeat=repeat,
            coverage=True,
            timeout_seconds=self.limit(worktree.revision),
        )

    def _shows_nothing(
        self, candidate: Candidate, subject: Subject, files: Sequence[ChangedFile]
    ) -> Check | None:
        """The failed check of regression tests that do not fail without the fix."""
        name, tests = "regression_test", subject.shown_by
        if not tests or subject.kind == "coverage":
            return None
        before = self._before(candidate, subject, files)
        if subject.tests and before.state in ("timed_out", "failed", "error"):
            return None
        if before.state in ("timed_out", "error"):
            why = f"{listed(tests)} could not be run without the fix: {before.note}"
            return Check(name=name, verdict=state_verdict(before), summary=why)
        if not is_pytest(self.tests) and before.state == "failed":
            return None
        if not any(runner.is_among(failed, tests) for failed in before.failed):
            why = f"{listed(tests)} is {before.outcome(tests[0])} without the fix: it shows nothing"
            return Check(name=name, verdict="failed", summary=why)
        return None

    def _regression(
        self,
        candidate: Candidate,
        subject: Subject,
        suite: SuiteResult,
        worktree: Worktree,
        files: Sequence[ChangedFile],
    ) -> Check:
        """The regression tests with the fix, as they came out at the head of the suite."""
        name, tests = "regression_test", subject.shown_by
        if not tests:
            why = subject.test_unavailable or "there is no regression test"
            return Check(name=name, verdict="unavailable", summary=why, required=False)
        if not is_pytest(self.tests):
            return exit_code_check(suite)
        ended, hung = suite, self._hung(candidate, subject, files)
        absent = all(suite.outcome(test) == "absent" for test in tests)
        if hung or (absent and not suite.first_passed and suite.state != "timed_out"):
            # The suite does not hold them, or could not be collected; or they have to end
            # within the time in which they did not without the fix.
            ended = self._alone(f"{listed(tests)} with {candidate.id}", tests, worktree, hung)
        outcomes = {ended.outcome(test) for test in tests}
        if outcomes == {"passed"} or (outcomes == {"absent"} and suite.first_passed and not hung):
            how = "fails without the fix, passes with it"
            if hung:
                how = f"does not end within {hung:.0f} s without the fix, passes with it"
            how = "passes" if subject.kind == "coverage" else how
            why, counts = f"{listed(tests)} {how}", {"tests": len(tests)}
            return Check(name=name, verdict="passed", summary=why, counts=counts)
        verdict: CheckVerdict = "timed_out" if ended.state == "timed_out" else "failed"
        told = ended.note if ended.state in ("timed_out", "error", "no_tests") else ""
        still = [test for test in tests if ended.outcome(test) != "passed"]
        return Check(
            name=name,
            verdict=verdict,
            summary=f"{listed(still)} {told or 'still fails'} with the fix",
        )

    def _alone(
        self, name: str, tests: Sequence[str], worktree: Worktree, seconds: float | None
    ) -> SuiteResult:
        return self._run(worktree, name, select=tests, timeout_seconds=seconds)

    def _hung(
        self, candidate: Candidate, subject: Subject, files: Sequence[ChangedFile]
    ) -> float | None:
        """The seconds within which the suite's failing tests did not end without the fix."""
        if not subject.tests or self._before(candidate, subject, files).state != "timed_out":
            return None
        return min(HANGING_SECONDS, self.config.timeout_seconds)

    def _before(
        self, candidate: Candidate, subject: Subject, files: Sequence[ChangedFile]
    ) -> SuiteResult:
        """The tests without the fix: only the test files of the patch on its base."""
        changed = [file for file in files if file.role == "test"]
        tests, limit = subject.shown_by, self.config.timeout_seconds

        def compute() -> SuiteResult:
            patch = candidate.patch if changed else None
            only = [file.path for file in changed]
            with self.checkout(candidate.base_commit, patch, only) as worktree:
                name = f"{listed(tests)} without a fix"
                seconds = min(HANGING_SECONDS, limit) if subject.tests else limit
                return self._alone(name, tests, worktree, seconds)

        texts = tuple((file.path, file.after) for file in changed)
        return self._once(("before", candidate.base_commit, tuple(tests), texts), compute)


def _text(checkout: Path, relative: str) -> str | None:
    """The text of a file that a document links to; "" where it is no Markdown."""
    path = (checkout / relative).resolve()
    if not path.is_relative_to(checkout.resolve()) or not path.exists():
        return None
    if path.is_dir() or path.suffix.lower() not in (".md", ".markdown"):
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def _untold(what: str) -> Check:
    return Check(name=ANSWER, verdict="unavailable", summary=what, required=False)
