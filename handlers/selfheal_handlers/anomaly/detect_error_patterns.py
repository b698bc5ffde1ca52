"""Beat 6 of detect: what fails, and which dependencies do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.analysis.dependencies import detect_pins
from selfheal.analysis.errors import detect_errors
from selfheal.analysis.messages import detect_messages
from selfheal.analysis.model import DetectionData, asked
from selfheal.config import DetectConfig
from selfheal.contract import handler
from selfheal_handlers.anomaly._examples import detection_data
from selfheal_handlers.anomaly._results import Finding


def example(folder: Path) -> dict[str, Any]:
    return {"load_telemetry_data": detection_data(folder), "config": DetectConfig()}


@handler("detect_error_patterns", kind="pure", version="3", contributes=True, example=example)
def detect_error_patterns(
    load_telemetry_data: DetectionData, config: DetectConfig
) -> list[Finding]:
    """Errors and log messages that are new, more frequent or gone; pins that are not kept."""
    found: list[Finding] = []
    for findings in (
        asked(detect_errors, load_telemetry_data, config),
        asked(detect_messages, load_telemetry_data, config),
        asked(detect_pins, load_telemetry_data),
    ):
        found += [*findings.anomalies, *findings.undecided]
    return found
