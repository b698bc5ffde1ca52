"""Where the parts of a JSON text stand, so that a part can be changed and the rest stay to the byte."""

from __future__ import annotations

import json
import re
from typing import Any

from selfheal.repair.edit import Splice

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
Span = tuple[int, int]


def skip(text: str, at: int) -> int:
    """The offset of the next character that is no white space."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def value_at(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at an offset, and where it ends. Raises json.JSONDecodeError."""
    return _DECODER.raw_decode(text, at)


def elements(text: str, start: int) -> list[Span]:
    """The spans of an array's elements; `start` is the offset of its bracket."""
    found: list[Span] = []
    at = skip(text, start + 1)
    while text[at] != "]":
        _, stop = value_at(text, at)
        found.append((at, stop))
        at = skip(text, stop)
        if text[at] == ",":
            at = skip(text, at + 1)
    return found


def members(text: str, start: int) -> dict[str, Span]:
    """The spans of an object's values by key; `start` is the offset of its brace."""
    found: dict[str, Span] = {}
    at = skip(text, start + 1)
    while text[at] != "}":
        key, stop = value_at(text, at)
        at = skip(text, skip(text, stop) + 1)
        _, stop = value_at(text, at)
        found[key] = (at, stop)
        at = skip(text, stop)
        if text[at] == ",":
            at = skip(text, at + 1)
    return found


def removal(path: str, text: str, spans: list[Span], index: int) -> Splice:
    """An element taken out, with the comma and the white space on one side of it."""
    if len(spans) == 1:
        start = text.rindex("[", 0, spans[0][0]) + 1
        return Splice(path=path, start=start, stop=skip(text, spans[0][1]), text="")
    if index + 1 < len(spans):
        return Splice(path=path, start=spans[index][0], stop=spans[index + 1][0], text="")
    return Splice(path=path, start=spans[index - 1][1], stop=spans[index][1], text="")


def insertion(path: str, text: str, spans: list[Span], index: int, element: str) -> Splice | None:
    """An element put in before the one with this index (after the last for their number).

    It is set apart as its neighbours are. None for an empty array, which shows no style.
    """
    if not spans:
        return None
    if index < len(spans):
        at = spans[index][0]
        return Splice(path=path, start=at, stop=at, text=f"{element}{_between(text, spans, index)}")
    at = spans[-1][1]
    return Splice(path=path, start=at, stop=at, text=f"{_between(text, spans, index)}{element}")


def _between(text: str, spans: list[Span], index: int) -> str:
    """What stands between two elements near an index."""
    if len(spans) > 1:
        left = min(max(index - 1, 0), len(spans) - 2)
        return text[spans[left][1] : spans[left + 1][0]]
    bracket = text.rindex("[", 0, spans[0][0])
    return f",{text[bracket + 1 : spans[0][0]] or ' '}"
