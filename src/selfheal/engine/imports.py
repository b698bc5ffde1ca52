"""Taking the inputs of a phase-only run from an earlier run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from selfheal.artifacts.canonical import sha256_of_file
from selfheal.artifacts.envelope import read_envelope
from selfheal.engine.folder import Import, RunFolder, find_run
from selfheal.engine.journal import read_journal
from selfheal.engine.record import fold
from selfheal.engine.results import dataset_paths
from selfheal.errors import InvalidInput, MissingArtifact, NotFound
from selfheal.sequences import Catalogue, WiredSequence

BESIDES = ("patches", "measurements", "reports")


def choose_imports(
    artifacts: Path,
    source_run: str | None,
    catalogue: Catalogue,
    wired: dict[str, WiredSequence],
) -> tuple[RunFolder | None, dict[str, Import]]:
    """Which artifacts a run of these phases takes, and from which run.

    Everything that the phases before the first one have written comes along; what is
    read and not there raises MissingArtifact naming the command that makes it. A source
    run that is named and unknown raises NotFound.
    """
    first = next(iter(wired))
    earlier = catalogue.entries[: catalogue.position(first)]
    makers = {name: entry.phase for entry in earlier for name in entry.sequence.outputs}
    if not earlier:
        return None, {}
    needed = _required(wired)
    source = _source(artifacts, source_run)
    present = source.stored_artifacts() if source else []
    for name in sorted(needed, key=lambda name: list(makers).index(name) if name in makers else 0):
        if name not in present:
            phase = makers.get(name, first)
            where = f"the run {source.run_id}" if source else str(artifacts)
            raise MissingArtifact(
                f"the phase {first} reads {name}.json, and {where} has none.",
                where=str(source.artifact(name)) if source else None,
                hint=f"Make it with: selfheal run --phase {phase}",
            )
    if source is None:
        return None, {}
    made = _made(source)
    taken = {}
    for name in present:
        if name in makers or name in needed:
            sha256 = sha256_of_file(source.artifact(name))
            if made.get(name, sha256) != sha256:
                raise InvalidInput(
                    f"{name}.json of the run {source.run_id} was changed after it was made.",
                    where=str(source.artifact(name)),
                    hint=f"Make it again with: selfheal resume {source.run_id}",
                )
            taken[name] = Import(run_id=source.run_id, sha256=sha256)
    return source, taken


def bring(source: RunFolder, names: dict[str, Import], target: Path) -> None:
    """Link (or copy, across file systems) artifacts and what they point to into `target`.

    Raises InvalidInput where one is no artifact.
    """
    for name in names:
        _link(source.artifact(name), target / f"{name}.json")
        for path in dataset_paths(read_envelope(source.artifact(name)).payload):
            _link_tree(source.path / path, target / path)
    for folder in BESIDES:
        _link_tree(source.path / folder, target / folder)


def _required(wired: dict[str, WiredSequence]) -> set[str]:
    made: set[str] = set()
    needed: set[str] = set()
    for sequence in wired.values():
        for beat in sequence.beats:
            for source in beat.sources:
                if source.kind == "artifact" and not (source.nullable or source.defaulted):
                    needed.update(set(source.names) - made - set(sequence.writers))
        made |= set(sequence.writers)
    return needed


def _source(artifacts: Path, source_run: str | None) -> RunFolder | None:
    try:
        return find_run(artifacts, source_run)
    except NotFound:
        if source_run is not None:
            raise
        return None


def _made(source: RunFolder) -> dict[str, str]:
    """The hashes with which the source run's artifacts were made or imported."""
    hashes = {name: found.sha256 for name, found in source.manifest().imports.items()}
    for beat in fold(read_journal(source.journal)).beats.values():
        if beat.output is not None and "/" not in beat.output["file"]:
            hashes[beat.output["file"].removesuffix(".json")] = beat.output["sha256"]
    return hashes


def _link_tree(source: Path, target: Path) -> None:
    if not source.is_dir():
        return
    for file in sorted(source.rglob("*")):
        if file.is_file():
            _link(file, target / file.relative_to(source))


def _link(source: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
