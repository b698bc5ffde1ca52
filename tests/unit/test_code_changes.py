"""What commits changed, function by function: renames followed, looks told from meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from selfheal_handlers.diagnosis._examples import make_repository

from selfheal.codebase.changes import changes_between, fragments
from selfheal.codebase.history import History
from selfheal.codebase.requirements import changed_requirements

BASE = """RATE = 2


def total(rows):
    result = 0
    for row in rows:
        result += row * RATE
    return result


def other():
    return 1
"""
RENAMED = BASE.replace("def total", "def grand_total")
GUARDED = RENAMED.replace(
    "    result = 0\n", "    result = 0\n    if not rows:\n        return None\n"
)
COSMETIC = [
    BASE.replace("result", "amount"),
    BASE.replace("def total(rows):", 'def total(rows: list[int]) -> int:\n    """Add up."""'),
    BASE.replace("    result = 0", "    result = 0  # start").replace("return 1", "return  1"),
    BASE.replace("    result = 0", "    result: int = 0"),
]
MEANT = [
    BASE.replace("row * RATE", "row + RATE"),
    BASE.replace("def total(rows)", "def total(rows, more=None)"),
    BASE.replace("def total(rows)", "def total(lines)").replace("in rows", "in lines"),
    BASE.replace("result += row", "result -= row"),
]


@pytest.mark.parametrize("text", COSMETIC)
def test_changes_of_looks_keep_the_meaning(text: str) -> None:
    old, new = fragments(BASE), fragments(text)
    assert old is not None
    assert new is not None
    assert {name: item.meaning for name, item in old.items()} == {
        name: item.meaning for name, item in new.items()
    }


@pytest.mark.parametrize("text", MEANT)
def test_other_changes_do_not(text: str) -> None:
    old, new = fragments(BASE), fragments(text)
    assert old is not None
    assert new is not None
    assert old["total"].meaning != new["total"].meaning


def test_a_nested_function_is_a_fragment_of_its_own() -> None:
    old = fragments("def f():\n    def g():\n        return 1\n    return g\n")
    new = fragments("def f():\n    def g():\n        return 2\n    return g\n")
    assert old is not None
    assert new is not None
    assert old["f"].meaning == new["f"].meaning
    assert old["f.g"].meaning != new["f.g"].meaning


def test_functions_are_told_in_the_names_of_the_ranges_end(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    commits = make_repository(
        path,
        [
            ("First", {"a.py": BASE}),
            ("Faster rate", {"a.py": BASE.replace("row * RATE", "row * RATE * 2")}),
            ("Clearer name", {"a.py": RENAMED.replace("row * RATE", "row * RATE * 2")}),
            ("Move", {"a.py": None, "pkg/b.py": RENAMED.replace("row * RATE", "row * RATE * 2")}),
            (
                "Nothing in, nothing out",
                {"pkg/b.py": GUARDED.replace("row * RATE", "row * RATE * 2")},
            ),
        ],
    )
    found = changes_between(History(path), commits[0], commits[-1])
    told = {
        change.summary: [(item.file, item.function, item.kind) for item in change.functions]
        for change in found
    }
    assert told == {
        "Nothing in, nothing out": [("pkg/b.py", "grand_total", "changed")],
        "Move": [],
        "Clearer name": [("pkg/b.py", "grand_total", "cosmetic")],
        "Faster rate": [("pkg/b.py", "grand_total", "changed")],
    }
    faster = next(change for change in found if change.summary == "Faster rate")
    assert faster.distance("pkg/b.py", 9) == 0
    assert faster.distance("pkg/b.py", 12) == 3
    assert faster.distance("elsewhere.py", 1) is None


def test_module_values_and_removed_functions_are_told(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    commits = make_repository(
        path,
        [
            ("First", {"a.py": BASE}),
            (
                "Other rate",
                {"a.py": BASE.replace("RATE = 2", "RATE = 3").partition("\n\n\ndef other")[0]},
            ),
            ("Break it", {"a.py": "def ("}),
        ],
    )
    broken, change = changes_between(History(path), commits[0], commits[-1])
    assert broken.functions == []
    assert [(item.function, item.kind, item.names) for item in change.functions] == [
        ("<module>", "changed", ["RATE"]),
        ("other", "removed", []),
    ]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("requirements.txt", "flask==2.0\nclick==8\n", "Flask==3.0\nclick==8\n"),
        (
            "pyproject.toml",
            'dependencies = ["flask>=2", "click>=8"]',
            'dependencies = ["flask>=3", "click>=8"]',
        ),
        (
            "uv.lock",
            '[[package]]\nname = "flask"\nversion = "2"\n',
            '[[package]]\nname = "flask"\nversion = "3"\n',
        ),
        (
            "setup.cfg",
            "install_requires =\n    flask~=2.0\n",
            "install_requires =\n    flask~=3.0\n",
        ),
    ],
)
def test_changed_requirements_are_named(path: str, old: str, new: str) -> None:
    assert changed_requirements({path: old}, {path: new}) == ["flask"]
    assert changed_requirements({path: old}, {path: old}) == []
    assert changed_requirements({"notes.txt": old}, {"notes.txt": new}) == []
