"""A dataset whose rows lie in ClickHouse, behind the face of a DuckDB connection.

Analyses are written for DuckDB and ask a `Dataset` for a connection. Where the rows stay
in a database, they get a `RemoteConnection`: it runs a statement

* in DuckDB, where everything that it reads is here (errors, coverage, what was made of
  them),
* in the database, translated, where it reads rows that lie there; small tables that are
  here are sent along with it.

A temporary table over remote rows is no table but the name of its statement: it becomes a
subquery of the statements that read it. Nothing is written to the database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from selfheal.artifacts.dataset import Dataset
from selfheal.errors import InvalidInput, TelemetryError
from selfheal.store.model import Period
from selfheal.telemetry.model import DATASET, arrow_schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from sqlglot import exp


class RemoteConnection:
    """What analyses use of a DuckDB connection: execute, fetch, description, a context manager.

    Values are Python's, attributes JSON text. Raises InvalidInput for a statement that has
    no equivalent there, ServiceError where the server does not answer, TelemetryError
    where the window no longer holds the rows that were parsed.
    """

    def __init__(self, dataset: Dataset, *, threads: int | None = 1) -> None:
        from selfheal.store.clickhouse import ClickHouseStore

        assert dataset.remote is not None
        self._period = Period(dataset.remote.since_ns, dataset.remote.until_ns)
        self._store = ClickHouseStore(dataset.remote.url)
        self._local = dataset.connect_files(threads=threads)
        self._here = {name.lower() for name, table in dataset.tables.items() if table.file}
        self._made: dict[str, exp.Query] = {}
        self._columns: list[str] = []
        self._rows: list[tuple[Any, ...]] | None = None
        self._complete()
        self._check(dataset)

    def _complete(self) -> None:
        """Tables of the event model that are nowhere are empty ones."""
        for name, columns in DATASET.items():
            if name not in self._here and name not in self._store.layout.sources():
                self.register(name, arrow_schema(columns).empty_table())

    def _check(self, dataset: Dataset) -> None:
        """That the database still has as many rows in the window; old ones may have expired."""
        for name, table in dataset.tables.items():
            if table.file:
                continue
            (found,) = self.execute(f"SELECT count(*) FROM {name}").fetchall()[0]
            if found != table.rows:
                raise TelemetryError(
                    f"the table {name} had {table.rows} rows when it was parsed, and has {found}.",
                    where=self._store.place,
                    hint="Parse again: selfheal run --phase parse",
                )

    def execute(self, sql: str, parameters: Any = ()) -> Self:
        """Run a SELECT, or name a temporary table or view. `parameters` by name."""
        import sqlglot
        from sqlglot import exp

        from selfheal.store.dialect import parsed

        tree = sqlglot.parse_one(sql, read="duckdb")
        if not isinstance(tree, exp.Create):
            query = _bound(parsed(sql), parameters)
            return self._select(query, sql, parameters)
        name = tree.this.name.lower()
        query = _bound(tree.expression, parameters)
        self._columns, self._rows = [], None
        self._made.pop(name, None)
        if self._is_here(query):
            self._local.execute(sql, parameters)
            self._here.add(name)
        else:
            self._here.discard(name)
            self._made[name] = query
        return self

    def _is_here(self, query: exp.Query) -> bool:
        from selfheal.store.dialect import tables_of

        return set(tables_of(query)) <= self._here

    def _select(self, query: exp.Query, sql: str, parameters: Any) -> Self:
        if self._is_here(query):
            cursor = self._local.execute(sql, parameters)
            self._columns = [column[0] for column in cursor.description or ()]
            self._rows = cursor.fetchall()
            return self
        from selfheal.store.dialect import translate_tree

        shipped = {name: self._arrow(name) for name in self._shipped(query)}
        statement = translate_tree(query, self._store.layout, {}, self._period, self._made)
        self._columns, rows = self._store.run(statement, external=shipped)
        self._rows = _as_text(self._columns, rows)
        return self

    def _shipped(self, query: exp.Query) -> list[str]:
        """The tables that are here and that a statement reads, directly or through names."""
        from selfheal.store.dialect import tables_of

        found: set[str] = set()
        seen: set[str] = set()
        ahead = [query]
        while ahead:
            for table in tables_of(ahead.pop()):
                if table in self._here:
                    found.add(table)
                elif table in self._made and table not in seen:
                    seen.add(table)
                    ahead.append(self._made[table])
        return sorted(found)

    def _arrow(self, name: str) -> pa.Table:
        return self._local.sql(f'SELECT * FROM "{name}"').to_arrow_table()

    @property
    def description(self) -> list[tuple[str]] | None:
        return [(name,) for name in self._columns] if self._rows is not None else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows, self._rows = self._rows or [], []
        return rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows.pop(0) if self._rows else None

    def fetchnumpy(self) -> Mapping[str, NDArray[np.generic]]:
        import numpy as np

        rows = self.fetchall()
        columns = zip(*rows, strict=True) if rows else [()] * len(self._columns)
        return {
            name: np.asarray(values, dtype=object if _is_text(values) else None)
            for name, values in zip(self._columns, columns, strict=True)
        }

    def register(self, name: str, table: pa.Table) -> Self:
        """Name an Arrow table, which is here."""
        self._local.register(name, table)
        self._here.add(name.lower())
        return self

    def sql(self, query: str, params: Any = ()) -> Self:
        """As DuckDB's: the relation of a query, for `to_arrow_table`."""
        return self.execute(query, params)

    def to_arrow_table(self) -> pa.Table:
        import pyarrow as pa

        rows = self.fetchall()
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self._columns)
        return pa.table({n: pa.array(v) for n, v in zip(self._columns, columns, strict=True)})

    def close(self) -> None:
        self._local.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def connect(dataset: Dataset, *, threads: int | None = 1) -> RemoteConnection:
    """A connection to a dataset with `remote` tables."""
    return RemoteConnection(dataset, threads=threads)


def _bound(tree: exp.Query, parameters: Any) -> exp.Query:
    """The statement with its parameters' values in their places. Raises InvalidInput."""
    from sqlglot import exp

    given: Mapping[str, Any] = (
        parameters
        if isinstance(parameters, Mapping)
        else {str(number): value for number, value in enumerate(parameters, 1)}
    )
    unnamed = iter(range(1, len(given) + 1))

    def value(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Placeholder | exp.Parameter):
            return node
        name = node.name if node.name not in ("", "?") else str(next(unnamed, ""))
        if name not in given:
            raise InvalidInput(f"the parameter {name} has no value.", where="SQL")
        converted = exp.convert(given[name])
        # A list without elements has no type by itself.
        return exp.cast(converted, "VARCHAR[]") if given[name] == [] else converted

    bound = tree.transform(value)
    assert isinstance(bound, exp.Query)
    return bound


def _as_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The rows with attributes as JSON text, as they are in files."""
    maps = {place for place, name in enumerate(columns) if name == "attributes"}
    return [
        tuple(
            json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
            if place in maps and isinstance(value, Mapping)
            else value
            for place, value in enumerate(row)
        )
        for row in rows
    ]


def _is_text(values: Sequence[Any]) -> bool:
    return any(isinstance(value, str) or value is None for value in values)
