"""Beat 4 of parse: duplicates found, errors grouped, log records placed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.artifacts import Tables
from selfheal.contract import handler
from selfheal.telemetry.extract import Extracted
from selfheal.telemetry.normalize import normalize
from selfheal_handlers.telemetry._examples import extracted


def example(folder: Path) -> dict[str, Any]:
    return {"extract_telemetry_events": extracted(folder)}


@handler("normalize_telemetry_data", kind="pure", version="2", example=example)
def normalize_telemetry_data(extract_telemetry_events: Extracted) -> Tables:
    """The tables `errors`, `duplicates` and `origins` (see `selfheal.telemetry.normalize`)."""
    return Tables(normalize(extract_telemetry_events.dataset))
