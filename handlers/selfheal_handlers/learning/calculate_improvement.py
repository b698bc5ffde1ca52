"""Say how much better each operation became."""

from __future__ import annotations

from selfheal.contract import handler
from selfheal.learning.assessment import Improvement, improvement_of
from selfheal.learning.observation import Comparison
from selfheal_handlers.learning import _examples


@handler("calculate_improvement", kind="pure", example=_examples.calculate_improvement)
def calculate_improvement(compare_metrics: list[Comparison]) -> list[Improvement]:
    """The relative improvement of each measure with its interval; None where there is no data."""
    return [improvement_of(comparison) for comparison in compare_metrics]
