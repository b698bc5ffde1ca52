"""A small edit that heals by having code not run any more is told."""

from __future__ import annotations

import pytest

from selfheal.sandbox.changes import ChangedFile
from selfheal.sandbox.switched_off import switched_off

EXIT = "def f(a):\n    if a:\n        return None\n    b = a.x\n    return b\n"
AROUND = "def f(a):\n    if a:\n        a.clear()\n    return a\n"


@pytest.mark.parametrize(
    ("text", "added", "ran", "expected"),
    [
        (EXIT, {2, 3}, {2, 3}, ["m.py:2"]),
        (EXIT, {2, 3}, {2, 3, 4, 5}, []),
        (EXIT, {4}, {2, 3}, []),
        (AROUND, {2}, {2, 4}, ["m.py:2"]),
        (AROUND, {2}, {2, 3, 4}, []),
        ("def f(:\n", {1}, set(), []),
    ],
)
def test_what_no_test_runs_behind_an_added_condition_is_told(
    text: str, added: set[int], ran: set[int], expected: list[str]
) -> None:
    lines = text.splitlines()
    kept = "".join(f"{line}\n" for number, line in enumerate(lines, 1) if number not in added)
    file = ChangedFile(path="m.py", role="code", before=kept, after=text)
    coverage = {"m.py": {n: n in ran for n in range(2, len(lines) + 1)}}
    assert switched_off([file], coverage) == expected
