"""Explains changed steps and state."""

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
from selfheal.diagnosis.state import explain_state
from selfheal_handlers.diagnosis._examples import analysis_arguments


def example(base: Path) -> Mapping[str, Any]:
    return analysis_arguments(base)


@handler("analyze_behavioral_issues", kind="pure", version="2", contributes=True, example=example)
def analyze_behavioral_issues(
    load_anomalies: AnomalySet,
    load_codebase_info: Codebase,
    telemetry: Telemetry,
    config: DiagnoseConfig,
) -> list[Cause]:
    """One cause per change of steps or of state: the code of the step, and who changed it."""
    codebase, dataset = load_codebase_info, telemetry.dataset
    explained = [
        explain_behavior(anomaly, codebase.range_of(anomaly), dataset, config)
        for anomaly in load_anomalies.of("behavioral")
    ]
    explained += [
        explain_state(anomaly, codebase.range_of(anomaly), dataset, config)
        for anomaly in load_anomalies.of("state")
    ]
    return explained
