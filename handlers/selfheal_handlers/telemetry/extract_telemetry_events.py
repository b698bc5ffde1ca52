"""Beat 3 of parse: files become rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.config import TelemetryConfig
from selfheal.contract import Workspace, handler
from selfheal.standalone import FolderWorkspace
from selfheal.store.places import take
from selfheal.telemetry.extract import Extracted
from selfheal_handlers.telemetry._examples import found
from selfheal_handlers.telemetry._results import Located


def example(folder: Path) -> dict[str, Any]:
    return {
        "load_log_files": Located(files=found(folder)),
        "config": TelemetryConfig(),
        "workspace": FolderWorkspace(folder),
    }


@handler("extract_telemetry_events", kind="stage-crew", version="3", example=example)
def extract_telemetry_events(
    load_log_files: Located, config: TelemetryConfig, workspace: Workspace
) -> Extracted:
    """Read spans, log records, exceptions, metrics and coverage into Parquet.

    From a database comes only what errors are made of; the rest stays where it lies.
    """
    return take(
        load_log_files.files,
        load_log_files.growing,
        load_log_files.database,
        base=workspace.run_folder,
        path=workspace.folder.relative_to(workspace.run_folder).as_posix(),
        refused_listed=config.refused_listed,
    )
