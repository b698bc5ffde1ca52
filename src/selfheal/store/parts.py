"""Reading a growing store: its parts as one extracted dataset, and as the normalised one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from selfheal.artifacts.dataset import Dataset, DatasetTable, describe, session
from selfheal.errors import NotFound
from selfheal.store.manifest import STATE, Manifest, read_manifest
from selfheal.telemetry.model import EXTRACTED, arrow_schema
from selfheal.telemetry.normalize import connect

if TYPE_CHECKING:
    import duckdb


class Parts(Dataset):
    """All parts of a store as one extracted dataset."""

    _folder: Path = PrivateAttr(default=Path())
    _manifest: Manifest = PrivateAttr(default_factory=Manifest)

    @classmethod
    def of(cls, folder: Path, manifest: Manifest) -> Parts:
        tables = {name: DatasetTable(file="", rows=0, sha256="") for name in EXTRACTED}
        parts = cls(path=".", tables=tables).located(folder)
        assert isinstance(parts, cls)
        parts._folder, parts._manifest = folder, manifest
        return parts

    def connect(self, *, threads: int | None = 1) -> duckdb.DuckDBPyConnection:
        connection = session(threads)
        for name in EXTRACTED:
            empty = arrow_schema(EXTRACTED[name]).empty_table()
            connection.from_arrow(empty).create(f"empty_{name}")
            rows = [f"SELECT * FROM empty_{name}", *self._rows(name)]
            connection.execute(f'CREATE VIEW "{name}" AS {" UNION ALL BY NAME ".join(rows)}')
        return connection

    def _rows(self, table: str) -> Iterator[str]:
        """Statements that read a table of all parts; untouched parts are read by one."""
        holding = [part for part in self._manifest.parts if part.rows.get(table)]
        files = {part.id: self._folder / "parts" / part.id / f"{table}.parquet" for part in holding}
        whole = [files[part.id] for part in holding if not part.hidden]
        if whole:
            yield f"SELECT * FROM read_parquet({_list(whole)}, union_by_name = true)"
        for part in holding:
            if part.hidden:
                hidden = ", ".join(map(str, part.hidden))
                yield (
                    f"SELECT * FROM read_parquet({_list([files[part.id]])}) "
                    f"WHERE source NOT IN ({hidden})"
                )


class Growing:
    """A store's state at one time, for reading: a `Connectable`. Raises NotFound."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / STATE).is_file():
            raise NotFound(
                "there is no store.",
                where=str(folder),
                hint=f"Make it with: selfheal ingest PATH --store {folder}",
            )
        self.manifest = read_manifest(folder)

    def connect(self) -> duckdb.DuckDBPyConnection:
        normalized = describe(self.folder / "normalized", str(self.manifest.generation))
        return connect(Parts.of(self.folder, self.manifest), normalized)


def _list(files: Sequence[Path]) -> str:
    quoted = (str(file).replace("'", "''") for file in files)
    return "[" + ", ".join(f"'{file}'" for file in quoted) + "]"
