"""Beat 2 of detect: what the detectors share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.analysis.model import DetectionData
from selfheal.analysis.releases import compare
from selfheal.artifacts import Telemetry
from selfheal.contract import handler
from selfheal_handlers.anomaly._examples import telemetry as example_telemetry
from selfheal_handlers.anomaly._results import DetectionRequest


def example(folder: Path) -> dict[str, Any]:
    return {
        "telemetry": example_telemetry(folder),
        "detect_anomalies_requested": DetectionRequest(baseline=None, candidate=None),
    }


@handler("load_telemetry_data", kind="stage-crew", example=example)
def load_telemetry_data(
    telemetry: Telemetry, detect_anomalies_requested: DetectionRequest
) -> DetectionData:
    """Look up the releases of each service in the dataset, and pair them."""
    request = detect_anomalies_requested
    return DetectionData(
        dataset=telemetry.dataset,
        comparisons=compare(
            telemetry.dataset, baseline=request.baseline, candidate=request.candidate
        ),
    )
