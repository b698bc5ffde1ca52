"""The strategies: each proposes edits for the problems that it understands."""

from __future__ import annotations

from selfheal.repair.strategies import (
    add_test,
    batch_queries,
    bound_cache,
    close_resource,
    copy_before_change,
    default_value,
    fresh_default,
    guard_conversion,
    guard_index,
    guard_none,
    guard_zero_division,
    handle_exception,
    hoist_call,
    index_join,
    instance_attribute,
    local_state,
    membership_set,
    remove_listener,
    restore_expression,
    restore_setting,
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
    fresh_default.STRATEGY,
    instance_attribute.STRATEGY,
    copy_before_change.STRATEGY,
    local_state.STRATEGY,
    close_resource.STRATEGY,
    bound_cache.STRATEGY,
    remove_listener.STRATEGY,
    restore_setting.STRATEGY,
    add_test.STRATEGY,
    *revert.STRATEGIES,
)

STRATEGY_NAMES = tuple(strategy.name for strategy in STRATEGIES)
