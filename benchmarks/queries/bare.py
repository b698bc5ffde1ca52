"""The statements of a report, recorded as it is built, and run again with nothing around them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from selfheal.artifacts.dataset import Dataset

Statement = tuple[int, str, Any]


class Recorder:
    """A database connection that notes what it is asked; everything else is the connection's."""

    def __init__(self, connection: Any, number: int, statements: list[Statement]) -> None:
        self._connection = connection
        self._number = number
        self._statements = statements

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        self._statements.append((self._number, sql, parameters))
        return self._connection.execute(sql, parameters)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@contextmanager
def recording() -> Iterator[list[Statement]]:
    """The statements of every connection to a dataset that is opened inside."""
    statements: list[Statement] = []
    connect = Dataset.connect
    opened = 0

    def recorded(dataset: Dataset, *, threads: int | None = 1) -> Any:
        nonlocal opened
        opened += 1
        return Recorder(connect(dataset, threads=threads), opened, statements)

    Dataset.connect = recorded  # type: ignore[method-assign]
    try:
        yield statements
    finally:
        Dataset.connect = connect  # type: ignore[method-assign]


def seconds_of(statements: list[Statement], dataset: Path) -> float:
    """How long DuckDB takes for the statements, with every row fetched, on all cores."""
    connections: dict[int, duckdb.DuckDBPyConnection] = {}
    begun = time.perf_counter()
    for number, sql, parameters in statements:
        if number not in connections:
            connections[number] = _opened(dataset)
        connections[number].execute(sql, parameters)
        if connections[number].description is not None:
            connections[number].fetchall()
    lasted = time.perf_counter() - begun
    for connection in connections.values():
        connection.close()
    return lasted


def _opened(dataset: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    for file in sorted(dataset.glob("*.parquet")):
        connection.execute(f"CREATE VIEW \"{file.stem}\" AS FROM read_parquet('{file}')")
    return connection
