"""What lies in the folder of a growing store, and how it changes: whole or not at all.

    store.json                 what there is: the parts, the sources, the ledger
    parts/<id>/<table>.parquet extracted rows, never changed
    normalized/<n>/            what normalising makes of all parts together
    lock                       held by the one who writes

store.json is the truth and is replaced in one step after everything that it names is on
disk: whoever is killed before has changed nothing, and what was left lying is removed by
the next one. Readers see the state of one store.json.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError

from selfheal.artifacts.canonical import canonical_bytes
from selfheal.artifacts.model import Model
from selfheal.errors import InvalidInput, LockedError
from selfheal.store.ledger import Entry

STATE = "store.json"
SCHEMA = "selfheal/store/1"


class Part(Model):
    """Extracted rows of some sources: how many of each table; one without rows has no file.

    `hidden` are sources whose rows here a later part has replaced.
    """

    id: str
    rows: dict[str, int]
    sources: list[int]
    hidden: list[int] = Field(default_factory=list)

    def without(self, source: int) -> Part | None:
        """The part without the rows of a source; None where none are left."""
        hidden = sorted({*self.hidden, source})
        if set(hidden) >= set(self.sources):
            return None
        return self.model_copy(update={"hidden": hidden})


class Manifest(Model):
    """store.json. `sources` are the names of files by the number in the column `source`."""

    schema_: str = SCHEMA
    generation: int = 0
    parts_made: int = 0
    sources: list[str] = Field(default_factory=list)
    parts: list[Part] = Field(default_factory=list)
    entries: list[Entry] = Field(default_factory=list)


def read_manifest(folder: Path) -> Manifest:
    path = folder / STATE
    if not path.exists():
        if any(folder.iterdir()) and not (folder / "lock").exists():
            raise InvalidInput("the folder holds other things.", where=str(folder))
        return Manifest()
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInput(
            f"this is no store that this release can read: {error.error_count()} fields do not fit.",
            where=str(path),
        ) from error


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    if not (folder / "lock").exists():
        read_manifest(folder)  # nothing is put into a folder that holds other things
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LockedError(
                "another process is adding to the store.",
                where=str(folder),
                hint="Try again later.",
            ) from error
        yield


def sweep(folder: Path, manifest: Manifest) -> None:
    """Remove what nothing names: left by one who was killed, or replaced since.

    What the newest state replaced is kept until the next addition, for those who read it.
    """
    parts = {part.id for part in manifest.parts}
    for path in (*folder.glob("parts/*"), *folder.glob("normalized/*"), *folder.glob(".work-*")):
        named = path.name in parts or path.name == str(manifest.generation)
        if not named or path.parent == folder:
            shutil.rmtree(path)


def commit(folder: Path, manifest: Manifest) -> None:
    fresh = folder / f".{STATE}"
    fresh.write_bytes(canonical_bytes(manifest.model_dump(mode="json")))
    sync(fresh)
    fresh.replace(folder / STATE)
    sync(folder)


def sync(path: Path) -> None:
    """Wait until a file, or the files in a folder and their names, are on disk."""
    if path.is_dir():
        for file in path.iterdir():
            if file.is_file():
                sync(file)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
