"""Flows as sequence files declare them: movements of beats in order.

Read leniently: of a file only what names steps is used, so that any dialect of the
format serves. `selfheal sequences validate` is what judges files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from selfheal.errors import InvalidInput

_NAMES = ("event", "handler", "id", "name", "title")


class DeclaredStep(NamedTuple):
    """A beat: its label, and every name under which telemetry may know it (plain)."""

    label: str
    names: frozenset[str]


class DeclaredFlow(NamedTuple):
    """A sequence: `names` are those of its entry; `around` those of its movements."""

    label: str
    names: frozenset[str]
    around: frozenset[str]
    steps: tuple[DeclaredStep, ...]


def plain(text: str | None) -> str:
    """A name without case and punctuation, so that ``loadLogFiles`` is ``load_log_files``."""
    return re.sub(r"[^a-z0-9]", "", (text or "").lower())


def declared_flows(paths: Sequence[str]) -> list[DeclaredFlow]:
    """The sequences in files and in the JSON files of folders. Raises InvalidInput."""
    flows = []
    for path in paths:
        for file in _files(Path(path)):
            flow = _flow(file)
            if flow is not None:
                flows.append(flow)
            elif Path(path) == file:
                raise InvalidInput("this file declares no sequence of beats.", where=path)
    return flows


def _files(path: Path) -> Iterable[Path]:
    if not path.exists():
        raise InvalidInput("there is no such file or folder.", where=str(path))
    return sorted(path.rglob("*.json")) if path.is_dir() else [path]


def _flow(file: Path) -> DeclaredFlow | None:
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidInput(f"this file is not JSON ({error}).", where=str(file)) from error
    if not isinstance(document, dict):
        return None
    movements = [one for one in document.get("movements") or () if isinstance(one, dict)]
    beats = [beat for one in movements for beat in one.get("beats") or () if isinstance(beat, dict)]
    beats = beats or [beat for beat in document.get("beats") or () if isinstance(beat, dict)]
    if not beats:
        return None
    return DeclaredFlow(
        label=str(document.get("name") or document.get("id") or file.stem),
        names=_plain_names(document, ("name", "id", "phase")) | {plain(file.stem)},
        around=frozenset(name for one in movements for name in _plain_names(one, ("name", "id"))),
        steps=tuple(_step(beat, number) for number, beat in enumerate(beats, 1)),
    )


def _step(beat: dict[str, Any], number: int) -> DeclaredStep:
    label = next(
        (str(beat[name]) for name in ("handler", *_NAMES) if beat.get(name)), f"beat {number}"
    )
    return DeclaredStep(
        label, _plain_names(beat, _NAMES) | {plain(f"beat {beat.get('beat', number)}")}
    )


def _plain_names(of: dict[str, Any], keys: Sequence[str]) -> frozenset[str]:
    return frozenset(plain(of[key]) for key in keys if isinstance(of.get(key), str)) - {""}
