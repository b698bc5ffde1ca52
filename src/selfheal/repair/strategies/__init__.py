"""The strategies: each proposes edits for the problems that it understands."""

from __future__ import annotations

from selfheal.repair.strategies import (
    add_test,
    default_value,
    guard_conversion,
    guard_index,
    guard_none,
    guard_zero_division,
    handle_exception,
    revert,
)
from selfheal.repair.strategies.base import Strategy

STRATEGIES: tuple[Strategy, ...] = (
    guard_none.STRATEGY,
    default_value.STRATEGY,
    guard_index.STRATEGY,
    guard_zero_division.STRATEGY,
    guard_conversion.STRATEGY,
    handle_exception.STRATEGY,
    add_test.STRATEGY,
    *revert.STRATEGIES,
)

STRATEGY_NAMES = tuple(strategy.name for strategy in STRATEGIES)
