"""Forks of a process that has the tests collected: what a change of a function shows there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from selfheal import config
from selfheal.sandbox.forkserver import ForkServer, FunctionChange, Reply, ServerEnded, started

SHAPES = """\
import functools


def logged(function):
    @functools.wraps(function)
    def wrapper(*given):
        return function(*given)

    return wrapper


@logged
def clamp(x, high):
    return x


class Base:
    def area(self):
        return 1


class Square(Base):
    def __init__(self, side):
        self.__side = side

    @property
    def side(self):
        return self.__side + 1

    @staticmethod
    def double(x):
        return x + x + 1

    @classmethod
    def unit(cls):
        return cls(2)

    def area(self):
        return super().area()


def countdown(n):
    while n:
        yield n


def early(kind="red"):
    return kind


COLOUR = early()
"""
TESTS = """\
import os
import unittest

import pytest
from shapes import COLOUR, Square, clamp, countdown, early


def test_clamp():
    assert clamp(9, 5) == 5


@pytest.mark.parametrize("x", [1, 2])
def test_inside(x):
    assert clamp(x, 5) == x


class Shapes(unittest.TestCase):
    def test_side(self):
        self.assertEqual(Square(3).side, 3)

    def test_double(self):
        self.assertEqual(Square.double(2), 4)

    def test_unit(self):
        self.assertEqual(Square.unit().side, 1)

    def test_area(self):
        self.assertEqual(Square(3).area(), 10)


def test_countdown():
    assert list(countdown(2)) == [2, 1]


def test_colour():
    assert COLOUR == "blue"


def test_leaves():
    print("much output")
    if early() == "green":
        os._exit(0)


def test_deep():
    if early() == "deep":
        assert sum(range(early)) == 0
    if early() == "hungry":
        bytearray(10**10)


def test_warns(capsys):
    import warnings

    warnings.warn("old", DeprecationWarning)
    warnings.warn("ours", ResourceWarning)
    assert capsys.readouterr().err == ""


def test_lazy():
    import lazy

    assert lazy.answer() == 42
"""
FILES = {
    "shapes.py": SHAPES,
    "lazy.py": "def answer():\n    return 41\n",
    "tests/test_shapes.py": TESTS,
    "pytest.ini": "[pytest]\naddopts = --strict-markers\nfilterwarnings =\n    error::RuntimeWarning\n",
}
FILE = "tests/test_shapes.py"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[ForkServer]:
    with started(ForkServer(project, config.TestsConfig()), [f"{FILE}::test_clamp"]) as running:
        yield running


def change(name: str, source: str, *classes: str) -> FunctionChange:
    """The change of the function `name`, which begins where SHAPES has it."""
    rows = SHAPES.split("\n")
    own = next(n for n, row in enumerate(rows, 1) if row.strip().startswith(f"def {name}("))
    if classes == ("Square",) and name == "area":
        own = max(n for n, row in enumerate(rows, 1) if row.strip().startswith("def area("))
    first = own
    while rows[first - 2].strip().startswith("@"):
        first -= 1
    return FunctionChange("shapes.py", name, tuple(sorted({first, own})), source, classes)


def outcome(server: ForkServer, test: str, *changes: FunctionChange) -> str:
    reply = server.ask([(f"{FILE}::{test}", 1.0)], changes)
    assert reply.ended == "done", reply
    return reply.results[-1].outcome


def test_a_survey_tells_outcomes_and_the_functions_that_ran(server: ForkServer) -> None:
    tests = [(test, 0.5) for test in server.collected]
    reply = server.ask(tests[:8], survey=True)
    told = {ran.test.rpartition("::")[2]: ran for ran in reply.results}

    assert told["test_clamp"].outcome == "failed"
    assert told["test_inside[1]"].outcome == "passed"
    assert told["test_side"].outcome == "failed"
    assert ("shapes.py", 12) in told["test_clamp"].functions
    assert ("shapes.py", 12) not in told["test_side"].functions
    failure = told["test_side"].failure
    assert failure is not None
    assert (failure.type, failure.line, failure.message) == ("AssertionError", 19, "4 != 3")


def test_functions_that_ran_at_import_are_told(server: ForkServer) -> None:
    assert ("shapes.py", SHAPES.split("\n").index('def early(kind="red"):') + 1) in server.imported


def test_warnings_are_handled_as_pytest_does(server: ForkServer) -> None:
    """Text on stderr and the project's filters decide tests: a fork has them as a run has."""
    assert outcome(server, "test_warns") == "passed"
    loud = 'def clamp(x, high):\n    __import__("warnings").warn("no", {})\n    return 5\n'
    ignored = change("clamp", loud.format("UserWarning"))
    refused = change("clamp", loud.format("RuntimeWarning"))
    assert outcome(server, "test_clamp", ignored) == "passed"
    assert outcome(server, "test_clamp", refused) == "failed"


