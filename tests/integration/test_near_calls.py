"""Calls near those of a failing test: how much more than the failing input a change alters."""

from __future__ import annotations

import sys
from pathlib import Path

from selfheal.config import TestsConfig
from selfheal.sandbox.behaviour import Behaviour, near_by
from selfheal.sandbox.forkserver import ForkServer, FunctionChange
from selfheal.sandbox.forkserver_near import ENDLESS, HANGING_AT_MOST

CODE = """\
import time

def pieces(text, most=0):
    if most == 0:
        yield [text]
        return
    if most < 0:
        while True:
            time.sleep(0.01)
    yield from text.split(",", most)
"""
TEST = """\
from cut import pieces

def test_pieces():
    assert list(pieces("a,b", 0)) == ["a,b"]
"""
NAME = "test_cut.py::test_pieces"


def change(old: str, new: str) -> FunctionChange:
    source = CODE.partition("\n\n")[2].replace(old, new)
    return FunctionChange(file="cut.py", name="pieces", lines=(3,), source=source)


def test_a_change_that_alters_less_is_told_from_one_that_alters_all(tmp_path: Path) -> None:
    (tmp_path / "cut.py").write_text(CODE)
    (tmp_path / "test_cut.py").write_text(TEST)
    tests = TestsConfig(python=sys.executable)
    with ForkServer(tmp_path, tests, "collected", ["test_cut.py"]) as server:

        def near(*functions: FunctionChange):  # type: ignore[no-untyped-def]
            asked, record = [(NAME, 2.0)], [("cut.py", "pieces")]
            reply = server.ask(asked, functions, survey=True, record=record, near=True)
            return {ran.test: ran for ran in reply.results}

        before, again = near(), near()
        meant = near_by(Behaviour(), before, again, near(change("yield [text]", "yield text")))
        turned = near_by(Behaviour(), before, again, near(change("most == 0", "most != 0")))

    calls = before[NAME].calls
    assert any("does not end" in call.outcome_short for call in calls), "and costs a moment only"
    assert len({call.given for call in calls}) == len(calls), "each call once"
    assert 0 < meant.near_differing < meant.near
    assert turned.near_differing > meant.near_differing
    assert meant.trust > turned.trust
    assert meant.came != turned.came


def test_calls_that_do_not_end_are_given_up_after_some(tmp_path: Path) -> None:
    code = (
        "import time\n\ndef wait(n):\n    while n != 5:\n        time.sleep(0.01)\n    return n\n"
    )
    (tmp_path / "slow.py").write_text(code)
    (tmp_path / "test_slow.py").write_text(
        "from slow import wait\n\ndef test_it():\n    assert wait(5) == 6\n"
    )
    tests, name = TestsConfig(python=sys.executable), "test_slow.py::test_it"
    with ForkServer(tmp_path, tests, "collected", ["test_slow.py"]) as server:
        record = [("slow.py", "wait")]
        reply = server.ask([(name, 2.0)], survey=True, record=record, near=True)
    outcomes = [call.outcome_short for call in reply.results[0].calls]
    assert outcomes == [f"raises {ENDLESS!r}"] * HANGING_AT_MOST
