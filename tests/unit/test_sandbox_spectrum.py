"""Which tests ran which lines is measured on real suites, of any usual shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfheal.config import TestsConfig
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
