"""Beat 2 of parse: the files, with their sizes, hashes and formats, or the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.contract import handler
from selfheal.store.places import locate
from selfheal_handlers.telemetry._examples import telemetry_folder
from selfheal_handlers.telemetry._results import Located, ParseRequest


def example(folder: Path) -> dict[str, Any]:
    paths = [str(telemetry_folder(folder))]
    return {
        "parse_telemetry_requested": ParseRequest(paths=paths, format="auto", refused_listed=100)
    }


@handler("load_log_files", kind="stage-crew", version="3", example=example)
def load_log_files(parse_telemetry_requested: ParseRequest) -> Located:
    """Find the files at and below the requested paths, recognised by their bytes.

    Of a database the window is pinned: rows that come later are another run's.
    """
    request = parse_telemetry_requested
    files, growing, database = locate(request.paths, format=request.format)
    return Located(files=files, growing=growing, database=database)
