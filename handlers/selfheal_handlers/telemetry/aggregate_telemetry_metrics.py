"""Beat 5 of parse: the figures of each operation and release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.artifacts import Dataset
from selfheal.contract import handler
from selfheal.telemetry.extract import Extracted
from selfheal.telemetry.normalize import connect
from selfheal.telemetry.statistics import Aggregates, aggregate
from selfheal_handlers.telemetry._examples import extracted_and_normalized
from selfheal_handlers.telemetry._results import Located


def example(folder: Path) -> dict[str, Any]:
    extracted, normalized = extracted_and_normalized(folder)
    return {
        "load_log_files": Located(),
        "extract_telemetry_events": extracted,
        "normalize_telemetry_data": normalized,
    }


@handler("aggregate_telemetry_metrics", kind="pure", example=example)
def aggregate_telemetry_metrics(
    load_log_files: Located, extract_telemetry_events: Extracted, normalize_telemetry_data: Dataset
) -> Aggregates:
    """Exact percentiles, rates and errors per operation and release; releases; the window."""
    database = load_log_files.database
    if database is not None:
        with database.dataset(normalize_telemetry_data).connect() as connection:
            return aggregate(connection)
    with connect(extract_telemetry_events.dataset, normalize_telemetry_data) as connection:
        return aggregate(connection)
