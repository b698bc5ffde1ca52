"""Explains what neither tests nor documents cover."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Telemetry
from selfheal.config import DiagnoseConfig
from selfheal.contract import handler
from selfheal.diagnosis import Cause, Codebase
from selfheal.diagnosis.coverage import explain_coverage
from selfheal.diagnosis.documentation import explain_documentation
from selfheal.diagnosis.model import AnomalySet
from selfheal_handlers.diagnosis._examples import analysis_arguments


def example(base: Path) -> Mapping[str, Any]:
    return analysis_arguments(base)


@handler("analyze_coverage_issues", kind="pure", version="2", contributes=True, example=example)
def analyze_coverage_issues(
    load_anomalies: AnomalySet,
    load_codebase_info: Codebase,
    telemetry: Telemetry,
    config: DiagnoseConfig,
) -> list[Cause]:
    """One cause per gap: the function that no test runs, the document that tells another story."""
    codebase = load_codebase_info
    gaps = [
        explain_coverage(anomaly, codebase.range_of(anomaly), telemetry.dataset)
        for anomaly in load_anomalies.of("coverage")
    ]
    documents = [
        explain_documentation(anomaly, codebase.range_of(anomaly), config)
        for anomaly in load_anomalies.of("documentation")
    ]
    return [*gaps, *documents]
