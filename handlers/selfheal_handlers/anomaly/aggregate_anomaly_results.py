"""Beat 7 of detect: one list, gravest first, with the health score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.analysis.aggregate import aggregate
from selfheal.analysis.errors import detect_errors
from selfheal.analysis.model import DetectionData
from selfheal.artifacts import Anomalies
from selfheal.config import DetectConfig
from selfheal.contract import handler
from selfheal_handlers.anomaly._examples import detection_data
from selfheal_handlers.anomaly._results import Finding


def example(folder: Path) -> dict[str, Any]:
    data = detection_data(folder)
    contributed: list[Finding] = [*detect_errors(data, DetectConfig()).anomalies]
    return {"contributed": contributed, "load_telemetry_data": data, "config": DetectConfig()}


@handler("aggregate_anomaly_results", kind="pure", example=example)
def aggregate_anomaly_results(
    contributed: list[Finding], load_telemetry_data: DetectionData, config: DetectConfig
) -> Anomalies:
    """Put together what all detectors found, those of the project included."""
    return aggregate(contributed, load_telemetry_data, config)
