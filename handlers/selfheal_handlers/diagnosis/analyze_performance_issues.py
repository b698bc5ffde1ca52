"""Explains slow operations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Telemetry
from selfheal.config import DiagnoseConfig
from selfheal.contract import handler
from selfheal.diagnosis import Cause, Codebase
from selfheal.diagnosis.model import AnomalySet
from selfheal.diagnosis.performance import explain_slowness
from selfheal_handlers.diagnosis._examples import analysis_arguments


def example(base: Path) -> Mapping[str, Any]:
    return analysis_arguments(base)


@handler("analyze_performance_issues", kind="pure", contributes=True, example=example)
def analyze_performance_issues(
    load_anomalies: AnomalySet,
    load_codebase_info: Codebase,
    telemetry: Telemetry,
    config: DiagnoseConfig,
) -> list[Cause]:
    """One cause per slow piece of code: where time grew, what changed there, since which commit."""
    slow = load_anomalies.of("performance")
    return explain_slowness(slow, load_codebase_info, telemetry.dataset, config)
