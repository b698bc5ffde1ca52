"""The healing benchmark plants one mistake at a time, hides half of a suite and reads runs rightly."""

from __future__ import annotations

import ast

import pytest

from benchmarks.healing.baselines import _node
from benchmarks.healing.fault_classes import ERRORS
from benchmarks.healing.faults import FaultClass, compiles, faults_of
from benchmarks.healing.halves import visible_half
from benchmarks.healing.loop import Outcome, ranks

CODE = """\
class Shelf:
    def __init__(self, rows=3, strict=True):
        self.rows = rows
        self.strict = strict
        self.names = []

    def put(self, name, place):
        if not name:
            raise ValueError("no name")
        if place >= self.rows and self.strict:
            return False
        elif place < 0:
            place = self.rows + place
        else:
            place = place + 1
        self.names.append(name.strip())
        self.names = sorted(self.names)
        for each in self.names:
            self.rows = max(self.rows, len(each), place)
        return len(self.names)

    def all(self, first, last):
        try:
            found = list(self.names)
        except KeyError:
            found = []
        pick(found, first, last)
        return found[first:last]

    def seen(self, name, before=None):
        if before is None:
            before = []
        before.append(name)
        return before
"""
SUITE = """\
import pytest


@pytest.mark.parametrize("a", [1, 2])
def test_one(a):
    assert a


def test_two():
    pass


class TestAll:
    def test_three(self):
        pass

    def test_four(self):
        pass


def helper():
    return 1
"""


@pytest.mark.parametrize("each", ERRORS, ids=lambda each: each.name)
def test_each_class_of_faults_is_one_change_of_code_that_compiles(each: FaultClass) -> None:
    planted = [
        fault for fault in faults_of("shelf.py", CODE, [each])[each.name] if compiles(fault, CODE)
    ]
    assert planted
    for fault in planted:
        assert ast.dump(ast.parse(fault.text)) != ast.dump(ast.parse(CODE))
        assert fault.function.startswith("Shelf.")
        assert 0 < fault.line <= fault.last_line


def test_a_half_of_the_tests_is_hidden_the_rest_stays_and_it_is_the_same_each_time() -> None:
    halves = {visible_half("test_a.py", SUITE, seed) for seed in range(40)}
    assert len(halves) > 4
    for half in halves:
        ast.parse(half)
        assert "def helper():" in half
    assert visible_half("test_a.py", SUITE, 7) == visible_half("test_a.py", SUITE, 7)


def test_a_rank_counts_lines_by_themselves_and_functions_once() -> None:
    outcome = Outcome("x", "error", "f", "a.py", "A.f", 10, telling=False)
    places = [("a.py", 30, "A.g"), ("a.py", 31, "A.g"), ("a.py", 8, "A.f"), ("a.py", 10, "A.f")]
    assert ranks(places, outcome) == {"function": 2, "line": 4}


def test_names_of_a_report_become_node_ids(tmp_path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").touch()
    assert (
        _node("tests.test_a.TestB.test_c[1.5]", tmp_path) == "tests/test_a.py::TestB::test_c[1.5]"
    )
