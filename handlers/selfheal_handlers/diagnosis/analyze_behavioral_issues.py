"""Explains changed steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Telemetry
from selfheal.config import DiagnoseConfig
from selfheal.contract import handler
from selfheal.diagnosis import Cause, Codebase
from selfheal.diagnosis.behavior import explain_behavior
from selfheal.diagnosis.model import AnomalySet
from selfheal_handlers.diagnosis._examples import analysis_arguments


def example(base: Path) -> Mapping[str, Any]:
    return analysis_arguments(base)


@handler("analyze_behavioral_issues", kind="pure", contributes=True, example=example)
def analyze_behavioral_issues(
    load_anomalies: AnomalySet,
    load_codebase_info: Codebase,
    telemetry: Telemetry,
    config: DiagnoseConfig,
) -> list[Cause]:
    """One cause per change of steps: the code that runs the step, and who changed it."""
    return [
        explain_behavior(anomaly, load_codebase_info.range_of(anomaly), telemetry.dataset, config)
        for anomaly in load_anomalies.of("behavioral")
    ]
