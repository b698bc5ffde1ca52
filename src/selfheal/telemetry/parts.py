"""Many Parquet files become one without being decoded.

Processes that read telemetry side by side each write the rows of a table to a part. The
table is the parts' row groups one after the other: their bytes are copied as they are,
and a new footer says where they lie now. Parts have no column `id`, because only the
whole knows how many rows come before: it is written here, and takes its place in every
row group. Source of the layout: apache/parquet-format, parquet.thrift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from selfheal.telemetry import thrift
from selfheal.telemetry.model import ColumnType, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_DISTINCT = frozenset(
    ("trace_id", "span_id", "parent_span_id", "start_ns", "end_ns", "time_ns", "duration_ms")
)
_MAGIC = b"PAR1"
_ROWS_OF_FILE, _ROW_GROUPS = 3, 4
_COLUMNS, _BYTES, _ROWS, _FILE_OFFSET, _COMPRESSED, _ORDINAL = 1, 2, 3, 5, 6, 7
_CHUNK_OFFSET, _CHUNK_META = 2, 3
_META_UNCOMPRESSED, _META_COMPRESSED = 6, 7
# Where pages, index pages, the dictionary and the Bloom filter of a column chunk begin.
_META_OFFSETS = (9, 10, 11, 14)


def part_schema(columns: Mapping[str, ColumnType]) -> pa.Schema:
    """The Arrow schema of a part: the columns of its table without `id`."""
    return arrow_schema({name: kind for name, kind in columns.items() if name != "id"})


def writer(file: Path, schema: pa.Schema) -> parquet.ParquetWriter:
    """A writer for a part. Dictionaries are kept for what repeats; ids and times do not."""
    from pyarrow import parquet

    repeating = [name for name in schema.names if name not in _DISTINCT]
    return parquet.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=repeating, write_batch_size=8192
    )


def join(parts: Sequence[Path], columns: Mapping[str, ColumnType], target: Path) -> None:
    """Write the rows of all parts, in order and numbered, to the one file `target`.

    Parts are of the `part_schema` of `columns`, written by pyarrow in one go, zstd.
    """
    groups: list[thrift.Struct] = []
    with target.open("wb") as output:
        output.write(_MAGIC)
        for part in parts:
            groups += [group for group in _copied(part, output) if _value(group, _ROWS)]
        if "id" in columns and groups:
            numbers = target.with_suffix(".numbers")
            _write_numbers([_value(group, _ROWS) for group in groups], numbers)
            for group, ids in zip(groups, _copied(numbers, output), strict=True):
                _put_first(group, ids)
            numbers.unlink()
        for ordinal, group in enumerate(groups):
            if ordinal < 2**15:
                group[_ORDINAL] = (thrift.I16, ordinal)
            else:
                group.pop(_ORDINAL, None)
        footer = _empty_footer(columns, target.with_suffix(".empty"))
        footer[_ROWS_OF_FILE] = (thrift.I64, sum(_value(group, _ROWS) for group in groups))
        footer[_ROW_GROUPS] = (thrift.LIST, (thrift.STRUCT, groups))
        content = thrift.encoded(footer)
        output.write(content + len(content).to_bytes(4, "little") + _MAGIC)


def _copied(part: Path, output: IO[bytes]) -> list[thrift.Struct]:
    """Copy the pages of a part; its row groups, as they lie in `output` now."""
    footer, end = _footer(part)
    shift = output.tell() - len(_MAGIC)
    with part.open("rb") as content:
        content.seek(len(_MAGIC))
        left = end - len(_MAGIC)
        while left and (block := content.read(min(left, 1 << 22))):
            output.write(block)
            left -= len(block)
    groups: list[thrift.Struct] = footer[_ROW_GROUPS][1][1]
    for group in groups:
        _shift(group, _FILE_OFFSET, shift)
        for chunk in group[_COLUMNS][1][1]:
            _shift(chunk, _CHUNK_OFFSET, shift)
            for field in _META_OFFSETS:
                _shift(chunk[_CHUNK_META][1], field, shift)
    return groups


def _shift(struct: thrift.Struct, field: int, by: int) -> None:
    if field in struct and struct[field][1]:
        kind, offset = struct[field]
        struct[field] = (kind, offset + by)


def _put_first(group: thrift.Struct, ids: thrift.Struct) -> None:
    """Give a row group the column of another one, in the first place."""
    (chunk,) = ids[_COLUMNS][1][1]
    group[_COLUMNS][1][1].insert(0, chunk)
    meta = chunk[_CHUNK_META][1]
    for field, size in ((_BYTES, _META_UNCOMPRESSED), (_COMPRESSED, _META_COMPRESSED)):
        if field in group:
            kind, value = group[field]
            group[field] = (kind, value + _value(meta, size))


def _value(struct: thrift.Struct, field: int) -> Any:
    return struct[field][1]


def _footer(file: Path) -> tuple[thrift.Struct, int]:
    """A file's footer, and where it begins."""
    with file.open("rb") as content:
        size = content.seek(-8, 2)
        length = int.from_bytes(content.read(4), "little")
        content.seek(size - length)
        return thrift.decoded(content.read(length)), size - length


def _empty_footer(columns: Mapping[str, ColumnType], file: Path) -> thrift.Struct:
    """The footer of a table without rows, with its schema, as pyarrow writes it."""
    from pyarrow import parquet

    parquet.write_table(arrow_schema(columns).empty_table(), file, compression="zstd")
    footer, _ = _footer(file)
    file.unlink()
    return footer


def _write_numbers(sizes: Sequence[int], file: Path) -> None:
    """A file of one column `id` that counts from 0, in row groups of these sizes."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([("id", pa.int64())])
    first = 0
    with parquet.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=False,
        column_encoding={"id": "DELTA_BINARY_PACKED"},
    ) as writer:
        for size in sizes:
            ids = pa.array(np.arange(first, first + size, dtype=np.int64))
            writer.write_table(pa.Table.from_arrays([ids], schema=schema), row_group_size=size)
            first += size
