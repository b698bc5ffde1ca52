"""End the cycle."""

from __future__ import annotations

from selfheal.artifacts import Patterns
from selfheal.contract import handler
from selfheal.learning.assessment import Assessments
from selfheal_handlers.learning import _examples
from selfheal_handlers.learning._results import Tracked


@handler("track_completed", kind="pure", example=_examples.track_completed)
def track_completed(patterns: Patterns, assess_success: Assessments | None = None) -> Tracked:
    """The verdict on the cycle and what the library holds."""
    return Tracked(
        verdict=assess_success.verdict if assess_success else "undecided",
        patterns=len(patterns.patterns),
        insights=len(patterns.insights),
    )
