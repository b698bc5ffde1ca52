"""When a change counts as faster: by the clock beyond doubt, or by half of the work."""

from __future__ import annotations

import pytest

from selfheal.sandbox.comparison import Comparison
from selfheal.sandbox.live import speed_verdict
from selfheal.sandbox.work import Work


def clock(low: float, high: float) -> Comparison:
    return Comparison(
        ratio=(low + high) / 2,
        low=low,
        high=high,
        before_seconds=1.0,
        after_seconds=1.0,
        rounds=10,
    )


LESS = Work(calls=900, statements=102), Work(calls=950, statements=3)
SAME = Work(calls=900, statements=102), Work(calls=900, statements=100)
MORE_CALLS = Work(calls=900, statements=102), Work(calls=1400, statements=3)
UNKNOWN = Work(), Work()


@pytest.mark.parametrize(
    ("speed", "work", "expected"),
    [
        (clock(0.4, 0.6), UNKNOWN, "passed"),
        (clock(0.80, 0.96), LESS, "passed"),
        (clock(0.80, 0.96), SAME, "failed"),
        (clock(0.80, 0.96), UNKNOWN, "failed"),
        (clock(0.80, 1.01), LESS, "failed"),
        (clock(0.80, 0.96), MORE_CALLS, "failed"),
    ],
)
def test_a_slow_operation(speed: Comparison, work: tuple[Work, Work], expected: str) -> None:
    assert speed_verdict("performance", speed, *work)[0] == expected


@pytest.mark.parametrize(
    ("speed", "work", "expected"),
    [
        (clock(0.9, 1.1), SAME, "passed"),
        (clock(1.6, 1.9), (Work(calls=100), Work(calls=200)), "failed"),
        (clock(1.6, 1.9), (Work(calls=100), Work(calls=110)), "passed"),
    ],
)
def test_a_fix_of_something_else_may_not_cost_much(
    speed: Comparison, work: tuple[Work, Work], expected: str
) -> None:
    assert speed_verdict("error", speed, *work)[0] == expected
