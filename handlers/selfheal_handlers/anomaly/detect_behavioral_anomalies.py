"""Beat 4 of detect: what runs in another order, changes other state or is asked for otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.analysis.behaviour import detect_behaviour
from selfheal.analysis.declared_order import detect_declared
from selfheal.analysis.invariants import detect_invariants
from selfheal.analysis.model import DetectionData, asked
from selfheal.analysis.state import detect_state
from selfheal.analysis.topics import detect_topics
from selfheal.analysis.traffic import detect_traffic
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
    """Broken order, learned and declared, unknown topics, spoilt state, and changes of traffic."""
    found: list[Finding] = []
    for detect in (
        detect_behaviour,
        detect_declared,
        detect_topics,
        detect_state,
        detect_invariants,
        detect_traffic,
    ):
        findings = asked(detect, load_telemetry_data, config)
        found += [*findings.anomalies, *findings.undecided]
    return found
