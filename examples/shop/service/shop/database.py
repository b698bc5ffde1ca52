"""One SQLite connection for each request."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import current_app, g


class Database:
    """A connection whose rows are read by column name."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        # Steady answers are worth more here than the last second before a power cut.
        self.connection.execute("PRAGMA synchronous = OFF")

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement. Every cursor is opened here so that it is traced."""
        return self.connection.cursor().execute(sql, parameters)

    def close(self) -> None:
        self.connection.close()


def database() -> Database:
    """The database of the current request."""
    if "database" not in g:
        g.database = Database(current_app.config["DATABASE"])
    return g.database


def close_database(_error: BaseException | None = None) -> None:
    opened = g.pop("database", None)
    if opened is not None:
        opened.close()
