"""The sequences that the repository under care declares, or that the settings name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from selfheal.analysis.declared import DeclaredFlow, is_sequence_file, read_flow
from selfheal.codebase.history import History
from selfheal.errors import ConfigurationError, RepositoryError


def declared_flows(repository: Path | None, named: Sequence[str]) -> list[DeclaredFlow]:
    """The flows in the named files and folders, else in the repository's sequence folders.

    Named paths are relative to the repository, or to the current folder where there is
    none. Raises ConfigurationError where a named one is not there or declares nothing.
    """
    root = repository or Path()
    if not named:
        return [] if repository is None else _committed(repository)
    flows: list[DeclaredFlow] = []
    for path in named:
        place = root / path
        if not place.exists():
            raise ConfigurationError(
                "there is no such file or folder.", where=f"detect.sequences: {path}"
            )
        files = sorted(place.rglob("*.json")) if place.is_dir() else [place]
        read = [*_flows(root, files)]
        if not read:
            raise ConfigurationError(
                "no sequence of beats is declared there.",
                where=f"detect.sequences: {path}",
                hint=f"See: selfheal sequences validate {place}",
            )
        flows += read
    return flows


def _committed(repository: Path) -> list[DeclaredFlow]:
    """Those of the commit that is checked out; none before the first one."""
    history = History(repository)
    try:
        head = history.resolve("HEAD")
    except RepositoryError:
        return []
    files = [file for file in sorted(history.files(head)) if is_sequence_file(file)]
    texts = history.texts([f"{head}:{file}" for file in files])
    read = (read_flow(*one) for one in zip(files, [text or "" for text in texts], strict=True))
    return [flow for flow in read if flow is not None]


def _flows(root: Path, files: Sequence[Path]) -> Iterator[DeclaredFlow]:
    for file in files:
        name = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
        flow = read_flow(name, file.read_text(encoding="utf-8", errors="replace"))
        if flow is not None:
            yield flow
