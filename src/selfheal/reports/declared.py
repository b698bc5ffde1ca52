"""The sequence files that a report is held against, from the paths that are named for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from selfheal.analysis.declared import DeclaredFlow, read_flow
from selfheal.errors import InvalidInput


def declared_flows(paths: Sequence[str]) -> list[DeclaredFlow]:
    """The sequences in files and in the JSON files of folders. Raises InvalidInput."""
    flows = []
    for path in paths:
        for file in _files(Path(path)):
            flow = read_flow(file.name, _text(file))
            if flow is not None:
                flows.append(flow)
            elif Path(path) == file:
                raise InvalidInput("this file declares no sequence of beats.", where=path)
    return flows


def _files(path: Path) -> Iterable[Path]:
    if not path.exists():
        raise InvalidInput("there is no such file or folder.", where=str(path))
    return sorted(path.rglob("*.json")) if path.is_dir() else [path]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"this file cannot be read ({error}).", where=str(file)) from error
