"""Beat 6 of parse: the dataset and telemetry.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.artifacts import Dataset, Telemetry
from selfheal.contract import Workspace, handler
from selfheal.standalone import FolderWorkspace
from selfheal.telemetry.extract import Extracted
from selfheal.telemetry.ingest import counts
from selfheal.telemetry.normalize import connect
from selfheal.telemetry.statistics import Aggregates, aggregate
from selfheal.telemetry.store import store
from selfheal_handlers.telemetry._examples import extracted_and_normalized


def example(folder: Path) -> dict[str, Any]:
    extracted, normalized = extracted_and_normalized(folder)
    with connect(extracted.dataset, normalized) as connection:
        figures = aggregate(connection)
    return {
        "extract_telemetry_events": extracted,
        "normalize_telemetry_data": normalized,
        "aggregate_telemetry_metrics": figures,
        "workspace": FolderWorkspace(folder),
    }


@handler(
    "store_telemetry_database", kind="stage-crew", version="2", writes="telemetry", example=example
)
def store_telemetry_database(
    extract_telemetry_events: Extracted,
    normalize_telemetry_data: Dataset,
    aggregate_telemetry_metrics: Aggregates,
    workspace: Workspace,
) -> Telemetry:
    """Write the normalised dataset to ``dataset/`` of the run and describe it."""
    extracted, figures = extract_telemetry_events, aggregate_telemetry_metrics
    dataset = store(extracted.dataset, normalize_telemetry_data, workspace.run_folder, "dataset")
    return Telemetry(
        sources=extracted.sources,
        refused=extracted.refused,
        events=counts(extracted, normalize_telemetry_data, dataset),
        window=figures.window,
        releases=figures.releases,
        operations=figures.operations,
        dataset=dataset,
    )
