"""Facts of files by the id of their content, so that only changed files are parsed again.

One SQLite file, shared by the runs of an artifacts folder. Facts are the same whether they
were stored or not; a file that cannot be used is made anew, and one that cannot be written
is done without.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
import zlib
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from pathlib import Path

from selfheal.codebase import index
from selfheal.codebase.index import FileFacts

_AT_ONCE = 500
_WAIT_SECONDS = 10.0


class StoredFacts:
    """The cache in one file; see `selfheal.codebase.index.FactsCache`."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def known(self, blobs: Mapping[str, str]) -> dict[str, FileFacts]:
        """The stored facts of some files (path → blob id)."""
        if not self.file.is_file():
            return {}
        paths = {_key(path, blob): path for path, blob in blobs.items()}
        keys = sorted(paths)
        found: dict[str, FileFacts] = {}
        try:
            with closing(self._connect()) as connection:
                for start in range(0, len(keys), _AT_ONCE):
                    asked = keys[start : start + _AT_ONCE]
                    marks = ",".join("?" * len(asked))
                    query = f"SELECT key, facts FROM facts WHERE key IN ({marks})"
                    for key, facts in connection.execute(query, asked):
                        found[paths[key]] = FileFacts.model_validate_json(zlib.decompress(facts))
        except (sqlite3.Error, zlib.error, ValueError):
            return {}
        return found

    def add(self, blobs: Mapping[str, str], facts: Mapping[str, FileFacts]) -> None:
        """Store the facts of some files."""
        rows = [
            (_key(path, blobs[path]), zlib.compress(item.model_dump_json().encode(), 1))
            for path, item in facts.items()
        ]
        if not rows:
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._write(rows)
        except (sqlite3.OperationalError, OSError):
            return  # locked, full or read-only: done without
        except sqlite3.DatabaseError:
            self.file.unlink(missing_ok=True)  # no database

    def _write(self, rows: list[tuple[str, bytes]]) -> None:
        with closing(self._connect()) as connection, connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, facts BLOB NOT NULL)"
                " WITHOUT ROWID"
            )
            connection.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", rows)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.file, timeout=_WAIT_SECONDS)


def _key(path: str, blob: str) -> str:
    """Facts name their file, and hold what this version of the index takes of it."""
    return f"{_version()}:{blob}:{path}"


@cache
def _version() -> str:
    source = Path(index.__file__).read_bytes()
    return hashlib.sha256(source + repr(sys.version_info[:2]).encode()).hexdigest()[:12]
