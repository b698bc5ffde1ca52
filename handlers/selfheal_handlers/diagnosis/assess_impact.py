"""Joins the causes of one root and weighs them by the requests that they touch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Telemetry
from selfheal.contract import handler
from selfheal.diagnosis import Assessed, Cause
from selfheal.diagnosis.causes import join_causes
from selfheal.diagnosis.impact import assess
from selfheal.diagnosis.model import AnomalySet
from selfheal_handlers.diagnosis.analyze_behavioral_issues import analyze_behavioral_issues
from selfheal_handlers.diagnosis.analyze_coverage_issues import analyze_coverage_issues
from selfheal_handlers.diagnosis.analyze_error_issues import analyze_error_issues
from selfheal_handlers.diagnosis.analyze_error_issues import example as of_errors
from selfheal_handlers.diagnosis.analyze_performance_issues import analyze_performance_issues


def example(base: Path) -> Mapping[str, Any]:
    return arguments_after(of_errors(base))


def arguments_after(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What this beat reads once the analyses have read `given`."""
    return {
        "contributed": [
            *analyze_performance_issues(**given),
            *analyze_behavioral_issues(**given),
            *analyze_coverage_issues(**given),
            *analyze_error_issues(**given),
        ],
        "load_anomalies": given["load_anomalies"],
        "telemetry": given["telemetry"],
    }


@handler("assess_impact", kind="pure", version="3", example=example)
def assess_impact(
    contributed: list[Cause], load_anomalies: AnomalySet, telemetry: Telemetry
) -> list[Assessed]:
    """Every root cause once, gravest first; anomalies that nobody explained get a cause that says so."""
    causes = join_causes(contributed, load_anomalies.anomalies)
    assessed = [assess(cause, load_anomalies.anomalies, telemetry.dataset) for cause in causes]
    return sorted(assessed, key=lambda item: item.rank)
