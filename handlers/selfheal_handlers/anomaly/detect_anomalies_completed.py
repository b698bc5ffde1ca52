"""Beat 9 of detect: the phase in one line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomalies
from selfheal.contract import handler
from selfheal_handlers.anomaly._results import DetectionReport
from selfheal_handlers.anomaly.aggregate_anomaly_results import aggregate_anomaly_results
from selfheal_handlers.anomaly.aggregate_anomaly_results import example as aggregate_example


def example(folder: Path) -> dict[str, Any]:
    return {"anomalies": aggregate_anomaly_results(**aggregate_example(folder))}


@handler("detect_anomalies_completed", kind="pure", example=example)
def detect_anomalies_completed(anomalies: Anomalies) -> DetectionReport:
    """Count the anomalies by kind and name the gravest."""
    found = anomalies.anomalies
    return DetectionReport(
        anomalies=dict(sorted(Counter(anomaly.kind for anomaly in found).items())),
        undecided=len(anomalies.undecided),
        gravest=found[0].title if found else None,
        health=anomalies.health.score,
    )
