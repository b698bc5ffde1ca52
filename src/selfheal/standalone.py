"""The services of a beat without a runner: for examples, tests and one beat by hand.

They keep the promises of `selfheal.contract` over one folder, in one process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from selfheal.artifacts.canonical import canonical_bytes

T = TypeVar("T")


@dataclass(frozen=True)
class FolderWorkspace:
    """A `Workspace` in `base`: the run is ``base/artifacts/runs/<run_id>``."""

    base: Path
    repository: Path | None = None
    run_id: str = "example"
    started_at: str = "2024-01-02T03:04:05+00:00"
    beat: str = "example/beat"

    @property
    def artifacts_folder(self) -> Path:
        return _made(self.base / "artifacts")

    @property
    def run_folder(self) -> Path:
        return _made(self.artifacts_folder / "runs" / self.run_id)

    @property
    def folder(self) -> Path:
        return _made(self.run_folder / "work" / self.beat)

    def write(self, relative: str, content: str | bytes) -> Path:
        path = self.run_folder / relative
        _replace(path, content.encode() if isinstance(content, str) else content)
        return path

    def measured(self, name: str, values: Mapping[str, Any]) -> str:
        relative = f"measurements/{name}.json"
        _replace(self.run_folder / relative, canonical_bytes(dict(values)))
        return relative

    def measurements(self, name: str) -> dict[str, Any]:
        path = self.run_folder / "measurements" / f"{name}.json"
        return dict(json.loads(path.read_bytes())) if path.exists() else {}


@dataclass(frozen=True)
class FolderEffects:
    """`Effects` whose ledger is the JSON-lines file `ledger`."""

    ledger: Path

    def once(self, key: str, perform: Callable[[], T], probe: Callable[[], T | None]) -> T:
        begun = False
        for record in self._records():
            if record["key"] == key and "result" in record:
                result: T = record["result"]
                return result
            begun = begun or record["key"] == key
        found = probe() if begun else None
        if found is None:
            self._append({"key": key})
            found = perform()
        self._append({"key": key, "result": found})
        return found

    def _records(self) -> list[dict[str, Any]]:
        if not self.ledger.exists():
            return []
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]

    def _append(self, record: Mapping[str, Any]) -> None:
        self.ledger.parent.mkdir(parents=True, exist_ok=True)
        with self.ledger.open("ab") as file:
            file.write(canonical_bytes(dict(record)))
            file.flush()
            os.fsync(file.fileno())


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
