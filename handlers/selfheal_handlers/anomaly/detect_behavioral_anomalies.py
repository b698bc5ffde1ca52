"""Beat 4 of detect: what runs in another order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.analysis.behaviour import detect_behaviour
from selfheal.analysis.model import DetectionData
from selfheal.config import DetectConfig
from selfheal.contract import handler
from selfheal_handlers.anomaly._examples import detection_data
from selfheal_handlers.anomaly._results import Finding


def example(folder: Path) -> dict[str, Any]:
    return {"load_telemetry_data": detection_data(folder), "config": DetectConfig()}


@handler("detect_behavioral_anomalies", kind="pure", contributes=True, example=example)
def detect_behavioral_anomalies(
    load_telemetry_data: DetectionData, config: DetectConfig
) -> list[Finding]:
    """Traces that break the order contract which good traces of the baseline taught."""
    findings = detect_behaviour(load_telemetry_data, config)
    return [*findings.anomalies, *findings.undecided]
