"""Columns made from many values at a time, where a Python object per value would be slow.

What cannot be taken as it stands raises `Unusual`: the caller then takes the slow way,
value by value, so that these need to know the usual case only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Unusual(Exception):
    """Something here is not as it usually is."""


class Memo(Generic[K, V]):
    """What a function gives for keys that come again and again; it forgets when it is full.

    `weight` bounds the memory: how much one key counts; `capacity` the sum.
    """

    def __init__(
        self,
        function: Callable[[K], V],
        weight: Callable[[K], int] = lambda _: 1,
        capacity: int = 50_000,
    ) -> None:
        self._function = function
        self._weight = weight
        self._capacity = capacity
        self._held = 0
        self._known: dict[K, V] = {}

    def __call__(self, key: K) -> V:
        try:
            return self._known[key]
        except KeyError:
            pass
        value = self._function(key)
        self._held += self._weight(key)
        if self._held > self._capacity:
            self._known.clear()
            self._held = self._weight(key)
        self._known[key] = value
        return value


def numbered(keys: Sequence[K]) -> tuple[list[K], np.ndarray[Any, Any]]:
    """The distinct keys in the order of their coming, and for each key the place of its like."""
    import numpy as np

    places: dict[K, int] = {}
    place = places.setdefault
    indices = [place(key, len(places)) for key in keys]
    return list(places), np.array(indices, dtype=np.int32)


def taken(values: Sequence[Any], kind: pa.DataType, places: pa.Array) -> pa.Array:
    """A column that at each row has the value at its place; `values` are few."""
    import pyarrow as pa

    if values.count(None) == len(values):
        return pa.nulls(len(places), kind)
    column = pa.array(values, kind)
    return column.take(places)


def constant(value: Any, kind: pa.DataType, rows: int) -> pa.Array:
    """A column of one value."""
    import pyarrow as pa

    return pa.nulls(rows, kind) if value is None else pa.repeat(pa.scalar(value, kind), rows)


def hex_ids(values: list[str], size: int, *, required: bool) -> pa.Array:
    """Ids of `size` bytes that are written in lower-case hex, as the event model has them.

    Where they are not `required`, an empty text means that there is none. Zeros, other
    spellings and other lengths are unusual.
    """
    import numpy as np
    import pyarrow as pa

    width = 2 * size
    text = "".join(values)
    if not text.isascii():
        raise Unusual
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    if len(data) == width * len(values) and (required or "" not in values):
        present = None
        _check_width(values, width)
    elif required:
        raise Unusual
    else:
        present = np.array([value != "" for value in values])
        _check_width([value for value in values if value], width)
    if not _lower_hex()[data].all():
        raise Unusual
    if len(data) and not (data.reshape(-1, width) != ord("0")).any(axis=1).all():
        raise Unusual
    if present is None:
        offsets = np.arange(0, len(data) + 1, width, dtype=np.int32)
        return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(data))
    return pa.array([value or None for value in values], pa.string())


def _check_width(values: list[str], width: int) -> None:
    if set(map(len, values)) - {width}:
        raise Unusual


@cache
def _lower_hex() -> np.ndarray[Any, Any]:
    """For each byte whether it is a digit of lower-case hex."""
    import numpy as np

    return np.isin(np.arange(256), np.frombuffer(b"0123456789abcdef", dtype=np.uint8))


def times(values: Sequence[int | str]) -> np.ndarray[Any, Any]:
    """Nanoseconds since 1970 as 64-bit integers, from digits or integers; 0 is none."""
    import numpy as np
    import pyarrow as pa

    kinds = set(map(type, values))
    if kinds == {str}:
        text = "".join(values)  # type: ignore[arg-type]
        if not (text.isascii() and text.isdigit()) or "" in values:
            raise Unusual
        try:
            numbers = pa.array(values, pa.string()).cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise Unusual from error
        return np.asarray(numbers)
    if kinds <= {int}:
        try:
            found = np.array(values, dtype=np.int64)
        except OverflowError as error:
            raise Unusual from error
        if len(found) and found.min() < 0:
            raise Unusual
        return found
    raise Unusual


def or_none(numbers: np.ndarray[Any, Any]) -> pa.Array:
    """Integers as a column whose zeros are NULL."""
    import pyarrow as pa

    missing = numbers == 0
    return pa.array(numbers, mask=missing) if missing.any() else pa.array(numbers)


def durations_ms(start: np.ndarray[Any, Any], end: np.ndarray[Any, Any]) -> pa.Array:
    """From start to end in ms; NULL where one is missing or the clock ran backwards."""
    import pyarrow as pa

    unmeasured = (start == 0) | (end == 0) | (end < start)
    milliseconds = (end - start) / 1e6
    return pa.array(milliseconds, mask=unmeasured) if unmeasured.any() else pa.array(milliseconds)
