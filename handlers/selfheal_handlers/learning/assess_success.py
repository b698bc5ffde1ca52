"""Judge success: the same detector, and a real improvement."""

from __future__ import annotations

from selfheal.config import LearnConfig
from selfheal.contract import handler
from selfheal.learning.assessment import Assessments, Improvement, assess_all
from selfheal_handlers.learning import _examples


@handler("assess_success", kind="pure", example=_examples.assess_success)
def assess_success(
    config: LearnConfig, calculate_improvement: list[Improvement] | None = None
) -> Assessments:
    """Success, failure or undecided; what was not observed is undecided."""
    return assess_all(calculate_improvement or [], config.minimum_improvement)
