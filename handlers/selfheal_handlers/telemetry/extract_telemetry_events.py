"""Beat 3 of parse: files become rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.config import TelemetryConfig
from selfheal.contract import Workspace, handler
from selfheal.standalone import FolderWorkspace
from selfheal.telemetry.extract import Extracted, Found, extract
from selfheal_handlers.telemetry._examples import found


def example(folder: Path) -> dict[str, Any]:
    return {
        "load_log_files": found(folder),
        "config": TelemetryConfig(),
        "workspace": FolderWorkspace(folder),
    }


@handler("extract_telemetry_events", kind="stage-crew", version="2", example=example)
def extract_telemetry_events(
    load_log_files: Found, config: TelemetryConfig, workspace: Workspace
) -> Extracted:
    """Read spans, log records, exceptions, metrics and coverage into Parquet."""
    folder = workspace.folder.relative_to(workspace.run_folder).as_posix()
    return extract(
        load_log_files, workspace.run_folder, folder, refused_listed=config.refused_listed
    )
