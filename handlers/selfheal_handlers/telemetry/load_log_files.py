"""Beat 2 of parse: the files, with their sizes, hashes and formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.contract import handler
from selfheal.telemetry.extract import Found, find
from selfheal_handlers.telemetry._examples import telemetry_folder
from selfheal_handlers.telemetry._results import ParseRequest


def example(folder: Path) -> dict[str, Any]:
    paths = [str(telemetry_folder(folder))]
    return {
        "parse_telemetry_requested": ParseRequest(paths=paths, format="auto", refused_listed=100)
    }


@handler("load_log_files", kind="stage-crew", version="2", example=example)
def load_log_files(parse_telemetry_requested: ParseRequest) -> Found:
    """Find the files at and below the requested paths and recognise each by its bytes."""
    request = parse_telemetry_requested
    return find([Path(path) for path in request.paths], format=request.format)
