"""Files to dataset in one call: what the beats of the parse phase do step by step."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from selfheal.artifacts.dataset import Dataset, write_tables
from selfheal.artifacts.model import Model
from selfheal.artifacts.telemetry import EventCounts, Refused, Source
from selfheal.telemetry.extract import Extracted, extract, find
from selfheal.telemetry.formats import AUTO
from selfheal.telemetry.normalize import normalize
from selfheal.telemetry.store import store


class Ingested(Model):
    """What was read, what was refused, and the dataset."""

    sources: list[Source]
    refused: Refused
    events: EventCounts
    dataset: Dataset


def ingest(
    paths: Sequence[Path],
    base: Path,
    path: str,
    *,
    format: str = AUTO,
    refused_listed: int = 100,
) -> Ingested:
    """Read telemetry at `paths`, normalise it and write the dataset under ``base/path``.

    Raises TelemetryError as `selfheal.telemetry.extract.find` does.
    """
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ingest-", dir=base) as scratch:
        folder = Path(scratch)
        extracted = extract(
            find(paths, format=format), folder, "extracted", refused_listed=refused_listed
        )
        normalized = write_tables(normalize(extracted.dataset), folder, "normalized")
        dataset = store(extracted.dataset, normalized, base, path)
        return Ingested(
            sources=extracted.sources,
            refused=extracted.refused,
            events=counts(extracted, normalized, dataset),
            dataset=dataset,
        )


def counts(extracted: Extracted, normalized: Dataset, dataset: Dataset) -> EventCounts:
    """The counts of telemetry.json: rows of the dataset, and what normalising removed."""
    rows = {name: table.rows for name, table in dataset.tables.items()}
    return EventCounts(
        spans=rows["spans"],
        logs=rows["logs"],
        errors=rows["errors"],
        metrics=rows["metrics"],
        duplicates_removed=normalized.tables["duplicates"].rows,
        without_timestamp=extracted.without_timestamp,
    )