@pytest.mark.parametrize(
    ("test", "changed"),
    [
        ("test_clamp", change("clamp", "@logged\ndef clamp(x, high):\n    return min(x, high)\n")),
        (
            "Shapes::test_side",
            change(
                "side", "    @property\n    def side(self):\n        return self.__side\n", "Square"
            ),
        ),
        (
            "Shapes::test_double",
            change(
                "double", "    @staticmethod\n    def double(x):\n        return x + x\n", "Square"
            ),
        ),
        (
            "Shapes::test_area",
            change("area", "    def area(self):\n        return super().area() + 9\n", "Square"),
        ),
        (
            "test_countdown",
            change(
                "countdown", "def countdown(n):\n    while n:\n        yield n\n        n -= 1\n"
            ),
        ),
        (
            "test_clamp",
            change(
                "logged",
                "def logged(function):\n    @functools.wraps(function)\n"
                "    def wrapper(*given):\n        return min(function(*given), 5)\n\n"
                "    return wrapper\n",
            ),
        ),
    ],
    ids=["decorated", "property", "static", "super", "generator", "live wrapper"],
)
def test_a_changed_function_counts_and_the_next_fork_knows_nothing_of_it(
    server: ForkServer, test: str, changed: FunctionChange
) -> None:
    assert outcome(server, test, changed) == "passed"
    if test != "test_countdown":
        assert outcome(server, test) == "failed"


def test_two_functions_change_at_once(server: ForkServer) -> None:
    unit = "    @classmethod\n    def unit(cls):\n        return cls(1)\n"
    side = "    @property\n    def side(self):\n        return self.__side\n"
    both = (change("unit", unit, "Square"), change("side", side, "Square"))

    assert outcome(server, "Shapes::test_unit", *both) == "passed"
    assert outcome(server, "Shapes::test_unit", both[0]) == "failed"


def ask(server: ForkServer, test: str, *changes: FunctionChange) -> Reply:
    return server.ask([(f"{FILE}::{test}", 0.3)], changes)


def test_an_endless_loop_is_cut_and_is_no_pass(server: ForkServer) -> None:
    reply = ask(server, "test_countdown")

    assert [ran.outcome for ran in reply.results] == ["timed_out"]


def test_a_test_that_leaves_the_process_has_not_passed(server: ForkServer) -> None:
    reply = ask(
        server, "test_leaves", change("early", "def early(kind='red'):\n    return 'green'\n")
    )

    assert [ran.outcome for ran in reply.results] == ["failed"]
    assert ask(server, "test_leaves").results[0].outcome == "passed"


def test_memory_is_bounded(server: ForkServer) -> None:
    hungry = change("early", "def early(kind='red'):\n    return 'hungry'\n")
    failure = ask(server, "test_deep", hungry).results[0].failure

    assert failure is not None
    assert failure.type == "MemoryError"


def test_what_live_functions_cannot_take_is_said(server: ForkServer) -> None:
    reply = server.ask(
        [(f"{FILE}::test_lazy", 1.0)],
        [FunctionChange("lazy.py", "answer", (1,), "def answer():\n    return 42\n")],
    )

    assert reply.ended.startswith("unfit")


def test_files_written_before_count_where_the_project_is_imported_anew(project: Path) -> None:
    asked = [(f"{FILE}::test_colour", 1.0), (f"{FILE}::test_lazy", 1.0)]
    with started(ForkServer(project, config.TestsConfig(), "imported"), [asked[0][0]]) as fresh:
        before = fresh.ask(asked, survey=True)
        (project / "shapes.py").write_text(SHAPES.replace('"red"', '"blue"'))
        (project / "lazy.py").write_text("def answer():\n    return 42\n")
        after = fresh.ask(asked, survey=True)
        for name in ("shapes.py", "lazy.py"):
            (project / name).write_text(FILES[name])

    assert [ran.outcome for ran in before.results] == ["failed", "failed"]
    assert [ran.outcome for ran in after.results] == ["passed", "passed"]


def test_a_project_whose_tests_cannot_be_collected_is_told(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("raise RuntimeError('broken')\n")

    with pytest.raises(ServerEnded):
        ForkServer(tmp_path, config.TestsConfig()).__enter__()


def test_a_second_server_begins_with_the_plugins_that_the_first_one_needed(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --of-a-plugin-that-is-not-here\n")
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    wanted = ["test_one.py::test_one"]
    with started(ForkServer(tmp_path, config.TestsConfig()), wanted) as first:
        assert first.plugins > 1
    again = ForkServer(tmp_path, config.TestsConfig(), plugins=first.plugins)
    with started(again, wanted) as second:
        assert second.collected == first.collected == ("test_one.py::test_one",)


def test_nothing_is_left_of_a_closed_server(project: Path) -> None:
    with ForkServer(project, config.TestsConfig()) as running:
        folder = running._folder
        before = len(list(Path("/proc/self/fd").iterdir()))
    assert folder is not None
    assert not folder.exists()
    assert len(list(Path("/proc/self/fd").iterdir())) < before
