"""The services of stage-crew beats: the run folder and external effects."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from selfheal.artifacts.canonical import canonical_bytes, sha256_of
from selfheal.artifacts.locking import exclusive
from selfheal.contract import ARTIFACT_NAMES
from selfheal.engine.journal import Event, decode, encode
from selfheal.errors import InvalidInput

T = TypeVar("T")

OWNED_BY_ENGINE = frozenset(
    {"run.json", "journal.jsonl", "effects.jsonl", "lock", "definition", "results", "work"}
    | {f"{name}.json" for name in ARTIFACT_NAMES}
)


# What a dead attempt had started is ended at once, and may write until it is.
ENDING_SECONDS = 10.0


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old bytes or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _clear(folder: Path) -> None:
    """Delete what an earlier attempt left, also while its last processes are being ended."""
    deadline = time.monotonic() + ENDING_SECONDS
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class RunWorkspace:
    """The `Workspace` of one beat of one run. `written` holds the sha256 of its files."""

    def __init__(
        self,
        *,
        run_id: str,
        started_at: str,
        run_folder: Path,
        artifacts_folder: Path,
        repository: Path | None,
        scratch: Path,
    ) -> None:
        self.run_id = run_id
        self.started_at = started_at
        self.run_folder = run_folder
        self.artifacts_folder = artifacts_folder
        self.repository = repository
        self.written: dict[str, str] = {}
        self._scratch = scratch
        _clear(scratch)

    @property
    def folder(self) -> Path:
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch

    def write(self, relative: str, content: str | bytes) -> Path:
        place = PurePosixPath(relative)
        if place.is_absolute() or ".." in place.parts or not place.parts:
            raise InvalidInput(f"{relative!r} is no path inside the run folder.")
        if place.parts[0] in OWNED_BY_ENGINE:
            raise InvalidInput(
                f"{relative} is written by the engine alone.",
                hint="Write below patches/, reports/ or a folder of your own.",
            )
        raw = content.encode() if isinstance(content, str) else content
        path = self.run_folder / place
        write_atomically(path, raw)
        self.written[str(place)] = sha256_of(raw)
        return path

    def measured(self, name: str, values: Mapping[str, Any]) -> str:
        relative = f"measurements/{name}.json"
        self.write(relative, canonical_bytes(dict(values)))
        return relative

    def measurements(self, name: str) -> dict[str, Any]:
        try:
            content = (self.run_folder / f"measurements/{name}.json").read_bytes()
        except FileNotFoundError:
            return {}
        values: dict[str, Any] = json.loads(content)
        return values


class EffectsLedger:
    """The `Effects` of one beat: begun and done records in ``effects.jsonl``.

    A record is on disk before the step that it announces. A torn line is harmless
    wherever it stands: a torn `begun` announces what never started, a torn `done` is
    found out by the probe.
    """

    def __init__(self, path: Path, beat: str) -> None:
        self.path = path
        self.beat = beat

    def once(self, key: str, perform: Callable[[], T], probe: Callable[[], T | None]) -> T:
        state, result = self._look_up(key)
        if state == "done":
            return result  # type: ignore[no-any-return]
        found = probe() if state == "begun" else None
        if found is None:
            if state != "begun":
                self._append({"key": key, "beat": self.beat, "state": "begun"})
            found = perform()
        stored = json.loads(canonical_bytes(found))
        self._append({"key": key, "beat": self.beat, "state": "done", "result": stored})
        return stored  # type: ignore[no-any-return]

    def undo(self) -> None:
        """Forget the effects of this beat: something has taken them back."""
        self._append({"key": None, "beat": self.beat, "state": "undone"})

    def _look_up(self, key: str) -> tuple[str | None, Any]:
        state: str | None = None
        result: Any = None
        for record in read_effects(self.path):
            if record["state"] == "undone" and record["beat"] == self.beat:
                state, result = None, None
            elif record["key"] == key:
                state, result = record["state"], record.get("result")
        return state, result

    def _append(self, record: Event) -> None:
        with exclusive(self.path) as file:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                os.write(file, b"\n")
            os.write(file, encode(record))
            os.fsync(file)


def read_effects(path: Path) -> Iterator[Event]:
    """The whole records of a ledger, oldest first; none where there is no ledger."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for line in content.split(b"\n"):
        record = decode(line + b"\n")
        if record is not None:
            yield record
