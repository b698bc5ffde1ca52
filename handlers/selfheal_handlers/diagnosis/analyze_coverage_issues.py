"""Explains operations that no test runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Telemetry
from selfheal.contract import handler
from selfheal.diagnosis import Cause, Codebase
from selfheal.diagnosis.coverage import explain_coverage
from selfheal.diagnosis.model import AnomalySet
from selfheal_handlers.diagnosis._examples import build


def example(base: Path) -> Mapping[str, Any]:
    made = build(base)
    return {
        "load_anomalies": made.set,
        "load_codebase_info": made.codebase,
        "telemetry": made.telemetry,
    }


@handler("analyze_coverage_issues", kind="pure", contributes=True, example=example)
def analyze_coverage_issues(
    load_anomalies: AnomalySet, load_codebase_info: Codebase, telemetry: Telemetry
) -> list[Cause]:
    """One cause per gap: the function that runs in production and in no test."""
    return [
        explain_coverage(anomaly, load_codebase_info.range_of(anomaly), telemetry.dataset)
        for anomaly in load_anomalies.of("coverage")
    ]
