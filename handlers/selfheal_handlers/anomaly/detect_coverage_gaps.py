"""Beat 5 of detect: what no test covers, and what documents tell otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.analysis.documentation import detect_documentation
from selfheal.analysis.documented_flows import detect_documented_flows
from selfheal.analysis.model import DetectionData, asked
from selfheal.analysis.untested import detect_untested
from selfheal.config import DetectConfig
from selfheal.contract import handler
from selfheal_handlers.anomaly._examples import detection_data
from selfheal_handlers.anomaly._results import Finding


def example(folder: Path) -> dict[str, Any]:
    return {"load_telemetry_data": detection_data(folder), "config": DetectConfig()}


@handler("detect_coverage_gaps", kind="pure", version="2", contributes=True, example=example)
def detect_coverage_gaps(load_telemetry_data: DetectionData, config: DetectConfig) -> list[Finding]:
    """Functions that served requests and of which the suite runs no line; documents that err."""
    found: list[Finding] = []
    for findings in (
        asked(detect_untested, load_telemetry_data),
        asked(detect_documentation, load_telemetry_data, config),
        asked(detect_documented_flows, load_telemetry_data, config),
    ):
        found += [*findings.anomalies, *findings.undecided]
    return found
