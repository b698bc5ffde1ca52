"""Beat 3 of detect: what became slower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.analysis.model import DetectionData
from selfheal.analysis.performance import detect_performance
from selfheal.config import DetectConfig
from selfheal.contract import handler
from selfheal_handlers.anomaly._examples import detection_data
from selfheal_handlers.anomaly._results import Finding


def example(folder: Path) -> dict[str, Any]:
    return {"load_telemetry_data": detection_data(folder), "config": DetectConfig()}


@handler("detect_performance_anomalies", kind="pure", contributes=True, example=example)
def detect_performance_anomalies(
    load_telemetry_data: DetectionData, config: DetectConfig
) -> list[Finding]:
    """Operations that are slower than in the release before, or than earlier in this one."""
    findings = detect_performance(load_telemetry_data, config)
    return [*findings.anomalies, *findings.undecided]
