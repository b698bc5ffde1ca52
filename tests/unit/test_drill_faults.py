"""Faults that a drill seeds, and the tests that it keeps from the loop."""

from __future__ import annotations

import ast

from hypothesis import given
from hypothesis import strategies as st

from selfheal.config import DeployConfig, PolicyConfig, Settings, StoreConfig
from selfheal.drill.exercise import loop_settings
from selfheal.drill.faults import faults_of
from selfheal.drill.hold_out import held_out, without_tests

CODE = '''\
"""Prices."""

LIMIT = 3


def total(prices, codes, code):
    """The sum."""
    if not prices:
        return 0
    return sum(prices) * codes.get(code, 1.0)


def pages(count, size):
    return count // size + 1
'''
SUITE = """\
import pytest


@pytest.mark.parametrize("n", [1, 2])
def test_one(n):
    assert n


class TestMore:
    def test_two(self):
        assert True

    def test_three(self):
        assert True
"""


def test_faults_are_single_changes_within_functions_that_still_parse() -> None:
    found = faults_of({"shop.py": CODE}, 0)
    assert {fault.function for fault in found} == {"total", "pages"}
    assert {"the default is gone", "the guard is gone", "None returned"} <= {f.what for f in found}
    for fault in found:
        assert ast.dump(ast.parse(fault.text)) != ast.dump(ast.parse(CODE))
    assert len({fault.text for fault in found}) == len(found)
    gone = next(fault for fault in found if fault.what == "the default is gone")
    assert "codes[code]" in gone.text


def test_every_function_is_struck_once_before_any_is_struck_twice() -> None:
    for seed in range(5):
        first, second = faults_of({"shop.py": CODE}, seed)[:2]
        assert first.function != second.function


def test_a_seed_draws_the_same_faults_again_and_another_one_others() -> None:
    drawn = [[f.id for f in faults_of({"shop.py": CODE}, seed)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert sorted(drawn[0]) == sorted(drawn[2])


def test_tests_and_broken_files_are_struck_by_nothing() -> None:
    assert faults_of({"tests/test_shop.py": CODE, "broken.py": "def f(:\n"}, 0) == []


def test_what_is_held_out_is_taken_from_its_file_and_nothing_else_is() -> None:
    hidden = ["tests/test_a.py::TestMore::test_two", "tests/test_a.py::test_one"]
    changed = without_tests({"tests/test_a.py": SUITE, "shop.py": CODE}, hidden)
    assert list(changed) == ["tests/test_a.py"]
    text = changed["tests/test_a.py"]
    ast.parse(text)
    assert "test_one" not in text
    assert "parametrize" not in text
    assert "test_two" not in text
    assert "def test_three" in text


def test_a_class_all_of_whose_tests_are_held_out_stays_a_class() -> None:
    hidden = [f"t.py::TestMore::test_{name}" for name in ("two", "three")]
    ast.parse(without_tests({"t.py": SUITE}, hidden)["t.py"])


@given(st.sets(st.from_regex(r"t\.py::test_[a-f](\[[0-3]\])?", fullmatch=True)), st.integers(0, 9))
def test_at_most_half_is_held_out_and_something_is_always_shown(
    failing: set[str], seed: int
) -> None:
    hidden = held_out(failing, seed)
    functions = {name.partition("[")[0] for name in failing}
    assert set(hidden) <= functions
    assert len(hidden) == len(functions) // 2
    assert hidden == held_out(failing, seed)


def test_the_loop_of_a_drill_knows_nothing_of_where_the_project_delivers() -> None:
    settings = Settings(
        deploy=DeployConfig(
            remote="https://github.com/shop/service.git",
            target="processes",
            fleet="/srv/fleet",
            ci_command=["make", "check"],
            policies=[PolicyConfig(approval="never")],
        ),
        store=StoreConfig(url="/srv/store"),
    )
    from pathlib import Path

    turned = loop_settings(settings, Path("junit.xml")).deploy
    assert (turned.remote, turned.target, turned.fleet) == ("origin", "none", None)
    assert turned.ci_command == ["make", "check"]
    assert (turned.approval, turned.level, turned.policies) == ("auto", 0, [])
