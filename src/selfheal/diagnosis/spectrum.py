"""Which tests ran which lines, and how suspicious that makes each line.

A line that failing tests run and passing ones do not is suspicious. Scores are by Ochiai:
R. Abreu, P. Zoeteweij, A. J. C. van Gemund, "An Evaluation of Similarity Coefficients for
Software Fault Localization", PRDC 2006; score = ef / sqrt((ef + nf) · (ef + ep)), with ef
and ep the failing and passing tests that ran the line, nf the failing ones that did not.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import NamedTuple

from pydantic import Field

from selfheal.artifacts.model import Model


class Place(NamedTuple):
    """A line of a file of the repository."""

    file: str
    line: int


class Block(Model):
    """Lines that the same tests ran.

    `failing` are numbers of `Spectrum.failing`; `passing` counts passing tests, of which
    `witnesses` names the first few by their numbers in `Spectrum.passing`.
    """

    lines: dict[str, list[int]]
    failing: list[int]
    passing: int
    witnesses: list[int] = Field(default_factory=list)


class Halt(Model):
    """Where a test that did not end was stopped: the innermost place of the repository's own code."""

    test: str
    file: str
    line: int


class Spectrum(Model):
    """A run of the failing tests, and of the others, with the lines that each executed.

    Tests are pytest node ids as they run in the repository at `commit`. Of the tests
    reported as failing, `failing` failed here too (`timed_out` are those of them that did
    not end), `not_failing` did not, `not_found` are not collected at this commit.
    `other_failures` fail here and were not reported. `names` maps a reported test to what
    it is called here. `passing` are the passing tests that blocks name, `passing_count`
    all of them. `import_lines` ran when modules were imported, for every test alike.
    `notes` say what could not be measured.
    """

    commit: str
    failing: list[str] = Field(default_factory=list)
    timed_out: list[str] = Field(default_factory=list)
    not_failing: list[str] = Field(default_factory=list)
    not_found: list[str] = Field(default_factory=list)
    other_failures: list[str] = Field(default_factory=list)
    names: dict[str, list[str]] = Field(default_factory=dict)
    passing: list[str] = Field(default_factory=list)
    passing_count: int = 0
    blocks: list[Block] = Field(default_factory=list)
    import_lines: dict[str, list[int]] = Field(default_factory=dict)
    halts: list[Halt] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """The files in which failing tests ran lines, and those whose import they needed."""
        ran = {file for block in self.blocks for file in block.lines}
        return sorted(ran | set(self.import_lines))

    def scored(self, failing: Collection[int]) -> Iterator[tuple[Place, LineScore]]:
        """Every line that one of some failing tests ran, with its score against all passing tests."""
        chosen = set(failing)
        for block in self.blocks:
            ran = chosen.intersection(block.failing)
            if not ran:
                continue
            score = LineScore(
                ochiai=ochiai(len(ran), len(chosen) - len(ran), block.passing),
                failing=len(ran),
                of_failing=len(chosen),
                passing=block.passing,
                of_passing=self.passing_count,
            )
            for file, lines in block.lines.items():
                for line in lines:
                    yield Place(file, line), score

    def failing_at(self, file: str, first: int, last: int) -> set[int]:
        """The failing tests that ran a line between two."""
        return {
            test
            for block in self.blocks
            if any(first <= line <= last for line in block.lines.get(file, ()))
            for test in block.failing
        }

    def witnesses_at(self, file: str, first: int, last: int) -> list[str]:
        """Passing tests that ran a line between two, as far as they are named."""
        numbers = {
            test
            for block in self.blocks
            if any(first <= line <= last for line in block.lines.get(file, ()))
            for test in block.witnesses
        }
        return [self.passing[number] for number in sorted(numbers)]


class LineScore(NamedTuple):
    """The counts behind a line's suspicion. `ochiai` is 0–1."""

    ochiai: float
    failing: int
    of_failing: int
    passing: int
    of_passing: int

    @property
    def reason(self) -> str:
        """One line for people."""
        return (
            f"Ochiai {self.ochiai:.2f}: run by {self.failing} of {self.of_failing} failing"
            f" and {self.passing} of {self.of_passing} passing tests"
        )


def ochiai(ran_failing: int, other_failing: int, ran_passing: int) -> float:
    """The Ochiai coefficient (0–1), 0 where no failing test ran the line."""
    if ran_failing <= 0:
        return 0.0
    return ran_failing / math.sqrt((ran_failing + other_failing) * (ran_failing + ran_passing))
