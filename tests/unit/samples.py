"""Reading the samples of `tests/resources/telemetry` in tests."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from selfheal.artifacts import Dataset
from selfheal.telemetry import Ingested, ingest
from selfheal.telemetry.formats import reader_named
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

SAMPLES = Path(__file__).parents[1] / "resources" / "telemetry"


def read(tmp_path: Path, *paths: Path, **options: Any) -> Ingested:
    """Ingest files; each call has its own folder."""
    number = sum(1 for _ in tmp_path.glob("ingested-*"))
    return ingest(list(paths), tmp_path / f"ingested-{number}", "dataset", **options)


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    """A file with this content."""
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def only(dataset: Dataset, sql: str) -> dict[str, Any]:
    """The one row of a query."""
    (row,) = dataset.rows(sql)
    return row


def account(folder: Path, format: str, content: bytes) -> tuple[Lines, Sink]:
    """Read bytes by one reader: what it says of lines and events."""
    lines = Lines(io.BytesIO(content))
    with Sink(folder, refused_listed=10_000) as sink:
        sink.begin(0, "file")
        reader_named(format).read(lines, sink)
    return lines, sink
