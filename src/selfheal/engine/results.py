"""The stored results of a run: which of them stand, and what they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfheal.artifacts.canonical import canonical_bytes, sha256_of, sha256_of_file
from selfheal.engine.folder import RunFolder
from selfheal.engine.record import BeatId, BeatRecord, RunRecord
from selfheal.engine.task import Stored
from selfheal.sequences import WiredBeat


@dataclass(frozen=True)
class Output:
    """One stored result: its file below the run folder, and its bytes' hash."""

    file: str
    sha256: str


def output_file(phase: str, wired: WiredBeat) -> str:
    """Where a beat's result is stored, relative to the run folder."""
    if wired.handler.writes is not None:
        return f"{wired.handler.writes}.json"
    return f"results/{phase}/{wired.id}.json"


def stored(phase: str, wired: WiredBeat) -> Stored:
    """How a worker reads a beat's result."""
    return Stored(
        output_file(phase, wired),
        wired.beat.handler,
        many=wired.beat.foreach is not None,
        artifact=wired.handler.writes,
    )


class Results:
    """What is stored and stands. Hashes are taken once, when the session begins.

    `artifacts` maps names to the sha256 of their files, imported ones included.
    """

    def __init__(self, folder: RunFolder, record: RunRecord) -> None:
        self.folder = folder
        self.artifacts: dict[str, str] = {}
        self.outputs: dict[BeatId, Output] = {}
        self._owners = {
            path: identity
            for identity in record.finished_order
            for path in record.beats[identity].files
        }

    def import_artifact(self, name: str) -> None:
        """Take up an artifact that an earlier run made."""
        self.artifacts[name] = sha256_of_file(self.folder.artifact(name))

    def damage(self, identity: BeatId, beat: BeatRecord) -> str | None:
        """Why what a finished beat left does not stand any more; None if it does."""
        expected = dict(beat.files)
        if beat.output is not None:
            expected[beat.output["file"]] = beat.output["sha256"]
        for path, sha256 in sorted(expected.items()):
            if self._owners.get(path, identity) != identity:
                continue
            problem = _damaged(self.folder.path / path, path, sha256)
            if problem:
                return problem
        if beat.output is None:
            return None
        return self._damaged_tables((self.folder.path / beat.output["file"]).read_bytes())

    def keep(self, identity: BeatId, output: Output, artifact: str | None) -> None:
        self.outputs[identity] = output
        if artifact is not None:
            self.artifacts[artifact] = output.sha256

    def drop(self, identity: BeatId, artifact: str | None) -> None:
        self.outputs.pop(identity, None)
        if artifact is not None:
            self.artifacts.pop(artifact, None)

    def value(self, file: str) -> Any:
        """A stored result as JSON value; of an artifact, its payload."""
        document = json.loads((self.folder.path / file).read_bytes())
        return document["payload"] if "/" not in file else document

    def approval_subject(self) -> str:
        """What a human decides on: validation.json, or all artifacts where there is none yet."""
        if "validation" in self.artifacts:
            return self.artifacts["validation"]
        return sha256_of(canonical_bytes(self.artifacts))

    def _damaged_tables(self, content: bytes) -> str | None:
        if b'"tables"' not in content:
            return None
        for path, tables in _datasets(json.loads(content)):
            for table in tables.values():
                if not table["file"]:  # its rows lie in a database
                    continue
                file = f"{path}/{table['file']}"
                problem = _damaged(self.folder.path / file, file, table["sha256"])
                if problem:
                    return problem
        return None


def _damaged(path: Path, name: str, sha256: str) -> str | None:
    try:
        return None if sha256_of_file(path) == sha256 else f"{name} was changed"
    except OSError:
        return f"{name} is missing"


def _datasets(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every dataset handle in a JSON value: its path and its tables."""
    if isinstance(value, dict):
        tables = value.get("tables")
        is_handle = value.keys() <= {"path", "tables", "remote"}
        if isinstance(value.get("path"), str) and isinstance(tables, dict) and is_handle:
            yield value["path"], tables
            return
        for inner in value.values():
            yield from _datasets(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _datasets(inner)


def dataset_paths(value: Any) -> set[str]:
    """The folders of every dataset handle in a JSON value."""
    return {path for path, _ in _datasets(value)}
