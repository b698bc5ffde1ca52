"""Beat 3 of detect: what became slower, misses its objective or left its usual course."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.analysis.metrics import detect_metrics
from selfheal.analysis.model import DetectionData, asked
from selfheal.analysis.objectives import detect_objectives
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
    """Slower operations, objectives that are missed, and metrics off their usual course."""
    found: list[Finding] = []
    for findings in (
        asked(detect_performance, load_telemetry_data, config),
        asked(detect_objectives, load_telemetry_data, config),
        asked(detect_metrics, load_telemetry_data),
    ):
        found += [*findings.anomalies, *findings.undecided]
    return found
