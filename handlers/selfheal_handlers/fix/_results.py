"""What passes between the beats of this phase."""

from __future__ import annotations

from pydantic import Field

from selfheal.artifacts import Candidate, Model
from selfheal.artifacts.patch import Dropped, Reproducer, Search
from selfheal.artifacts.patterns import Patterns
from selfheal.repair import Documentation, Edit, Problem, RegressionTest
from selfheal.sandbox.search_model import SearchReport


class FixRequest(Model):
    """Which diagnoses are to be repaired; `declined` says why the others are not."""

    diagnosis_ids: list[str]
    declined: list[Dropped]
    changelog: str

    @property
    def summary(self) -> str:
        return f"{len(self.diagnosis_ids)} to repair, {len(self.declined)} declined"


class FixMaterial(Model):
    """The problems with all that is known of them, and the library of what worked before.

    `searches` are the searches for small edits that make failing tests pass.
    """

    problems: list[Problem]
    declined: list[Dropped] = Field(default_factory=list)
    changelog: str
    library: Patterns | None = None
    searches: list[SearchReport] = Field(default_factory=list)

    def searched(self, diagnosis_id: str) -> SearchReport | None:
        """The search for a diagnosis, None where there was none."""
        return next(
            (each for each in self.searches if each.told.diagnosis_id == diagnosis_id), None
        )

    @property
    def summary(self) -> str:
        shown = sum(not problem.no_requests for problem in self.problems)
        return f"{len(self.problems)} problems, {shown} with what shows them again"


class CodeFixes(Model):
    """The edits by diagnosis; `dropped` are those whose tests were run and say no."""

    edits: dict[str, list[Edit]]
    dropped: list[Dropped] = Field(default_factory=list)

    @property
    def summary(self) -> str:
        count = sum(map(len, self.edits.values()))
        return f"{count} edits for {len(self.edits)} diagnoses"


class TestFixes(Model):
    """The regression test by diagnosis."""

    __test__ = False

    tests: dict[str, RegressionTest]

    @property
    def summary(self) -> str:
        written = sum(test.text is not None for test in self.tests.values())
        return f"{written} regression tests for {len(self.tests)} diagnoses"


class DocumentationFixes(Model):
    """The change log's entry by diagnosis."""

    entries: dict[str, Documentation]

    @property
    def summary(self) -> str:
        return f"{len(self.entries)} change log entries"


class Proposals(Model):
    """Candidates with what reproduces their trouble, and what was dropped on the way."""

    candidates: list[Candidate]
    reproducers: dict[str, Reproducer]
    dropped: list[Dropped] = Field(default_factory=list)
    searches: list[Search] = Field(default_factory=list)

    @property
    def summary(self) -> str:
        return f"{len(self.candidates)} candidates, {len(self.dropped)} dropped"


class FixCompleted(Model):
    """What the phase made, in numbers."""

    candidates: int
    diagnoses: int
    dropped: int
    best: dict[str, str]

    @property
    def summary(self) -> str:
        first = ", ".join(sorted(set(self.best.values()))) or "none"
        return f"{self.candidates} candidates for {self.diagnoses} diagnoses, first: {first}"
