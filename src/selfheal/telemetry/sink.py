"""Where readers put events: rows in batches, written as Parquet while reading goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from selfheal.artifacts.telemetry import Refused, RefusedLine
from selfheal.telemetry.model import EXTRACTED, ColumnType, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 32_768


class TableWriter:
    """One table on its way to a Parquet file; at the most `BATCH_ROWS` rows are in memory."""

    def __init__(self, file: Path, columns: Mapping[str, ColumnType]) -> None:
        from pyarrow import parquet

        self._schema = arrow_schema(columns)
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[tuple[Any, ...]] = []
        self.written = 0

    def add(self, row: tuple[Any, ...]) -> None:
        """Append a row, values in the order of the columns."""
        self._rows.append(row)
        self.written += 1
        if len(self._rows) >= BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        columns = [
            _array(values, field.type)
            for values, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._rows.clear()

    def close(self) -> None:
        self._flush()
        self._writer.close()


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values, type=kind)
    except UnicodeEncodeError:
        # JSON can spell halves of surrogate pairs, which are no text.
        cleaned = [value and value.encode("utf-8", "replace").decode() for value in values]
        return pa.array(cleaned, type=kind)


class Sink:
    """The tables of an extraction, and the account of what was refused.

    `source` is the index of the file that is being read. A context manager: leaving it
    ends the Parquet files, empty ones too.
    """

    def __init__(self, folder: Path, *, refused_listed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._tables = {
            name: TableWriter(folder / f"{name}.parquet", columns)
            for name, columns in EXTRACTED.items()
        }
        self.spans = self._tables["spans"]
        self.logs = self._tables["logs"]
        self.exceptions = self._tables["exceptions"]
        self.coverage = self._tables["coverage"]
        self.metrics = self._tables["metrics"]
        self.source = 0
        self.name = ""
        self.without_timestamp = 0
        self.failing_tests = 0
        self.refused_in_source = 0
        self._refused_total = 0
        self._listed: list[RefusedLine] = []
        self._room = refused_listed

    def begin(self, source: int, name: str) -> None:
        """The events that follow come from this file."""
        self.source, self.name, self.refused_in_source = source, name, 0

    def refuse(self, line: int, reason: str) -> None:
        """A line, or an event on it, that cannot be read. Counted always, listed while there is room."""
        self.refused_in_source += 1
        self._refused_total += 1
        if len(self._listed) < self._room:
            self._listed.append(RefusedLine(file=self.name, line=line, reason=reason))

    @property
    def refused(self) -> Refused:
        return Refused(total=self._refused_total, listed=self._listed)

    @property
    def events(self) -> int:
        """Events so far: an exception inside a span or a log record is part of it."""
        return self.failing_tests + sum(
            table.written for table in (self.spans, self.logs, self.coverage, self.metrics)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for table in self._tables.values():
            table.close()
