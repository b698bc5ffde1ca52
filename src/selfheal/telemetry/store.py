"""The dataset on disk: zstd Parquet, one file a table, immutable and content-hashed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from selfheal.artifacts.dataset import Dataset, describe
from selfheal.telemetry.model import DATASET
from selfheal.telemetry.normalize import connect


def store(extracted: Dataset, normalized: Dataset, base: Path, path: str) -> Dataset:
    """Write the normalised dataset under ``base/path`` and return its handle.

    Rows stream from Parquet to Parquet; a table that normalising left as it was is taken
    as it is. What lay in the folder before is replaced.
    """
    folder = base / path
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    with connect(extracted, normalized) as connection:
        for name in DATASET:
            target = folder / f"{name}.parquet"
            if _unchanged(name, normalized):
                _linked(extracted.folder / extracted.tables[name].file, target)
                continue
            quoted = str(target).replace("'", "''")
            # Joins of normalising may have changed the order of extraction.
            order = " ORDER BY id" if "id" in DATASET[name] else ""
            connection.execute(
                f"COPY (SELECT * FROM {name}{order}) TO '{quoted}' "
                "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
            )
    return describe(base, path)


def _linked(file: Path, target: Path) -> None:
    """The same immutable file under a second name, or a copy where that cannot be."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def _unchanged(table: str, normalized: Dataset) -> bool:
    no_duplicates = normalized.tables["duplicates"].rows == 0
    if table == "spans":
        return no_duplicates
    if table == "logs":
        return no_duplicates and normalized.tables["origins"].rows == 0
    return table == "coverage"
