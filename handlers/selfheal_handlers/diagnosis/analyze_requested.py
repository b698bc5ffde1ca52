"""Says what is to be explained, before anything is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomalies
from selfheal.contract import handler
from selfheal_handlers.diagnosis._examples import build
from selfheal_handlers.diagnosis._results import AnalysisRequest


def example(base: Path) -> Mapping[str, Any]:
    return {"anomalies": build(base).anomalies}


@handler("analyze_requested", kind="pure", example=example)
def analyze_requested(anomalies: Anomalies) -> AnalysisRequest:
    """Count the anomalies by kind and name the releases that they concern."""
    counts = Counter(anomaly.kind for anomaly in anomalies.anomalies)
    windows = [anomaly.detector.window for anomaly in anomalies.anomalies]
    releases = {window.candidate_release for window in windows if window.candidate_release}
    return AnalysisRequest(
        anomalies={kind: counts[kind] for kind in sorted(counts)}, releases=sorted(releases)
    )
