"""Telemetry datasets written column by column, so that a benchmark waits for no parser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from selfheal.artifacts import Dataset
from selfheal.artifacts.dataset import describe
from selfheal.telemetry.model import DATASET, arrow_schema

START = 1_714_564_800_000_000_000
MINUTE = 60_000_000_000


def write(folder: Path, spans: Mapping[str, Any], **others: Mapping[str, Any]) -> Dataset:
    """A dataset under `folder` whose spans have these columns (arrays, or one value for all).

    `others` are the columns of other tables, by the table's name.
    """
    target = folder / "dataset"
    target.mkdir(parents=True)
    given = {"spans": spans, **others}
    for name, columns in DATASET.items():
        schema = arrow_schema(columns)
        told = given.get(name, {})
        rows = max(
            (len(column) for column in told.values() if not isinstance(column, str)), default=0
        )
        arrays = {field.name: _column(told.get(field.name), field.type, rows) for field in schema}
        parquet.write_table(pa.table(arrays, schema=schema), target / f"{name}.parquet")
    return describe(folder, "dataset")


def _column(values: Any, kind: pa.DataType, rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(rows, kind)
    if isinstance(values, str):
        return pa.repeat(pa.scalar(values, kind), rows)
    return pa.array(values, kind)
