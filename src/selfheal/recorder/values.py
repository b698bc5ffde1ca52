"""Values as JSON from which equal values can be made again.

JSON's own types stand for themselves. What JSON has no word for is an object with the key
``$``: ``{"$": "tuple", "items": […]}``, ``{"$": "decimal", "text": "9.90"}``,
``{"$": "object", "class": "shop.cart:Item", "fields": {…}}``; `read` makes it again.
Objects are taken by the fields that they hold, and no code of theirs is run: no property,
no ``__repr__``, no ``__reduce__``. What cannot be taken raises NotRecordable.

This module runs in services and in the interpreters of projects under repair: it needs the
standard library alone, of Python 3.9, and imports nothing of selfheal.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import functools
import json
import math
import pathlib
import sys
import uuid
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Optional

MARK = "$"
# Integers that every reader of JSON keeps exactly.
_EXACT = 2**53
REDACTED = "redacted"


class NotRecordable(Exception):
    """A value that cannot be written down, or not within the limits; says why."""


class Limits(NamedTuple):
    """How much of a value is taken: levels, values in all, characters (bytes) of a text and of all."""

    depth: int = 10
    values: int = 2_000
    text: int = 8_192
    total: int = 32_768


class Keeping(NamedTuple):
    """What is kept back: whether a key's value is secret, and a text without what is secret."""

    secret: Callable[[str], bool] = lambda _key: False
    cleaned: Callable[[str], str] = lambda text: text


def write(value: Any, limits: Limits = Limits(), keeping: Keeping = Keeping()) -> Any:  # noqa: B008
    """The JSON form of a value. Raises NotRecordable."""
    return _Writer(limits, keeping).value(value, 0)


