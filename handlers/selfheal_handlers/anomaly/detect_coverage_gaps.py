"""Beat 5 of detect: what no test covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.analysis.model import DetectionData
from selfheal.analysis.untested import detect_untested
from selfheal.contract import handler
from selfheal_handlers.anomaly._examples import detection_data
from selfheal_handlers.anomaly._results import Finding


def example(folder: Path) -> dict[str, Any]:
    return {"load_telemetry_data": detection_data(folder)}


@handler("detect_coverage_gaps", kind="pure", contributes=True, example=example)
def detect_coverage_gaps(load_telemetry_data: DetectionData) -> list[Finding]:
    """Functions that served requests and of which the suite runs no line."""
    findings = detect_untested(load_telemetry_data)
    return [*findings.anomalies, *findings.undecided]
