"""The pattern library: ``patterns.json`` of the artifacts folder, across runs.

It has the format of the artifact. Changes are made under a lock and appear whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from selfheal.artifacts import Patterns
from selfheal.artifacts.envelope import envelope
from selfheal.artifacts.locking import exclusive
from selfheal.artifacts.replacing import replace_bytes
from selfheal.delivery.library import FILE, read_patterns
from selfheal.learning.ledger import Use, recorded


def read_library(artifacts_folder: Path) -> Patterns:
    """The library, empty where there is none. Raises InvalidInput where it is not one."""
    return read_patterns(artifacts_folder) or Patterns(patterns=[])


def update_library(
    artifacts_folder: Path, uses: Sequence[Use], *, run_id: str, produced_by: str
) -> Patterns:
    """Record the uses in the library and return it. Recording them again changes nothing."""
    return change_library(
        artifacts_folder,
        lambda library: recorded(library, uses),
        run_id=run_id,
        produced_by=produced_by,
    )


def change_library(
    artifacts_folder: Path,
    change: Callable[[Patterns], Patterns],
    *,
    run_id: str,
    produced_by: str,
) -> Patterns:
    """Change the library under its lock and return it; it appears whole or not at all."""
    artifacts_folder.mkdir(parents=True, exist_ok=True)
    with exclusive(artifacts_folder / ".patterns.lock"):
        library = change(read_library(artifacts_folder))
        content = envelope(
            "patterns", library, run_id=run_id, produced_by=produced_by, inputs=[]
        ).to_bytes()
        replace_bytes(artifacts_folder / FILE, content)
    return library


def holds(library: Patterns, uses: Sequence[Use]) -> bool:
    """Whether every use is on record as it is."""
    known = {
        (pattern.id, entry.run_id, entry.candidate_id): entry.outcome
        for pattern in library.patterns
        for entry in pattern.provenance
    }
    return all(
        known.get((use.pattern.id, use.run_id, use.candidate_id)) == use.outcome for use in uses
    )
