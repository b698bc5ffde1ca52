"""What the search for a repair is given and what it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from pydantic import Field

from selfheal.artifacts import Model
from selfheal.artifacts.patch import Search
from selfheal.repair import Edit
from selfheal.repair.edits import CodeEdit
from selfheal.sandbox.forkserver import Failure, FunctionChange, Place, Ran
from selfheal.sandbox.runner import is_among

Fate = Literal[
    "plausible",
    "still_fails",
    "fails_later",
    "fails_otherwise",
    "breaks_tests",
    "timed_out",
    "not_run",
    "not_tried",
]

FATES: dict[Fate, str] = {
    "plausible": "the failing tests pass, and the tests that run the changed code",
    "still_fails": "a failing test fails as before",
    "fails_later": "a failing test fails, but later, or others pass",
    "fails_otherwise": "a failing test fails in another way",
    "breaks_tests": "a test fails that passed before",
    "timed_out": "a test ran into its time limit",
    "not_run": "no failing test runs the changed code",
    "not_tried": "the search ended before",
}


class Attempt(NamedTuple):
    """A change to be tried: one of the search space (`code`), or a strategy's `edit`."""

    edit: Edit
    code: CodeEdit | None = None

    @property
    def label(self) -> str:
        """What the ledger counts it under."""
        if self.code is not None:
            return f"{self.edit.strategy}: {self.code.operator}"
        return self.edit.strategy


class Verdict(NamedTuple):
    """What became of an attempt: `passed` of the failing tests passed; `detail` is a test."""

    fate: Fate
    passed: int = 0
    detail: str = ""


class Region(NamedTuple):
    """An outermost function that an attempt changes, by its lines, decorators counted."""

    file: str
    first: int
    last: int


class Plan(NamedTuple):
    """How an attempt is tried: by exchanging `functions` if given, else from its files."""

    regions: tuple[Region, ...]
    functions: tuple[FunctionChange, ...] | None


def ran_in(functions: frozenset[Place], region: Region) -> bool:
    """Whether a region, or a function in it, is among functions that ran."""
    return any(
        file == region.file and region.first <= line <= region.last for file, line in functions
    )


@dataclass
class Survey:
    """What the tests do without any change.

    `failing` are the incident's tests that fail here each time; `uncollected` those that
    pytest could not even collect. `imported` are functions that ran at import.
    """

    failing: tuple[str, ...]
    uncollected: tuple[str, ...]
    results: Mapping[str, Ran]
    imported: frozenset[Place]
    unsurveyed: int = 0
    _ran: dict[Region, frozenset[str]] = field(default_factory=dict)

    def of(self, tests: Sequence[str]) -> Survey:
        """The survey for a part of the incident's tests; the others are no guards."""
        return Survey(
            failing=tuple(name for name in self.failing if is_among(name, list(tests))),
            uncollected=tuple(name for name in self.uncollected if name in tests),
            results=self.results,
            imported=self.imported,
            unsurveyed=self.unsurveyed,
        )

    def running(self, regions: Sequence[Region]) -> frozenset[str]:
        """The tests that run one of the regions."""
        return frozenset().union(*map(self._running, regions))

    def _running(self, region: Region) -> frozenset[str]:
        if region not in self._ran:
            self._ran[region] = frozenset(
                test for test, ran in self.results.items() if ran_in(ran.functions, region)
            )
        return self._ran[region]

    @cached_property
    def passing(self) -> list[str]:
        return sorted(test for test, ran in self.results.items() if ran.outcome == "passed")

    def failure(self, test: str) -> Failure | None:
        return self.results[test].failure if test in self.results else None


class SearchReport(Model):
    """The search for one diagnosis.

    `plausible` are edits for which the failing tests passed, best first: none is proven.
    `fallen` are edits of strategies, by their place among those given, with the reason.
    """

    told: Search
    plausible: list[Edit] = Field(default_factory=list)
    fallen: dict[int, str] = Field(default_factory=dict)
