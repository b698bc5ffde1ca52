"""Orders the anomalies and finds the pairs of releases that they compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomalies
from selfheal.contract import handler
from selfheal.diagnosis.model import AnomalySet, anomaly_set
from selfheal_handlers.diagnosis._examples import build
from selfheal_handlers.diagnosis._results import AnalysisRequest


def example(base: Path) -> Mapping[str, Any]:
    request = AnalysisRequest(anomalies={}, releases=["1.1"])
    return {"anomalies": build(base).anomalies, "analyze_requested": request}


@handler("load_anomalies", kind="stage-crew", example=example)
def load_anomalies(anomalies: Anomalies, analyze_requested: AnalysisRequest) -> AnomalySet:  # noqa: ARG001
    """The anomalies, gravest first, with the releases whose code has to be read."""
    return anomaly_set(anomalies.anomalies)
