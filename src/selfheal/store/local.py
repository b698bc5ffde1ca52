"""A dataset on this machine, asked by DuckDB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from selfheal.errors import InvalidInput
from selfheal.store.model import ALWAYS, TIME_COLUMN, Answer, Period

if TYPE_CHECKING:
    import duckdb


class Connectable(Protocol):
    """What gives a DuckDB connection whose views are the tables of the event model."""

    def connect(self) -> duckdb.DuckDBPyConnection: ...


class LocalStore:
    """A store over anything that `connect`s: a run's `Dataset`, or a folder that grows."""

    def __init__(self, source: Connectable) -> None:
        self._connection = source.connect()
        # Datasets connect on one thread for the sake of artifacts; an answer is none.
        self._connection.execute("RESET threads")

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, period: Period = ALWAYS
    ) -> Answer:
        """One SELECT over the tables of the event model. Raises InvalidInput."""
        import duckdb

        try:
            self._only_select(sql)
            self._bound(period)
            cursor = self._connection.execute(sql, dict(parameters or {}))
            columns = [column[0] for column in cursor.description or ()]
            return Answer.of(columns, cursor.fetchall())
        except duckdb.Error as error:
            raise InvalidInput(
                f"the statement cannot be run: {_first_lines(error)}.", where="SQL"
            ) from error

    def _only_select(self, sql: str) -> None:
        import duckdb

        statements = self._connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise InvalidInput(
                "a query is one SELECT.", where="SQL", hint="The store is only read here."
            )

    def _bound(self, period: Period) -> None:
        """Temporary views shadow the tables; the rows outside the period are not seen."""
        for table, column in TIME_COLUMN.items():
            self._connection.execute(f"DROP VIEW IF EXISTS temp.{table}")
            if period.bounded and self._has(table):
                self._connection.execute(
                    f"CREATE TEMP VIEW {table} AS SELECT * FROM memory.main.{table} "
                    f"WHERE {period.condition(column)}"
                )

    def _has(self, table: str) -> bool:
        found = self._connection.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_name = $name",
            {"name": table},
        ).fetchone()
        return bool(found and found[0])

    def close(self) -> None:
        self._connection.close()


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split("\n\n", maxsplit=1)[0].split()).rstrip(".")
