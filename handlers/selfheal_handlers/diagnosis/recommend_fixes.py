"""Names the kinds of fix to try for each cause."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Diagnosis
from selfheal.contract import handler
from selfheal.diagnosis import Assessed
from selfheal.diagnosis.recommendations import recommend
from selfheal_handlers.diagnosis.assess_impact import assess_impact
from selfheal_handlers.diagnosis.assess_impact import example as of_assessment


def example(base: Path) -> Mapping[str, Any]:
    return {"assess_impact": assess_impact(**of_assessment(base))}


@handler("recommend_fixes", kind="pure", example=example)
def recommend_fixes(assess_impact: list[Assessed]) -> list[Diagnosis]:
    """The finished diagnoses in the order of their causes."""
    return [recommend(assessed) for assessed in assess_impact]
