"""Edits that mend some of the failing tests: where there are several faults, parts of the fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from selfheal.repair.edits import CodeEdit
from selfheal.sandbox.search_model import Attempt, Verdict

# As many of those that come equally far are joined with what mends the next test.
BASES = 6


class Halfway(NamedTuple):
    """Edits, likeliest first, that make `passed` failing tests pass; with them `fails` is next."""

    edits: list[CodeEdit]
    passed: int
    fails: str


def halfway(judged: Sequence[tuple[Attempt, Verdict]]) -> Halfway | None:
    """The edits that come farthest through the failing tests; None where none mends one."""
    found: dict[tuple[int, str], list[CodeEdit]] = {}
    for attempt, verdict in judged:
        if verdict.fate == "fails_later" and verdict.passed and attempt.code is not None:
            found.setdefault((verdict.passed, verdict.detail), []).append(attempt.code)
    if not found:
        return None
    (passed, fails), edits = max(
        found.items(), key=lambda each: (each[0][0], max(edit.score for edit in each[1]), each[0])
    )
    ordered = sorted(edits, key=lambda edit: (-edit.score, edit.fingerprint))
    return Halfway(ordered[:BASES], passed, fails)


def as_part(verdict: Verdict) -> Verdict:
    """What passes for one failing test alone is no fix of all of them."""
    if verdict.fate == "plausible":
        return Verdict("fails_later", 0, "one failing test alone passes")
    return verdict._replace(passed=0)
