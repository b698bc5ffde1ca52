"""Writes diagnosis.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Diagnoses, Diagnosis
from selfheal.contract import handler
from selfheal_handlers.diagnosis.recommend_fixes import example as of_recommendations
from selfheal_handlers.diagnosis.recommend_fixes import recommend_fixes as recommend


def example(base: Path) -> Mapping[str, Any]:
    return {"recommend_fixes": recommend(**of_recommendations(base))}


@handler("store_diagnosis", kind="stage-crew", writes="diagnosis", example=example)
def store_diagnosis(recommend_fixes: list[Diagnosis]) -> Diagnoses:
    """The payload of diagnosis.json, gravest first."""
    return Diagnoses(diagnoses=recommend_fixes)
