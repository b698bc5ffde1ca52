"""The strategies: each proposes edits for the problems that it understands."""

from __future__ import annotations

from selfheal.repair.strategies import (
    add_test,
    batch_queries,
    default_value,
    guard_conversion,
    guard_index,
    guard_none,
    guard_zero_division,
    handle_exception,
    hoist_call,
    index_join,
    membership_set,
    restore_expression,
    revert,
)
from selfheal.repair.strategies.base import Strategy

STRATEGIES: tuple[Strategy, ...] = (
    restore_expression.STRATEGY,
    guard_none.STRATEGY,
    default_value.STRATEGY,
    guard_index.STRATEGY,
    guard_zero_division.STRATEGY,
    guard_conversion.STRATEGY,
    handle_exception.STRATEGY,
    batch_queries.STRATEGY,
    index_join.STRATEGY,
    membership_set.STRATEGY,
    hoist_call.STRATEGY,
    add_test.STRATEGY,
    *revert.STRATEGIES,
)

STRATEGY_NAMES = tuple(strategy.name for strategy in STRATEGIES)
