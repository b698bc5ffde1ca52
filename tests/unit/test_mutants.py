"""Mutants are small, valid Python, and lie in changed lines alone."""

from __future__ import annotations

import ast

import pytest

from selfheal.repair.edit import edited
from selfheal.sandbox.changes import ChangedFile
from selfheal.sandbox.mutants import changed_lines, mutants_of


def changed(before: str, after: str) -> ChangedFile:
    return ChangedFile(path="app.py", role="code", before=before, after=after)


@pytest.mark.parametrize(
    ("line", "mutants"),
    [
        ("return a < b", {"return a <= b", "return None"}),
        ("return a is not None", {"return a is None", "return None"}),
        ("if a and b: pass", {"if a or b: pass", "if not (a and b): pass"}),
        ("a = b + 1", {"a = b - 1", "a = b + 2", "pass"}),
        ("b.append(a)", {"pass"}),
        ("return None", set()),
        ("'a docstring'", set()),
        ("return f'{a + 1}'", None),
    ],
)
def test_the_mutants_of_a_line(line: str, mutants: set[str] | None) -> None:
    before = "def f(a, b):\n    c = a == b\n"
    after = f"{before}    {line}\n"
    found = set()
    for edit in mutants_of(changed_lines([changed(before, after)])):
        text = edited(edit, {"app.py": after})["app.py"]
        assert text is not None
        assert text.startswith(before), "the other lines stay"
        found.add(text.removeprefix(before).strip())
        if mutants is not None:
            ast.parse(text)
    assert mutants is None or found == mutants


def test_files_of_other_kinds_and_broken_ones_have_none() -> None:
    document = ChangedFile(path="a.md", role="documentation", before="", after="a < b\n")
    assert mutants_of(changed_lines([document, changed("", "def f(:\n")])) == []
