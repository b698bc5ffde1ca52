"""What a strategy proposes: exact splices of the original text, nothing reformatted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from selfheal.artifacts.model import Model


class Splice(Model):
    """Characters ``start:stop`` of a file become `text`; equal bounds insert."""

    path: str
    start: int
    stop: int
    text: str


class Edit(Model):
    """One way to repair a diagnosis.

    `template` names the variant within the strategy, `fit` (0–1) is how well the facts
    of the diagnosis fit it, `parameters` describe it for the pattern library. `files`
    are whole texts (None deletes the file), for what is not a splice.
    """

    strategy: str
    template: str
    explanation: str
    fit: float
    parameters: dict[str, Any] = Field(default_factory=dict)
    splices: list[Splice] = Field(default_factory=list)
    files: dict[str, str | None] = Field(default_factory=dict)


def spliced(text: str, splices: Iterable[Splice]) -> str:
    """The text with its splices applied; insertions at one place keep their order.

    Raises ValueError where two of them overlap.
    """
    pieces: list[str] = []
    position = 0
    for splice in sorted(splices, key=lambda each: (each.start, each.stop)):
        if splice.start < position:
            raise ValueError(f"two splices overlap at character {splice.start} of {splice.path}")
        pieces += [text[position : splice.start], splice.text]
        position = splice.stop
    return "".join([*pieces, text[position:]])


def edited(edit: Edit, sources: Mapping[str, str | None]) -> dict[str, str | None]:
    """The files that an edit changes, as they are after it."""
    after: dict[str, str | None] = dict(edit.files)
    for path in sorted({splice.path for splice in edit.splices}):
        text = sources.get(path)
        if text is None:
            raise ValueError(f"the edit changes {path}, which was not read")
        after[path] = spliced(text, [each for each in edit.splices if each.path == path])
    return after
