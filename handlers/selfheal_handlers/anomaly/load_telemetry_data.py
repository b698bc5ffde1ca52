"""Beat 2 of detect: what the detectors share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.analysis.model import DetectionData
from selfheal.analysis.releases import compare
from selfheal.artifacts import Telemetry
from selfheal.config import TestsConfig
from selfheal.contract import Workspace, handler
from selfheal.standalone import FolderWorkspace
from selfheal_handlers.anomaly._declared import declared_flows
from selfheal_handlers.anomaly._examples import telemetry as example_telemetry
from selfheal_handlers.anomaly._promises import promises_of
from selfheal_handlers.anomaly._results import DetectionRequest

TEST_REPORTS = ("junit-xml", "pytest")


def example(folder: Path) -> dict[str, Any]:
    return {
        "telemetry": example_telemetry(folder),
        "detect_anomalies_requested": DetectionRequest(baseline=None, candidate=None),
        "config": TestsConfig(),
        "workspace": FolderWorkspace(folder),
    }


@handler("load_telemetry_data", kind="stage-crew", version="3", example=example)
def load_telemetry_data(
    telemetry: Telemetry,
    detect_anomalies_requested: DetectionRequest,
    config: TestsConfig,
    workspace: Workspace,
) -> DetectionData:
    """Look up the releases of each service and pair them; read what the code promises."""
    request = detect_anomalies_requested
    pairs = compare(telemetry.dataset, baseline=request.baseline, candidate=request.candidate)
    return DetectionData(
        dataset=telemetry.dataset,
        comparisons=pairs,
        promises=promises_of(workspace.repository, telemetry, pairs, config, workspace.folder),
        declared=declared_flows(workspace.repository, request.sequences),
        test_reports=[
            number
            for number, source in enumerate(telemetry.sources)
            if source.format in TEST_REPORTS
        ],
    )
