"""Columns made from many values at a time, where a Python object per value would be slow.

What cannot be taken as it stands raises `Unusual`: the caller then takes the slow way,
value by value, so that these need to know the usual case only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Unusual(Exception):
    """Something here is not as it usually is."""


class Memo(dict[K, V], Generic[K, V]):
    """What a function gives for keys that come again and again; it forgets when it is full.

    ``memo[key]`` calls the function where the key is new. `weight` bounds the memory: how
    much one key counts; `capacity` is the sum.
    """

    def __init__(
        self,
        function: Callable[[K], V],
        weight: Callable[[K], int] = lambda _: 1,
        capacity: int = 50_000,
    ) -> None:
        super().__init__()
        self._function = function
        self._weight = weight
        self._capacity = capacity
        self._held = 0

    def __missing__(self, key: K) -> V:
        value = self._function(key)
        self._held += self._weight(key)
        if self._held > self._capacity:
            self.clear()
            self._held = self._weight(key)
        self[key] = value
        return value


class Column(Protocol):
    """The values that many events have under one key.

    `distinct` gives values that are not alike, and for each row which it has; `texts` the
    values where they are texts or null, else None; `integers` those from 0 to 2^63, else
    None. Each may raise Unusual.
    """

    def __len__(self) -> int: ...
    def distinct(self) -> tuple[list[Any], pa.Array]: ...
    def texts(self) -> pa.Array | None: ...
    def integers(self) -> np.ndarray[Any, Any] | None: ...


class Listed:
    """Values that are Python's."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values
        self._kinds = set(map(type, values))

    def __len__(self) -> int:
        return len(self._values)

    def distinct(self) -> tuple[list[Any], pa.Array]:
        import pyarrow as pa

        if len(self._kinds - {NoneType}) > 1 or 0.0 in self._values:
            raise Unusual  # 1, 1.0 and true are alike to Python, and 0.0 and -0.0
        try:
            distinct, places = numbered(self._values)
        except TypeError as error:  # structures
            raise Unusual from error
        return distinct, pa.array(places)

    def texts(self) -> pa.Array | None:
        import pyarrow as pa

        if not self._kinds <= {str, NoneType} or str not in self._kinds:
            return None
        try:
            return pa.array(self._values, pa.string())
        except UnicodeEncodeError as error:
            raise Unusual from error

    def integers(self) -> np.ndarray[Any, Any] | None:
        import numpy as np

        if self._kinds != {int} or min(self._values) < 0 or max(self._values) >= 2**63:
            return None
        return np.array(self._values, dtype=np.int64)


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


def placed(lines: Sequence[int], source: int) -> dict[str, pa.Array]:
    """The columns `line` and `source` of events that stand on these lines of one file."""
    import numpy as np
    import pyarrow as pa

    return {
        "line": pa.array(np.array(lines, dtype=np.int32)),
        "source": pa.array(np.full(len(lines), source, dtype=np.int32)),
    }


def hex_ids(values: Sequence[str] | pa.Array, size: int, *, required: bool) -> pa.Array:
    """Ids of `size` bytes that are written in lower-case hex, as the event model has them.

    Where they are not `required`, an empty text means that there is none. Zeros, other
    spellings and other lengths are unusual.
    """
    import numpy as np
    import pyarrow as pa

    width = 2 * size
    texts, lengths, data = _texts(values)
    absent = lengths == 0
    if not (lengths[~absent] == width).all() or (required and absent.any()):
        raise Unusual
    digits = data - _DIGIT_0 < 10
    if not (digits | (data - _LETTER_A < 6)).all():
        raise Unusual
    words = data.view(np.uint64).reshape(-1, width // 8)
    zeros = words[:, 0] == _EIGHT_ZEROS
    for column in range(1, width // 8):
        zeros &= words[:, column] == _EIGHT_ZEROS
    if zeros.any():
        raise Unusual
    if not absent.any():
        return texts
    return pa.StringArray.from_buffers(
        len(values), *texts.buffers()[1:], pa.array(~absent).buffers()[1]
    )


_DIGIT_0, _LETTER_A = ord("0"), ord("a")
_EIGHT_ZEROS = int.from_bytes(b"00000000", "little")


def _texts(
    values: Sequence[str] | pa.Array,
) -> tuple[pa.Array, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Texts as a column, with their lengths and their bytes one after the other."""
    import numpy as np
    import pyarrow as pa

    column = pa.array(values, pa.string())
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32, count=len(values) + 1)
    content = np.frombuffer(data, dtype=np.uint8, count=bounds[-1]) if bounds[-1] else _nothing()
    return column, np.diff(bounds), content


def _nothing() -> np.ndarray[Any, Any]:
    import numpy as np

    return np.empty(0, dtype=np.uint8)


def _is_of(data: np.ndarray[Any, Any], letters: bytes) -> bool:
    """Whether there is nothing but these letters in it."""
    return not data.tobytes().translate(None, letters)


def times(values: Sequence[int | str]) -> np.ndarray[Any, Any]:
    """Nanoseconds since 1970 as 64-bit integers, from digits or integers; 0 is none."""
    import numpy as np
    import pyarrow as pa

    kinds = set(map(type, values))
    if kinds == {str}:
        texts, lengths, data = _texts(values)
        if not lengths.all() or not _is_of(data, b"0123456789"):
            raise Unusual
        try:
            return np.asarray(texts.cast(pa.int64()))
        except pa.ArrowInvalid as error:
            raise Unusual from error
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
