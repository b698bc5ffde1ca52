"""Handles to columnar data: Parquet files on disk, Arrow tables in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import PrivateAttr, SerializerFunctionWrapHandler, model_serializer

from selfheal.artifacts.canonical import sha256_of_file
from selfheal.artifacts.model import Model
from selfheal.errors import JournalError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# Named, not imported: the store stands above the artifacts.
_REMOTE = "selfheal.store.remote"


@dataclass(frozen=True)
class Tables:
    """Arrow tables by name, as a handler returns them; stored as one Parquet file each."""

    tables: Mapping[str, pa.Table]


class DatasetTable(Model):
    """One Parquet file: its path relative to the dataset's folder, rows and hash.

    A table whose rows stay in a database has no file: `sha256` is the hash of what the
    database says of them (see `Remote`).
    """

    file: str
    rows: int
    sha256: str


class Remote(Model):
    """Where the rows lie that were not copied: a database and the window of time of a run.

    `url` holds no password. Events from `since_ns` on and before `until_ns` (nanoseconds
    since 1970 UTC) belong to the window, which is pinned when it is parsed.
    """

    url: str
    since_ns: int | None
    until_ns: int | None


class Dataset(Model):
    """An immutable set of Parquet tables, content-hashed.

    Tables without a file lie in the database `remote`, and are asked there.

    `path` is relative to the run folder. A handle is bound to that folder by
    `located` before it is read; the engine binds every handle that it passes, by
    validating with the folder as ``context={"base": …}``.
    """

    path: str
    tables: dict[str, DatasetTable]
    remote: Remote | None = None
    _base: Path | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any) -> None:
        if isinstance(context, Mapping) and "base" in context:
            self._base = context["base"]

    @model_serializer(mode="wrap")
    def _without_what_is_not(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Handles of files alone look as they did before there were others."""
        found: dict[str, Any] = handler(self)
        if self.remote is None:
            found.pop("remote", None)
        return found

    def located(self, base: Path) -> Dataset:
        """The same handle, bound to the folder that `path` is relative to."""
        bound = self.model_copy()
        bound._base = base
        return bound

    @property
    def folder(self) -> Path:
        if self._base is None:
            raise JournalError(f"the dataset {self.path} is not bound to a run folder.")
        return self._base / self.path

    def connect(self, *, threads: int | None = 1) -> duckdb.DuckDBPyConnection:
        """A private in-memory DuckDB connection with one view per table.

        Sessions run in UTC, and on one thread so that equal rows give equal answers: sums
        of floating-point numbers, the first of several, depend on the order. None takes
        every core, for questions whose answers do not.
        """
        if self.remote is not None:
            opener = import_module(_REMOTE)
            return cast("duckdb.DuckDBPyConnection", opener.connect(self, threads=threads))
        return self.connect_files(threads=threads)

    def connect_files(self, *, threads: int | None = 1) -> duckdb.DuckDBPyConnection:
        """A connection to the tables that are files."""
        connection = session(threads)
        for name, table in self.tables.items():
            if not table.file:
                continue
            file = str(self.folder / table.file).replace("'", "''")
            connection.execute(f"CREATE VIEW \"{name}\" AS SELECT * FROM read_parquet('{file}')")
        return connection

    def rows(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[dict[str, Any]]:
        """The rows that a query gives, as dictionaries. For small results."""
        with self.connect() as connection:
            cursor = connection.execute(sql, parameters)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def arrow(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> pa.Table:
        """The result of a query as an Arrow table."""
        with self.connect() as connection:
            return connection.sql(sql, params=parameters).to_arrow_table()


def session(threads: int | None) -> duckdb.DuckDBPyConnection:
    """An empty in-memory database in UTC; `threads` None is one a core."""
    import duckdb

    connection = duckdb.connect(":memory:")
    # A bar of DuckDB's would be drawn into what selfheal itself prints.
    connection.execute(
        "SET TimeZone = 'UTC'; SET preserve_insertion_order = true; SET enable_progress_bar = false"
    )
    if threads is not None:
        connection.execute(f"SET threads = {threads}")
    return connection


def write_tables(tables: Mapping[str, pa.Table], base: Path, path: str) -> Dataset:
    """Write Arrow tables as zstd Parquet under ``base/path`` and return their handle."""
    from pyarrow import parquet

    folder = base / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        parquet.write_table(table, folder / f"{name}.parquet", compression="zstd")
    return describe(base, path)


def describe(base: Path, path: str) -> Dataset:
    """The handle of the Parquet files that already lie in ``base/path``."""
    from pyarrow import parquet

    tables = {
        file.stem: DatasetTable(
            file=file.name,
            rows=parquet.read_metadata(file).num_rows,
            sha256=sha256_of_file(file),
        )
        for file in sorted((base / path).glob("*.parquet"))
    }
    return Dataset(path=path, tables=tables).located(base)
