"""All phases in order, each with its sequence, overlays applied."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from selfheal.errors import InvalidInput, SequenceError
from selfheal.sequences.loader import (
    builtin_folder,
    load_index,
    load_overlay,
    load_sequence,
    merge,
)
from selfheal.sequences.model import Sequence

ENTRY_POINTS = "selfheal.sequences"


@dataclass(frozen=True)
class PhaseEntry:
    """One phase: `file` is the name of its sequence's file, `sequence` its beats."""

    phase: str
    file: str
    sequence: Sequence


@dataclass(frozen=True)
class Catalogue:
    """The phases in the order in which they run."""

    entries: tuple[PhaseEntry, ...]

    @cached_property
    def phases(self) -> tuple[str, ...]:
        return tuple(entry.phase for entry in self.entries)

    def __getitem__(self, phase: str) -> PhaseEntry:
        return self.entries[self.position(phase)]

    def position(self, phase: str) -> int:
        """The place of a phase. Raises InvalidInput naming the nearest one."""
        if phase in self.phases:
            return self.phases.index(phase)
        near = get_close_matches(phase, self.phases, 1)
        raise InvalidInput(
            f"there is no phase {phase!r}.",
            hint=f"Did you mean {near[0]}?" if near else f"Phases: {', '.join(self.phases)}.",
        )

    def span(self, first: str, last: str) -> tuple[PhaseEntry, ...]:
        """The phases from `first` to `last`. Raises InvalidInput where they are out of order."""
        start, stop = self.position(first), self.position(last)
        if stop < start:
            raise InvalidInput(f"the phase {last} comes before {first}.")
        return self.entries[start : stop + 1]

    def files(self) -> dict[str, bytes]:
        """Everything as files, for freezing: `load_catalogue(folder)` reads them back."""
        index = {
            "schema": "selfheal/sequence-index/1",
            "phases": [
                {"phase": entry.phase, "sequence": entry.sequence.id, "file": entry.file}
                for entry in self.entries
            ],
        }
        documents: dict[str, Any] = {"index.json": index}
        documents |= {entry.file: entry.sequence.to_json() for entry in self.entries}
        return {
            name: json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"
            for name, document in documents.items()
        }


def load_catalogue(
    folder: Path | None = None, overlays: Path | None = None, *, packages: bool = True
) -> Catalogue:
    """The catalogue in `folder` (default: the built-in one) with overlays applied.

    Overlays come from installed packages (entry points of the group
    ``selfheal.sequences``, each a package that holds JSON files; not where `packages`
    is false) and from the JSON files in the folder `overlays`, in the order of names.
    Raises SequenceError with file and JSON pointer.
    """
    folder = folder or builtin_folder()
    sequences = {
        row["phase"]: (row["file"], load_sequence(folder / row["file"]))
        for row in load_index(folder / "index.json")
    }
    files = [*_package_overlays()] if packages else []
    if overlays is not None and overlays.is_dir():
        files += sorted(overlays.glob("*.json"))
    for file in files:
        overlay = load_overlay(file)
        phase = _extended(sequences, overlay.extends, file)
        name, sequence = sequences[phase]
        sequences[phase] = name, merge(sequence, overlay, str(file))
    return Catalogue(
        tuple(PhaseEntry(phase, name, sequence) for phase, (name, sequence) in sequences.items())
    )


def _extended(sequences: dict[str, tuple[str, Sequence]], wanted: str, file: Path) -> str:
    for phase, (name, sequence) in sequences.items():
        if wanted in (phase, sequence.id, name.removesuffix(".json")):
            return phase
    known = [sequence.id for _, sequence in sequences.values()]
    near = get_close_matches(wanted, known, 1)
    raise SequenceError(
        f"there is no sequence {wanted!r} to extend.",
        where=f"{file} /extends",
        hint=f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}.",
    )


def _package_overlays() -> Iterable[Path]:
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda found: found.name):
        offered = point.load()
        if not isinstance(offered, ModuleType) or not offered.__file__:
            raise SequenceError(
                f"the entry point {point.value} of {ENTRY_POINTS} is no package with JSON files.",
                where=point.name,
            )
        yield from sorted(Path(offered.__file__).parent.glob("*.json"))
