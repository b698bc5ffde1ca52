"""The gate's arithmetic: worst answer wins, and silence never promotes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.artifacts import Dataset
from selfheal.artifacts.deployment import GateState
from selfheal.config import GateConfig
from selfheal.delivery.gate import Answers, verdict, watch
from selfheal.delivery.rollout import planned_steps

STATES: tuple[GateState, ...] = ("pass", "fail", "undecided", "no_data")


@given(st.dictionaries(st.text(min_size=1), st.sampled_from(STATES)))
def test_a_gate_passes_only_when_every_question_is_answered_well(
    states: dict[str, GateState],
) -> None:
    gate = verdict(Answers(states=states))
    assert (gate.state == "pass") == (bool(states) and set(states.values()) == {"pass"})
    if "fail" in states.values():
        assert gate.state == "fail"


def test_the_reason_names_the_questions_concerned() -> None:
    gate = verdict(Answers(states={"latency": "fail", "error_rate": "pass", "x": "no_data"}))
    assert gate.reason == "answered badly: latency"


class Silent:
    """A release that nobody ever heard of."""

    old, new = "1.0", "1.1"

    def share(self) -> float:
        return 10

    def step_began_ns(self) -> int:
        return 0

    def observe(self, _scratch: Path) -> Dataset | None:
        return None

    def earlier(self, _scratch: Path) -> Dataset | None:
        return None

    def peers(self) -> list[str]:
        return []

    def dead(self) -> list[str]:
        return []

    def usage(self) -> None:
        return None

    def tend(self) -> None:
        pass


def test_silence_is_no_data_at_the_deadline(tmp_path: Path) -> None:
    gate, measured = watch(Silent(), [], GateConfig(step_seconds=0.05), tmp_path)
    assert gate.state == "no_data"
    assert len(measured["looks"]) == 8


def test_an_instance_that_ended_fails_the_gate_at_once(tmp_path: Path) -> None:
    target = Silent()
    target.dead = lambda: ["1.1-1"]  # type: ignore[method-assign]
    gate, measured = watch(target, [], GateConfig(step_seconds=0.05), tmp_path)
    assert gate.state == "fail"
    assert len(measured["looks"]) == 1


@pytest.mark.parametrize(
    ("given_steps", "expected"),
    [([10, 25, 100], [10, 25, 100]), ([50, 10], [10, 50, 100]), ([], [100]), ([0, 250], [1, 100])],
)
def test_steps_rise_and_end_with_everything(given_steps: list[int], expected: list[int]) -> None:
    assert planned_steps(given_steps) == expected
