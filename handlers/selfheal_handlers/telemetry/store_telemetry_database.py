"""Beat 6 of parse: the dataset and telemetry.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfheal.artifacts import Dataset, Telemetry
from selfheal.contract import Workspace, handler
from selfheal.standalone import FolderWorkspace
from selfheal.store.places import keep
from selfheal.telemetry.extract import Extracted
from selfheal.telemetry.ingestion import counts
from selfheal.telemetry.normalize import connect
from selfheal.telemetry.statistics import Aggregates, aggregate
from selfheal_handlers.telemetry._examples import extracted_and_normalized
from selfheal_handlers.telemetry._results import Located


def example(folder: Path) -> dict[str, Any]:
    extracted, normalized = extracted_and_normalized(folder)
    with connect(extracted.dataset, normalized) as connection:
        figures = aggregate(connection)
    return {
        "load_log_files": Located(),
        "extract_telemetry_events": extracted,
        "normalize_telemetry_data": normalized,
        "aggregate_telemetry_metrics": figures,
        "workspace": FolderWorkspace(folder),
    }


@handler(
    "store_telemetry_database", kind="stage-crew", version="3", writes="telemetry", example=example
)
def store_telemetry_database(
    load_log_files: Located,
    extract_telemetry_events: Extracted,
    normalize_telemetry_data: Dataset,
    aggregate_telemetry_metrics: Aggregates,
    workspace: Workspace,
) -> Telemetry:
    """Write the normalised dataset to ``dataset/`` of the run and describe it.

    Where the rows lie in a database, the dataset says where, and holds errors and coverage.
    """
    extracted, figures = extract_telemetry_events, aggregate_telemetry_metrics
    dataset = keep(
        load_log_files.database,
        extracted.dataset,
        normalize_telemetry_data,
        base=workspace.run_folder,
        path="dataset",
    )
    return Telemetry(
        sources=extracted.sources,
        refused=extracted.refused,
        events=counts(extracted, normalize_telemetry_data, dataset),
        window=figures.window,
        releases=figures.releases,
        operations=figures.operations,
        dataset=dataset,
    )
