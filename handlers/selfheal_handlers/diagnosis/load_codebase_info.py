"""Reads from git the code and the changes that the anomalies touch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal.artifacts import Telemetry
from selfheal.codebase.history import History
from selfheal.config import DiagnoseConfig
from selfheal.contract import Workspace, handler
from selfheal.diagnosis.loading import load_codebase
from selfheal.diagnosis.model import AnomalySet, Codebase
from selfheal.standalone import FolderWorkspace
from selfheal_handlers.diagnosis._examples import build


def example(base: Path) -> Mapping[str, Any]:
    made = build(base)
    return {
        "load_anomalies": made.set,
        "telemetry": made.telemetry,
        "config": DiagnoseConfig(),
        "workspace": FolderWorkspace(base, repository=made.repository),
    }


@handler("load_codebase_info", kind="stage-crew", example=example)
def load_codebase_info(
    load_anomalies: AnomalySet, telemetry: Telemetry, config: DiagnoseConfig, workspace: Workspace
) -> Codebase:
    """The function index, relevant sources, changes and blame between the compared releases."""
    history = History(workspace.repository) if workspace.repository else None
    return load_codebase(history, load_anomalies, telemetry, config)
