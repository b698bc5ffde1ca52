"""What the proof of a candidate is made of, as it passes between the beats of the phase."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from selfheal.artifacts import Model
from selfheal.artifacts.model import AnomalyKind
from selfheal.artifacts.patch import RecordedRequest
from selfheal.artifacts.validation import CandidateVerdict, Check
from selfheal.sandbox.changes import ChangedFile
from selfheal.sandbox.suite import SuiteResult

CHECKS = (
    "applies",
    "tests_not_weakened",
    "regression_test",
    "answer",
    "shuffled_runs",
    "suite",
    "examples",
    "mutants",
    "behaviour",
    "changed_coverage",
    "detector",
    "speed",
    "documentation",
)


# Told only where a regression test leaves it open which answer is right.
ANSWER = "answer"
# What may not have been asked of a candidate that passes.
OPTIONAL_CHECKS = ("shuffled_runs", "examples", "mutants", "behaviour")


class Untested(Model):
    """A function that no test runs: its file and name, and a line of it."""

    file: str
    function: str
    line: int


class Subject(Model):
    """One diagnosis as the proof needs it.

    `candidate_ids` are in the order of rank, at most as many as may be tried;
    `left_out` are the rest. Commits are of the bad release, which candidates apply to,
    and of the good one, if known. `test` is the node id of the regression test, None
    where there is none (`test_unavailable` says why); `untold` is what that test cannot tell. `tests` are all tests that were in
    the suite already and show the trouble. `sessions` are recorded requests
    to replay, the last of each one judged. `untested` are the functions that need a test.
    """

    diagnosis_id: str
    kind: AnomalyKind
    operation: str
    anomaly_ids: list[str]
    candidate_ids: list[str]
    left_out: list[str] = Field(default_factory=list)
    bad_commit: str
    good_commit: str | None = None
    test: str | None = None
    tests: list[str] = Field(default_factory=list)
    test_unavailable: str | None = None
    untold: str | None = None
    sessions: list[list[RecordedRequest]] = Field(default_factory=list)
    untested: list[Untested] = Field(default_factory=list)

    @property
    def shown_by(self) -> list[str]:
        """The tests that fail without a fix and pass with it."""
        return self.tests or ([self.test] if self.test is not None else [])


class Subjects(Model):
    """All diagnoses with candidates, gravest first, and how their code will be confined."""

    subjects: list[Subject]
    isolation: str

    @property
    def summary(self) -> str:
        count = sum(len(subject.candidate_ids) for subject in self.subjects)
        return f"{count} candidates for {len(self.subjects)} diagnoses; {self.isolation}"


class AppliedCandidate(Model):
    """A candidate on its base. `linked` holds what its documentation links to, None if missing."""

    candidate_id: str
    checks: list[Check]
    files: list[ChangedFile] = Field(default_factory=list)
    linked: dict[str, str | None] = Field(default_factory=dict)


class Applied(Model):
    """The candidates as changed files, by id."""

    candidates: dict[str, AppliedCandidate]

    @property
    def summary(self) -> str:
        sound = sum(passed(candidate.checks) for candidate in self.candidates.values())
        return f"{sound} of {len(self.candidates)} candidates apply and weaken no test"


class TestedCandidate(Model):
    """A candidate after its tests; `coverage` says of changed executable lines whether they ran.

    `switched_off` are conditions of a small edit behind which no test goes any more.
    """

    __test__ = False

    candidate_id: str
    checks: list[Check]
    coverage: dict[str, dict[int, bool]] | None = None
    coverage_note: str = ""
    switched_off: list[str] = Field(default_factory=list)


class Tested(Model):
    """The candidates whose tests were run, by id.

    `baselines` are the results of the base commits' own suites, by commit.
    """

    __test__ = False

    candidates: dict[str, TestedCandidate]
    baselines: dict[str, SuiteResult] = Field(default_factory=dict)

    @property
    def summary(self) -> str:
        sound = sum(passed(candidate.checks) for candidate in self.candidates.values())
        return f"{sound} of {len(self.candidates)} candidates pass the tests"


class Checked(Model):
    """Further checks by candidate id."""

    checks: dict[str, list[Check]]

    @property
    def summary(self) -> str:
        sound = sum(passed(checks) for checks in self.checks.values())
        return f"{sound} of {len(self.checks)} candidates pass"


def passed(checks: Iterable[Check]) -> bool:
    """Whether every check that counts has passed."""
    return all(check.verdict == "passed" for check in checks if check.required)


def verdict_of(checks: Iterable[Check]) -> tuple[CandidateVerdict, str]:
    """A candidate's verdict and its reason: the first check that counts and did not pass."""
    for check in checks:
        if not check.required or check.verdict == "passed":
            continue
        named = f"{check.name}: {check.summary}"
        if check.verdict in ("timed_out", "error", "not_run"):
            return check.verdict, named
        return "failed", named
    return "passed", "every required check passed"
