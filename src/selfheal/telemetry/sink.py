"""Where readers put events: rows in batches, written as Parquet while reading goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from selfheal.artifacts.telemetry import Refused, RefusedLine
from selfheal.telemetry.model import EXTRACTED, ColumnType
from selfheal.telemetry.parts import part_schema, writer

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

BATCH_ROWS = 32_768
GROUP_ROWS = 122_880
GROUP_BYTES = 1 << 27


class TableWriter:
    """One table on its way to a part (see `selfheal.telemetry.parts`), made with the first row.

    Rows come one by one or as columns; at the most `GROUP_ROWS` of them are in memory.
    """

    def __init__(self, file: Path, columns: Mapping[str, ColumnType]) -> None:
        self._file = file
        self._schema = part_schema(columns)
        self._numbered = "id" in columns
        self._writer: parquet.ParquetWriter | None = None
        self._rows: list[tuple[Any, ...]] = []
        self._batches: list[pa.RecordBatch] = []
        self._waiting = self._bytes = 0
        self.written = 0

    @property
    def names(self) -> list[str]:
        """The columns that `add_columns` takes."""
        return list(self._schema.names)

    def add(self, row: tuple[Any, ...]) -> None:
        """Append a row, values in the order of the columns."""
        self._rows.append(row)
        self.written += 1
        if len(self._rows) >= BATCH_ROWS:
            self._columns_of_rows()

    def add_columns(self, columns: Mapping[str, pa.Array], rows: int) -> None:
        """Append rows given as columns, by name and of their types, all but `id`."""
        import pyarrow as pa

        self._columns_of_rows()
        arrays = [columns[name] for name in self._schema.names]
        self._put(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self.written += rows

    def _columns_of_rows(self) -> None:
        import pyarrow as pa

        if self._rows:
            values = list(zip(*self._rows, strict=True))[self._numbered :]
            columns = [
                _array(column, field.type)
                for column, field in zip(values, self._schema, strict=True)
            ]
            self._rows.clear()
            self._put(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def _put(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._waiting += batch.num_rows
        self._bytes += batch.nbytes
        if self._waiting >= GROUP_ROWS or self._bytes > GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._batches:
            table = pa.Table.from_batches(self._batches, self._schema)
            if self._writer is None:
                self._writer = writer(self._file, self._schema)
            self._writer.write_table(table, row_group_size=len(table))
            self._batches.clear()
            self._waiting = self._bytes = 0

    def close(self) -> None:
        self._columns_of_rows()
        self._flush()
        if self._writer is not None:
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
    ends the parts in `folder`; a table without rows has none.
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
