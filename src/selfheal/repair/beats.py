"""Sequence files (movements → beats) as texts: which beats they name, in which order, where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from selfheal.repair.behaviour import plain
from selfheal.repair.edit import Splice
from selfheal.repair.json_text import Span, elements, members
from selfheal.repair.problem import Problem

_NAMES = ("name", "handler", "event", "beat", "id", "title")


class BeatText(NamedTuple):
    """A beat at a place: `place` among the beats of its array, `order` among all of the file."""

    value: dict[str, Any]
    span: Span
    array: tuple[Span, ...]
    place: int
    order: int

    @property
    def name(self) -> str:
        """What people call it: its name or its handler."""
        return str(self.value.get("name") or self.value.get("handler") or self.value.get("beat"))

    def is_step(self, step: str) -> bool:
        """Whether production's name of a step is one of the beat's names."""
        named = [self.value.get(key) for key in _NAMES]
        texts = [each for each in named if isinstance(each, str)]
        return step in texts or plain(step) in {plain(each) for each in texts}


class SequenceText(NamedTuple):
    """A sequence file with its beats in order."""

    path: str
    text: str
    name: str
    beats: tuple[BeatText, ...]

    def find(self, step: str) -> list[BeatText]:
        return [beat for beat in self.beats if beat.is_step(step)]


def sequences(problem: Problem) -> Iterator[SequenceText]:
    """The sequence files among the texts that were read, by path."""
    for path in sorted(problem.sources):
        found = sequence_text(path, problem.sources[path])
        if found is not None:
            yield found


def sequence_text(path: str, text: str) -> SequenceText | None:
    """A text read as a sequence; None where it is not JSON, or has no movements with beats."""
    if not path.endswith(".json") or '"movements"' not in text:
        return None
    try:
        value = json.loads(text)
        if not isinstance(value, dict) or not isinstance(value.get("movements"), list):
            return None
        beats: list[BeatText] = []
        top = members(text, text.index("{"))
        for number, span in enumerate(elements(text, top["movements"][0])):
            if "beats" not in value["movements"][number]:
                continue
            array = tuple(elements(text, members(text, span[0])["beats"][0]))
            for index, each in enumerate(array):
                beat = value["movements"][number]["beats"][index]
                beats.append(BeatText(beat, each, array, index, len(beats)))
    except (ValueError, IndexError, KeyError, TypeError):
        return None
    name = str(value.get("id") or value.get("name") or path)
    return SequenceText(path, text, name, tuple(beats)) if beats else None


def renumbered(sequence: SequenceText) -> list[Splice]:
    """Splices that number the beats 1, 2 … in the order in which they stand."""
    splices = []
    for number, beat in enumerate(sequence.beats, start=1):
        known = members(sequence.text, beat.span[0]).get("beat")
        if known is not None and beat.value["beat"] != number:
            splices.append(
                Splice(path=sequence.path, start=known[0], stop=known[1], text=str(number))
            )
    return splices
