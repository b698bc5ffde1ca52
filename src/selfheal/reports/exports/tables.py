"""A table as CSV (RFC 4180, with a header) and as Parquet (zstd)."""

from __future__ import annotations

from typing import Any

from selfheal.reports.blocks import Column, Table


def csv(table: Table | None) -> str:
    """The rows; lists are joined by ``; ``, what was not measured is an empty field."""
    import csv as writing
    import io

    if table is None:
        return ""
    out = io.StringIO()
    writer = writing.writer(out, lineterminator="\r\n")
    writer.writerow([column.key for column in table.columns])
    for row in table.rows:
        writer.writerow([_field(row.get(column.key)) for column in table.columns])
    return out.getvalue()


def _field(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, list):
        return "; ".join("" if one is None else str(one) for one in value)
    return value


def parquet(table: Table | None) -> bytes:
    """The rows with typed columns; an empty report gives a table without columns."""
    import pyarrow as pa
    from pyarrow import parquet as writing

    columns = table.columns if table else ()
    rows = table.rows if table else ()
    arrays = {
        column.key: pa.array(
            [_typed(row.get(column.key), column) for row in rows], type=_type(column, pa)
        )
        for column in columns
    }
    out = pa.BufferOutputStream()
    writing.write_table(pa.table(arrays), out, compression="zstd")
    return bytes(out.getvalue())


def _typed(value: Any, column: Column) -> Any:
    if column.kind in ("ms", "share", "ratio", "number"):
        return None if value is None else float(value)
    if column.kind in ("count", "trend") or value is None:
        return value
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def _type(column: Column, pa: Any) -> Any:
    match column.kind:
        case "count":
            return pa.int64()
        case "ms" | "share" | "ratio" | "number":
            return pa.float64()
        case "trend":
            return pa.list_(pa.float64())
        case _:
            return pa.string()
