"""Which tests ran which lines is measured on real suites, of any usual shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfheal.config import TestsConfig
from selfheal.sandbox import spectrum
from selfheal.sandbox.spectrum import measure_spectrum
from selfheal.sandbox.spectrum_runner import PlainTracer

FILES = {
    "src/pkg/__init__.py": "",
    "src/pkg/code.py": """import time


def part(value, size):
    return value % (size + 1)


def forever(value):
    while value > 0:
        value += 1
    return value


def untouched():
    return 1
""",
    "src/pkg/bad.py": "import pkg.gone\n",
    "tests/test_code.py": """import unittest

import pytest
from pkg.code import forever, part


@pytest.mark.parametrize("value", [1, 5])
def test_part(value):
    assert part(value, 4) == value % 4


class TestForever:
    def test_zero(self):
        assert forever(0) == 0

    def test_one(self):
        assert forever(1) == 0


class Case(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(part(5, 4), 1)
""",
    "tests/test_bad.py": "from pkg.bad import x\n\n\ndef test_x():\n    pass\n",
    "tests/test_red.py": "def test_always_red():\n    assert False\n",
    "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-x --strict-markers'\n",
}


def test_a_suite_is_measured_with_its_classes_hangs_and_modules_that_do_not_import(
    tmp_path: Path,
) -> None:
    """One run for all: parametrised, unittest, endless and uncollectable tests, red before, src layout, -x."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    reported = [
        "tests/test_code.py::test_part[5]",
        "tests/test_code.py::Case::test_equal",
        "tests/test_code.py::TestForever::test_one",
        "tests/test_code.py::test_part[gone]",
        "tests/test_bad.py",
    ]
    found = measure_spectrum(tmp_path, "c0ffee", TestsConfig(), reported, test_seconds=0.3)
    assert found.failing == [
        "tests/test_bad.py",
        "tests/test_code.py::Case::test_equal",
        "tests/test_code.py::TestForever::test_one",
        "tests/test_code.py::test_part[5]",
    ]
    assert found.timed_out == ["tests/test_code.py::TestForever::test_one"]
    assert found.other_failures == ["tests/test_red.py::test_always_red"]
    assert found.notes == []
    (halt,) = found.halts
    assert (halt.file, halt.line in (9, 10)) == ("src/pkg/code.py", True)
    assert found.passing_count == 2
    scores = {place.line: score for place, score in found.scored([1, 3])}
    assert (scores[5].failing, scores[5].passing) == (2, 1)
    assert found.witnesses_at("src/pkg/code.py", 4, 5) == ["tests/test_code.py::test_part[1]"]
    endless = {place.line for place, _ in found.scored([2])}
    assert {9, 10} <= endless
    assert 15 not in scores
    assert not list(tmp_path.rglob("*.pyc"))


def test_of_many_passing_tests_the_nearest_are_run_and_what_is_left_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the failing test's class, then of its file, then others; what is measured counts."""
    far = "from code_ import f\n\ndef test_far():\n    assert f(1) == 1\n"
    near = """from code_ import f

def test_beside():
    assert f(1) == 1

class TestF:
    def test_red(self):
        assert f(2) == 3

    def test_same_class(self):
        assert f(1) == 1
"""
    (tmp_path / "code_.py").write_text("def f(x):\n    return x\n")
    (tmp_path / "test_a_far.py").write_text(far)
    (tmp_path / "test_near.py").write_text(near)
    reported = ["test_near.py::TestF::test_red"]

    monkeypatch.setattr(spectrum, "MOST_OTHERS", 2)
    some = measure_spectrum(tmp_path, "c0ffee", TestsConfig(), reported)
    assert some.passing == ["test_near.py::TestF::test_same_class", "test_near.py::test_beside"]
    assert some.notes == []

    monkeypatch.setattr(spectrum, "OTHERS_CPU", -1.0)
    none = measure_spectrum(tmp_path, "c0ffee", TestsConfig(), reported)
    assert (none.failing, none.passing_count) == (reported, 0)
    assert none.notes == ["of the passing tests only those nearest to the failing ones were run"]


def test_without_coverage_lines_are_traced_by_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text("def f(x):\n    if x:\n        return 1\n    return 2\n")
    (tmp_path / "left.py").write_text("def g():\n    return 3\n")
    spaces: dict[str, dict[str, Any]] = {"own.py": {}, "left.py": {}}
    for name, space in spaces.items():
        exec(compile(Path(name).read_text(), str(tmp_path / name), "exec"), space)
    tracer = PlainTracer(None, ["left.py"])
    for context, value in (("one", 1), ("two", 0)):
        tracer.begin(context)
        spaces["own.py"]["f"](value)
        spaces["left.py"]["g"]()
        tracer.end()
    lines = tracer.contexts()[str(tmp_path / "own.py")]
    assert {line: tuple(names) for line, names in lines.items()} == {
        2: ("one", "two"),
        3: ("one",),
        4: ("two",),
    }
    assert list(tracer.contexts()) == [str(tmp_path / "own.py")]
