"""The fix of a small bug is among the first edits, and wrong edits do not crowd it out."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from small_bugs import BUGS, Bug

from selfheal.repair.edits import CodeEdit, Hints, Suspect, propose_edits, read_hints

PATH = "app.py"
STEPS = 3_000
FIRST = 600


class TooLong(BaseException):
    """The code under test took too many steps."""


def outcome(source: str, check: str) -> tuple[object, set[int]]:
    """What an expression gives or raises (its type and text), and the lines that it ran."""
    lines: set[int] = set()
    steps = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != PATH:
            return None
        steps += 1
        if steps > STEPS:
            raise TooLong
        if event == "line":
            lines.add(frame.f_lineno)
        return trace

    names: dict[str, Any] = {}
    exec(compile(source, PATH, "exec"), names)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return eval(check, names), lines
    except Exception as error:
        return error, lines
    except TooLong as error:
        return error, lines
    finally:
        sys.settrace(before)


def right(found: object, expected: object) -> bool:
    if isinstance(expected, type) and issubclass(expected, Exception):
        return isinstance(found, expected)
    return type(found) is type(expected) and found == expected


def facts(bug: Bug) -> tuple[list[Suspect], Hints]:
    """Ochiai's scores of the lines, and what the failures say."""
    failed: list[set[int]] = []
    passed: list[set[int]] = []
    messages = []
    for check, expected in bug.checks:
        found, lines = outcome(bug.source, check)
        if right(found, expected):
            passed.append(lines)
        else:
            failed.append(lines)
            messages.append(told(found, expected))
    assert failed, "the bug shows in a check"
    suspects = []
    for line in sorted(set().union(*failed)):
        hit = sum(line in lines for lines in failed)
        total = hit + sum(line in lines for lines in passed)
        suspects.append(Suspect(PATH, line, hit / math.sqrt(len(failed) * total)))
    return suspects, read_hints([], messages)


def told(found: object, expected: object) -> str:
    if isinstance(found, Exception):
        return f"{type(found).__name__}: {found}"
    if isinstance(expected, type):
        return f"DID NOT RAISE <class '{expected.__name__}'>"
    return f"assert {found!r} == {expected!r}"


def passing(bug: Bug) -> Iterator[tuple[int, CodeEdit]]:
    suspects, hints = facts(bug)
    edits = propose_edits({PATH: bug.source}, suspects, hints, FIRST)
    for number, edit in enumerate(edits, start=1):
        source = edit.apply(bug.source)
        if all(right(outcome(source, check)[0], expected) for check, expected in bug.checks):
            yield number, edit


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.kind)
def test_a_small_bug_is_mended_by_one_of_the_first_edits(bug: Bug):
    assert next(passing(bug), None) is not None, f"none of the first {FIRST} edits mends it"
