"""Flows as sequence files declare them: a partial order of steps.

Any dialect of movements → beats is read, and of it what names and orders steps. Beats
come one after the other; those of one number, those whose `timing` says so, and those
whose `needs` order otherwise, run beside each other. `when` and `optional` make a beat
optional; `foreach`, `repeat` and `retry` let it come several times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from selfheal.artifacts.model import Model

_NAMES = ("event", "handler", "id", "name", "title")
_BESIDE = {"concurrent", "parallel", "simultaneous", "together"}
_FOLDER = re.compile(r"(?i)(^|/)[\w.-]*sequences?[\w.-]*(/.*)?\.json$")


class DeclaredStep(Model):
    """A beat: its label, and every name under which telemetry may know it (`plain`).

    `movement` are the names of the movement around it; `after` the positions (from 0) of
    the steps that end before it begins, those before these included.
    """

    label: str
    names: list[str]
    movement: list[str] = Field(default_factory=list)
    optional: bool = False
    repeats: bool = False
    after: list[int] = Field(default_factory=list)


class DeclaredFlow(Model):
    """A sequence: `names` are those of its entry, `events` the topics of its beats."""

    label: str
    file: str
    names: list[str]
    events: list[str]
    steps: list[DeclaredStep]

    @property
    def around(self) -> set[str]:
        """The names of its movements."""
        return {name for step in self.steps for name in step.movement}

    def step_of(self, names: Iterable[str]) -> int | None:
        """The position of the step that one of the names (plain) is of."""
        wanted = set(names)
        return next((n for n, step in enumerate(self.steps) if wanted & set(step.names)), None)


def plain(text: str | None) -> str:
    """A name without case and punctuation, so that ``loadLogFiles`` is ``load_log_files``."""
    return re.sub(r"[^\w]|_", "", (text or "").lower())


def is_sequence_file(path: str) -> bool:
    """Whether a path of a repository looks like that of a declared sequence."""
    return _FOLDER.search(path) is not None and not path.endswith(".schema.json")


def read_flow(file: str, text: str) -> DeclaredFlow | None:
    """The flow that a JSON text declares; None where it declares none."""
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    placed = list(_beats(document))
    if not placed:
        return None
    beats = [beat for beat, _ in placed]
    own = [_plain_names(beat, _NAMES) for beat in beats]
    orders = _orders(beats, own)
    stem = file.rpartition("/")[2].removesuffix(".json")
    return DeclaredFlow(
        label=str(document.get("name") or document.get("id") or stem),
        file=file,
        names=sorted(set(_plain_names(document, ("name", "id", "phase"))) | {plain(stem)}),
        events=sorted({str(beat["event"]) for beat in beats if beat.get("event")}),
        steps=[
            DeclaredStep(
                label=_label(beat, number),
                names=sorted({*own[number], plain(f"beat {beat.get('beat', number + 1)}")}),
                movement=_plain_names(around, ("name", "id")),
                optional=bool(beat.get("when") or beat.get("optional")),
                repeats=any(beat.get(key) for key in ("foreach", "repeat", "repeats", "retry")),
                after=orders[number],
            )
            for number, (beat, around) in enumerate(placed)
        ],
    )


def _beats(document: Mapping[str, Any]) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    for around in _objects(document.get("movements")) or [{"beats": document.get("beats")}]:
        for beat in _objects(around.get("beats")):
            yield beat, around


def _objects(values: Any) -> list[dict[str, Any]]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _label(beat: Mapping[str, Any], number: int) -> str:
    names = (str(beat[name]) for name in ("event", "handler", *_NAMES) if beat.get(name))
    return next(names, f"beat {number + 1}")


def _plain_names(of: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    names = (plain(of[key]) for key in keys if isinstance(of.get(key), str))
    return sorted({name for name in names if name})


def _orders(beats: Sequence[Mapping[str, Any]], own: Sequence[Sequence[str]]) -> list[list[int]]:
    """For each beat, the positions of all that come before it."""
    if any(beat.get("needs") for beat in beats):
        return _by_needs(beats, own)
    found: list[list[int]] = []
    begins = 0
    for position, beat in enumerate(beats):
        if position and not _beside(beats[position - 1], beat):
            begins = position
        found.append(list(range(begins)))
    return found


def _beside(before: Mapping[str, Any], beat: Mapping[str, Any]) -> bool:
    number = beat.get("beat")
    same = number is not None and number == before.get("beat")
    return same or str(beat.get("timing", "")).lower() in _BESIDE


def _by_needs(beats: Sequence[Mapping[str, Any]], own: Sequence[Sequence[str]]) -> list[list[int]]:
    positions = {name: position for position, names in enumerate(own) for name in names}
    before: list[set[int]] = []
    for position, beat in enumerate(beats):
        needs = beat.get("needs")
        named = {positions.get(plain(str(one))) for one in needs or () if isinstance(needs, list)}
        earlier = {one for one in named if one is not None and one < position}
        before.append(earlier.union(*(before[one] for one in earlier)))
    return [sorted(one) for one in before]
