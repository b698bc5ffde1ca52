"""The wire format of protocol buffers: fields one by one, and the fields of many spans at once.

Encoders write the fields of a message in the order of their numbers, so the places of a
span's fields follow from a few lengths: they are found for thousands of spans at once.
Sources: the encoding of protocol buffers, and opentelemetry/proto/trace/v1/trace.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.telemetry.columns import Unusual

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_INT64_MAX = 2**63 - 1


class Places(NamedTuple):
    """Where the fields of spans lie; those that are absent lie anywhere and are not `has_…`."""

    trace_id: np.ndarray[Any, Any]
    state: np.ndarray[Any, Any]
    state_end: np.ndarray[Any, Any]
    span_id: np.ndarray[Any, Any]
    parent: np.ndarray[Any, Any]
    has_parent: np.ndarray[Any, Any]
    name: np.ndarray[Any, Any]
    name_end: np.ndarray[Any, Any]
    kind: np.ndarray[Any, Any]
    has_kind: np.ndarray[Any, Any]
    start: np.ndarray[Any, Any]
    has_start: np.ndarray[Any, Any]
    end: np.ndarray[Any, Any]
    has_end: np.ndarray[Any, Any]
    tail: np.ndarray[Any, Any]


def messages(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The parts of a message all of whose fields have a length and a small number."""
    while at < end:
        tag = content[at]
        if tag & 0x87 != BYTES or tag < 8:
            raise Unusual
        size, shift = content[at + 1], 7
        at += 2
        if size >= 0x80:
            size &= 0x7F
            while True:
                byte = content[at]
                at += 1
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
                if shift > 28:
                    raise Unusual
        stop = at + size
        if stop > end:
            raise Unusual
        yield tag >> 3, at, stop
        at = stop


def fields(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message: number, wire type, and where the value begins and ends."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == BYTES:
            size, at = _varint(message, at)
            end = at + size
        elif kind == VARINT:
            _, end = _varint(message, at)
        elif kind == FIXED64:
            end = at + 8
        elif kind == FIXED32:
            end = at + 4
        else:
            raise Unusual
        if end > len(message) or tag < 8:
            raise Unusual
        yield tag >> 3, kind, at, end
        at = end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 35, 7):
        if at >= len(data):
            raise Unusual
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise Unusual


def places_of_spans(
    data: np.ndarray[Any, Any], at: np.ndarray[Any, Any], end: np.ndarray[Any, Any]
) -> Places:
    """Where the fields of spans lie that begin at `at`. Raises Unusual where one is not there."""

    def all_are(places: np.ndarray[Any, Any], value: int) -> None:
        if not (data[places] == value).all():
            raise Unusual

    for shift, value in ((0, 0x0A), (1, 16), (18, 0x12), (19, 8)):
        all_are(at + shift, value)
    state, state_end = _text_at(data, at + 28, end, 0x1A)
    cursor = state_end
    has_parent = (data[cursor] == 0x22) & (cursor < end)
    all_are(cursor[has_parent] + 1, 8)
    parent = cursor + 2
    name, name_end = _text_at(data, cursor + 10 * has_parent, end, 0x2A)
    cursor = name_end
    has_kind = (data[cursor] == 0x30) & (cursor < end)
    kind = cursor + 1
    if (data[kind[has_kind]] >= 0x80).any():
        raise Unusual
    cursor = cursor + 2 * has_kind
    has_start = (data[cursor] == 0x39) & (cursor < end)
    start = cursor + 1
    cursor = cursor + 9 * has_start
    has_end = (data[cursor] == 0x41) & (cursor < end)
    ended = cursor + 1
    cursor = cursor + 9 * has_end
    if (cursor > end).any():
        raise Unusual
    return Places(
        at + 2, state, state_end, at + 20, parent, has_parent, name, name_end, kind, has_kind,
        start, has_start, ended, has_end, cursor,
    )  # fmt: skip


def _text_at(
    data: np.ndarray[Any, Any], at: np.ndarray[Any, Any], end: np.ndarray[Any, Any], tag: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Where the text begins and ends that stands at a place under a tag; empty where none does."""
    import numpy as np

    present = (data[at] == tag) & (at < end)
    first, second = data[at + 1].astype(np.int64), data[at + 2].astype(np.int64)
    long = present & (first >= 0x80)
    if (second[long] >= 0x80).any():
        raise Unusual
    length = np.where(long, (first & 0x7F) | second << 7, first) * present
    begin = at + (2 + long) * present
    if (begin + length > end).any():
        raise Unusual
    return begin, begin + length


def hex_at(
    data: np.ndarray[Any, Any],
    places: np.ndarray[Any, Any],
    size: int,
    present: np.ndarray[Any, Any] | None = None,
) -> pa.Array:
    """The ids at some places in hex. Zeros are unusual."""
    import numpy as np
    import pyarrow as pa

    where = places if present is None else places[present]
    raw = data[where[:, None] + np.arange(size)]
    if not raw.any(axis=1).all():
        raise Unusual
    text = raw.tobytes().hex().encode()
    lengths = np.full(len(places), 2 * size, dtype=np.int32)
    validity = None
    if present is not None and not present.all():
        lengths *= present
        validity = pa.array(present).buffers()[1]
    offsets = np.zeros(len(places) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.StringArray.from_buffers(
        len(places), pa.py_buffer(offsets), pa.py_buffer(text), validity
    )


def numbers_at(
    data: np.ndarray[Any, Any], places: np.ndarray[Any, Any], present: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The 64-bit numbers at some places; 0 where there is none."""
    import numpy as np

    raw = np.ascontiguousarray(data[places[:, None] + np.arange(8)])
    numbers = raw.view("<u8").ravel() * present
    if (numbers > _INT64_MAX).any():
        raise Unusual
    signed: np.ndarray[Any, Any] = numbers.astype(np.int64)
    return signed
