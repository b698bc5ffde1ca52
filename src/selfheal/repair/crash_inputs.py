"""Inputs near known ones, which may raise the exception that production saw.

Crash reproduction by search (M. Soltani, A. Panichella, A. van Deursen, IEEE TSE 46, 2020)
seeded with what tests call a function with (P. Derakhshanfar et al., STVR 30, 2020): one
value is changed at a time, those changes first that such an exception usually comes of.
Inputs are JSON forms of `selfheal.recorder.values`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from selfheal.recorder.values import MARK

DEEPEST = 6
PLACES = 80
_QUOTED = re.compile(r"'([^']{0,80})'|\"([^\"]{0,80})\"")
_OF_TYPE = re.compile(r"'(\w+)' object|(?:not|and|to|be)\b[^']*'(\w+)'|of type '?(\w+)")
_SAMPLES: dict[str, Any] = {
    "NoneType": None, "str": "x", "int": 1, "float": 1.5, "list": [], "dict": {}, "bool": True,
    "tuple": {MARK: "tuple", "items": []}, "bytes": {MARK: "bytes", "base64": "eA=="},
}  # fmt: skip
_EMPTY = ("IndexError", "StopIteration", "ZeroDivisionError", "ValueError", "UnboundLocalError")

# A key, a number, or the mark of a text that holds a JSON document itself.
Step = str | int | None
Path = tuple[Step, ...]


class Place(NamedTuple):
    """A value in a form: the way to it, and whether it can be left out of a dictionary."""

    path: Path
    value: Any
    is_key: bool


def nearby(form: Any, exception: str, message: str, limit: int = 200) -> Iterator[Any]:
    """Calls that differ from one in one value, likeliest first; equal inputs, equal forms.

    `form` is ``[args, kwargs]``, `exception` the class's own name.
    """
    found: dict[str, tuple[float, Any]] = {}
    inside = (place for place in _places(form, (), False) if len(place.path) > 1)
    for place in islice(inside, PLACES):
        for weight, made in _changed(form, place, exception, message):
            text = json.dumps(made, sort_keys=True)
            likely = weight / (1 + 0.05 * len(place.path))
            if text not in found or found[text][0] < likely:
                found[text] = (likely, made)
    found.pop(json.dumps(form, sort_keys=True), None)
    ordered = sorted(found.items(), key=lambda each: (-each[1][0], each[0]))
    return (made for _, (_, made) in ordered[:limit])


def _places(value: Any, path: Path, is_key: bool) -> Iterator[Place]:
    yield Place(path, value, is_key)
    if len(path) >= DEEPEST:
        return
    for step, inner, key in _parts(value):
        yield from _places(inner, (*path, *step), key)


def _parts(value: Any) -> Iterator[tuple[Path, Any, bool]]:
    """What a form holds, by the way to it; a text that is a JSON document holds that."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            document = json.loads(value)
        except (ValueError, RecursionError):
            return
        yield (None,), document, False
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield (number,), item, False
    elif isinstance(value, dict) and MARK not in value:
        for key, item in value.items():
            yield (key,), item, True
    elif isinstance(value, dict) and value[MARK] in ("tuple", "set", "frozenset"):
        for number, item in enumerate(value["items"]):
            yield ("items", number), item, False
    elif isinstance(value, dict) and value[MARK] == "dict":
        for number, (_, item) in enumerate(value["items"]):
            yield ("items", number, 1), item, False
    elif isinstance(value, dict) and value[MARK] == "object":
        for key, item in value["fields"].items():
            yield ("fields", key), item, False


def _changed(form: Any, place: Place, exception: str, message: str) -> Iterator[tuple[float, Any]]:
    """(likelihood, form) for each change at a place."""
    value = place.value
    kinds = {name for found in _OF_TYPE.findall(message) for name in found if name in _SAMPLES}
    quoted = [one or other for one, other in _QUOTED.findall(message)]
    for kind, sample in _SAMPLES.items():
        if kind in kinds:
            yield 1.0, _put(form, place.path, sample)
    if "NoneType" not in kinds:
        yield 0.3, _put(form, place.path, None)
    if place.is_key:
        named = exception == "KeyError" and str(place.path[-1]) in quoted
        weight = 1.0 if named else 0.5 if exception == "KeyError" else 0.2
        yield weight, _without(form, place.path)
    if isinstance(value, str):
        for text in quoted:
            yield (
                (0.9 if exception in ("ValueError", "KeyError") else 0.2),
                _put(form, place.path, text),
            )
        yield (0.7 if exception in _EMPTY else 0.25), _put(form, place.path, "")
        yield 0.2, _put(form, place.path, "x")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        zero = 1.0 if exception == "ZeroDivisionError" else 0.3
        yield zero, _put(form, place.path, 0)
        yield (
            (0.5 if exception in ("ValueError", "IndexError") else 0.2),
            _put(form, place.path, -1),
        )
        yield (
            (0.6 if exception in ("OverflowError", "IndexError") else 0.1),
            _put(form, place.path, 10**6),
        )
    elif isinstance(value, list):
        yield (0.9 if exception in _EMPTY else 0.3), _put(form, place.path, [])
        if exception in ("IndexError", "ValueError") and value:
            yield 0.5, _put(form, place.path, value[:1])
            yield 0.4, _put(form, place.path, [*value, *value])
    elif isinstance(value, dict) and MARK not in value:
        yield (0.5 if exception in ("KeyError", *_EMPTY) else 0.2), _put(form, place.path, {})


def _put(form: Any, path: Path, value: Any) -> Any:
    """The form with another value at the end of a path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if step is None:
        return json.dumps(_put(json.loads(form), rest, value))
    made = list(form) if isinstance(form, list) else dict(form)
    made[step] = _put(form[step], rest, value)  # type: ignore[index]
    return made


def _without(form: Any, path: Path) -> Any:
    """The form without the key at the end of a path."""
    step, rest = path[0], path[1:]
    if step is None:
        return json.dumps(_without(json.loads(form), rest))
    if not rest:
        return {key: item for key, item in form.items() if key != step}
    made = list(form) if isinstance(form, list) else dict(form)
    made[step] = _without(form[step], rest)  # type: ignore[index]
    return made