class _Writer:
    def __init__(self, limits: Limits, keeping: Keeping) -> None:
        self.limits = limits
        self.keeping = keeping
        self.room = limits.values
        self.characters = limits.total

    def value(self, value: Any, depth: int) -> Any:
        kind = type(value)
        self.room -= 1
        if self.room < 0:
            raise NotRecordable(f"it holds more than {self.limits.values} values")
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if -_EXACT < value < _EXACT else _tagged("int", text=self._digits(value))
        if kind is str:
            return self._text(value)
        if kind is float:
            return value if math.isfinite(value) else _tagged("float", text=repr(value))
        if depth >= self.limits.depth:
            raise NotRecordable(f"it is nested deeper than {self.limits.depth} levels")
        if kind is list:
            return self._list(value, depth + 1)
        if kind is dict:
            return self._dictionary(value, depth + 1)
        if kind in _SIMPLE:
            return self._simple(kind, value)
        if kind in _COLLECTIONS:
            return self._collection(kind, value, depth + 1)
        return self._instance(kind, value, depth + 1)

    def _list(self, value: list[Any], depth: int) -> list[Any]:
        """Lists are mostly long and of numbers: these need no call each."""
        found = []
        for item in value:
            if type(item) is int and -_EXACT < item < _EXACT:
                self.room -= 1
                found.append(item)
            else:
                found.append(self.value(item, depth))
        if self.room < 0:
            raise NotRecordable(f"it holds more than {self.limits.values} values")
        return found

    def _take(self, length: int) -> None:
        if length > self.limits.text:
            raise NotRecordable(f"a text is longer than {self.limits.text} characters")
        self.characters -= length
        if self.characters < 0:
            raise NotRecordable(f"its texts are longer than {self.limits.total} characters")

    def _digits(self, value: int) -> str:
        if value.bit_length() > 4 * min(self.limits.text, 4000):
            raise NotRecordable("an integer is too large")
        return str(value)

    def _text(self, value: str) -> str:
        self._take(len(value))
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise NotRecordable("a text has halves of surrogate pairs") from None
        return self.keeping.cleaned(value)

    def _simple(self, kind: type, value: Any) -> Any:
        if kind is bytes or kind is bytearray:
            self._take(len(value))
            return _tagged(kind.__name__, base64=base64.b64encode(value).decode())
        if (
            getattr(value, "tzinfo", None) is not None
            and type(value.tzinfo) is not datetime.timezone
        ):
            raise NotRecordable(f"a time has the zone {_name_of(type(value.tzinfo))}")
        return _tagged(_SIMPLE[kind][0], text=_SIMPLE[kind][1](value))

    def _collection(self, kind: type, value: Iterable[Any], depth: int) -> Any:
        items = [self.value(item, depth) for item in value]
        if kind is not tuple:
            items.sort(key=lambda item: json.dumps(item, sort_keys=True))
        return _tagged(kind.__name__, items=items)

    def _dictionary(self, value: dict[Any, Any], depth: int) -> Any:
        if all(type(key) is str for key in value) and MARK not in value:
            return self.fields(value, depth)
        pairs = [[self.value(key, depth), self.value(value[key], depth)] for key in value]
        return _tagged("dict", items=pairs)

    def fields(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        found = {}
        for key, item in value.items():
            name = self._text(key)
            if self.keeping.secret(key):
                self.room -= 1
                found[name] = _tagged(REDACTED, type=type(item).__name__)
            else:
                found[name] = self.value(item, depth)
        return found

    def _instance(self, kind: Any, value: Any, depth: int) -> Any:
        # isinstance would ask the object for its __class__.
        if issubclass(kind, type):
            return _tagged("class", **{"class": _importable(value)})
        named = {"class": _importable(kind)}
        if issubclass(kind, enum.Enum):
            return _tagged("member", name=str(value._name_), **named)
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            items = dict(zip(kind._fields, tuple.__iter__(value)))  # noqa: B905 (Python 3.9)
            return _tagged("object", fields=self.fields(items, depth), **named)
        return _tagged("object", fields=self.fields(held(value), depth), **named)


def held(value: Any) -> dict[str, Any]:
    """The attributes that an object holds, read without running code of its class.

    Raises NotRecordable for objects that hold more than these: those of C code, containers,
    exceptions.
    """
    kind: type = type(value)
    found: dict[str, Any] = {}
    slots = _slots(kind)
    for name, slot in slots:
        try:
            found[name] = slot.__get__(value, kind)
        except AttributeError:
            continue
    try:
        found.update(object.__getattribute__(value, "__dict__"))
    except AttributeError:
        if not slots:
            raise NotRecordable(f"{_name_of(kind)} is no plain object") from None
    return {name: found[name] for name in found if type(name) is str}


@functools.lru_cache(maxsize=4096)
def _slots(kind: type) -> list[tuple[str, Any]]:
    """The slots of a class and its bases. Raises NotRecordable where a base is of C code."""
    found = []
    for base in reversed(kind.__mro__):
        if base is object or (base.__module__ in _TYPING and base.__basicsize__ <= _BARE):
            continue
        if not base.__flags__ & _HEAP or base.__module__ == "builtins":
            raise NotRecordable(f"{_name_of(kind)} is no plain object")
        slots = base.__dict__.get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and name in base.__dict__:
                found.append((name, base.__dict__[name]))
    return found


_TYPING, _BARE = ("typing", "abc", "typing_extensions"), 64
_HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class made by a class statement


def _tagged(tag: str, **content: Any) -> dict[str, Any]:
    return {MARK: tag, **content}


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


@functools.lru_cache(maxsize=4096)
def _importable(kind: type) -> str:
    """``module:qualified.name`` of a class that can be found again."""
    if "<" in kind.__qualname__:
        raise NotRecordable(f"{_name_of(kind)} is defined inside of a function")
    return f"{module_of(kind.__module__)}:{kind.__qualname__}"


def module_of(name: str) -> str:
    """The name under which a module can be imported: that of the main script is its file's."""
    if name != "__main__":
        return name
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return pathlib.PurePath(file).stem if file else name


def _span(value: datetime.timedelta) -> str:
    return f"{value.days} {value.seconds} {value.microseconds}"


def _of_span(text: str) -> datetime.timedelta:
    days, seconds, microseconds = text.split()
    return datetime.timedelta(int(days), int(seconds), int(microseconds))


# The tag of a type, its text, and the value of a text.
_SIMPLE: dict[type, tuple[str, Callable[[Any], str], Callable[[str], Any]]] = {
    bytes: ("bytes", str, str),
    bytearray: ("bytearray", str, str),
    complex: ("complex", repr, complex),
    decimal.Decimal: ("decimal", str, decimal.Decimal),
    uuid.UUID: ("uuid", str, uuid.UUID),
    datetime.datetime: ("datetime", datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    datetime.date: ("date", datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: ("time", datetime.time.isoformat, datetime.time.fromisoformat),
    datetime.timedelta: ("timedelta", _span, _of_span),
    pathlib.PosixPath: ("path", str, pathlib.Path),
    pathlib.PurePosixPath: ("purepath", str, pathlib.PurePosixPath),
}
_TEXTS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    **{tag: made for tag, _, made in _SIMPLE.values()},
}
_COLLECTIONS: dict[type, Callable[[list[Any]], Any]] = {
    tuple: tuple,
    set: set,
    frozenset: frozenset,
}
_ITEMS = {kind.__name__: made for kind, made in _COLLECTIONS.items()}


def read(document: Any, find: Optional[Callable[[str], Any]] = None) -> Any:  # noqa: UP045
    """The value of a JSON form.

    `find` gives the class of ``module:qualified.name``; without it classes are imported.
    Objects are made by calling their class with the fields ``init``, by name, or with all
    fields where there are none; those that are ``held`` without calling it. A secret that was kept back is the text "redacted". Raises
    what a constructor raises, and ValueError for what is no JSON form.
    """
    find = find or imported
    if isinstance(document, list):
        return [read(item, find) for item in document]
    if not isinstance(document, dict):
        return document
    tag = document.get(MARK)
    if tag is None:
        return {key: read(item, find) for key, item in document.items()}
    if tag in _ITEMS:
        return _ITEMS[tag]([read(item, find) for item in document["items"]])
    if tag == "dict":
        return {read(key, find): read(item, find) for key, item in document["items"]}
    if tag in ("bytes", "bytearray"):
        content = base64.b64decode(document["base64"])
        return content if tag == "bytes" else bytearray(content)
    if tag in _TEXTS:
        return _TEXTS[tag](document["text"])
    if tag == REDACTED:
        return REDACTED
    if tag == "class":
        return find(document["class"])
    if tag == "member":
        return find(document["class"])[document["name"]]
    if tag == "object" and document.get("held"):
        return _holding(find(document["class"]), read(document["fields"], find))
    if tag == "object":
        given: Any = document["init"] if "init" in document else document["fields"]
        return find(document["class"])(**{name: read(item, find) for name, item in given.items()})
    raise ValueError(f"{tag!r} is no kind of recorded value")


def _holding(kind: Any, fields: dict[str, Any]) -> Any:
    made = object.__new__(kind)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def imported(name: str) -> Any:
    """What ``module:qualified.name`` names. Raises ImportError, AttributeError."""
    import importlib

    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found
