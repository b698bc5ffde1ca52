"""Spans of OTLP protobuf from the bytes on the wire into columns.

Encoders write the fields of a message in the order of their numbers, so the places of
a span's fields follow from a few lengths: they are found for thousands of spans at
once. Attributes are known by their bytes. What is written in another order, or
holds what is not known here, is `Unusual` and left to the protobuf library. Sources:
the encoding of protocol buffers, and opentelemetry/proto/trace/v1/trace.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.telemetry.columns import Memo, Unusual, durations_ms, numbered, or_none, taken
from selfheal.telemetry.formats import coding_sessions
from selfheal.telemetry.formats.attributes import attributes_of, json_text
from selfheal.telemetry.formats.events import MALFORMED, Resource, resource_of
from selfheal.telemetry.formats.otlp_records import described, kind_of
from selfheal.telemetry.formats.span_columns import (
    MEMO_BYTES,
    Attribute,
    Description,
    Exceptions,
    Run,
    add_spans,
    assembled,
    attribute_of,
    description_columns,
)
from selfheal.telemetry.otlp_protobuf import json_of
from selfheal.telemetry.sink import Sink

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ATTRIBUTES, _EVENTS, _LINKS, _STATUS, _FLAGS = 9, 11, 13, 15, 16
_SHORT_ATTRIBUTE = _ATTRIBUTES << 3 | _BYTES
# Counts of what was dropped, and the flags of the trace.
_PASSED_OVER = {(10, _VARINT), (12, _VARINT), (14, _VARINT), (_FLAGS, _FIXED32)}
_INT64_MAX = 2**63 - 1
# Room behind the last span, so that looking for a field never runs over the end.
_PADDING = bytes(1024)


class _Places(NamedTuple):
    """Where the fields of spans lie; those that are absent lie anywhere and are not `has_…`."""

    trace_id: np.ndarray[Any, Any]
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


class WireSpans:
    """Adds the spans of messages to a sink; it remembers what repeats."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._resource = Memo(_resource, len, MEMO_BYTES)
        self._scope = Memo(_scope, len, MEMO_BYTES)
        self._tail = Memo(self._told, len, MEMO_BYTES)
        self._attribute = Memo(_attribute, len, MEMO_BYTES)
        self._rest = Memo(_rest, len, MEMO_BYTES)

    def add(self, messages: Sequence[tuple[int, bytes]]) -> None:
        """Add all spans of export requests, each with its number, or none: then it raises Unusual."""
        import numpy as np

        content = b"".join([*(message for _, message in messages), _PADDING])
        starts: list[int] = []
        ends: list[int] = []
        runs: list[Run] = []
        at = 0
        for number, message in messages:
            before = len(starts)
            self._walk(content, at, at + len(message), number, (starts, ends, runs))
            if len(starts) == before:
                raise Unusual
            at += len(message)
        data = np.frombuffer(content, dtype=np.uint8)
        places = _places(data, np.array(starts), np.array(ends))
        columns, exceptions = self._columns(content, data, places, ends)
        add_spans(columns, runs, exceptions, self._sink)

    def _walk(
        self,
        content: bytes,
        at: int,
        end: int,
        number: int,
        found: tuple[list[int], list[int], list[Run]],
    ) -> None:
        """Find the spans of one request: where each begins and ends, and who sent them."""
        starts, ends, runs = found
        for field, begin, stop in _messages(content, at, end):
            if field != 1:
                raise Unusual
            parts = list(_messages(content, begin, stop))
            resource = self._resource[_only(content, parts, 1)]
            _check_text(_only(content, parts, 3))
            for scope_begin, scope_end in [part[1:] for part in parts if part[0] == 2]:
                before, scope, schema = len(starts), b"", b""
                for inner, first, last in _messages(content, scope_begin, scope_end):
                    if inner == 2:
                        starts.append(first)
                        ends.append(last)
                    elif inner == 1 and not scope:
                        scope = content[first:last]
                    elif inner == 3 and not schema:
                        schema = content[first:last]
                    else:
                        raise Unusual
                _check_text(schema)
                name = self._scope[scope]
                if len(starts) > before:
                    runs.append(Run(len(starts) - before, number, resource, name))

    def _columns(
        self, content: bytes, data: np.ndarray[Any, Any], places: _Places, ends: list[int]
    ) -> tuple[dict[str, pa.Array], Exceptions]:
        import numpy as np
        import pyarrow as pa

        names, name = numbered(
            [
                content[a:b]
                for a, b in zip(places.name.tolist(), places.name_end.tolist(), strict=True)
            ]
        )
        start = _numbers(data, places.start, places.has_start)
        end = _numbers(data, places.end, places.has_end)
        kinds = np.where(places.has_kind, data[places.kind], 0)
        kind_names = [kind_of(number) for number in range(int(kinds.max()) + 1)]
        tails, tail = numbered(
            [content[a:b] for a, b in zip(places.tail.tolist(), ends, strict=True)]
        )
        told = [self._tail[one] for one in tails]
        place = pa.array(tail)
        columns = {
            "trace_id": _hex(data, places.trace_id, 16),
            "span_id": _hex(data, places.span_id, 8),
            "parent_span_id": _hex(data, places.parent, 8, places.has_parent),
            "operation": taken([_name(one) for one in names], pa.string(), pa.array(name)),
            "kind": taken(kind_names, pa.string(), pa.array(kinds)),
            "start_ns": or_none(start),
            "end_ns": or_none(end),
            "duration_ms": durations_ms(start, end),
            **description_columns([one[0] for one in told], place),
        }
        exceptions = [(span, told[at][1]) for span, at in enumerate(tail.tolist()) if told[at][1]]
        return columns, exceptions

    def _told(self, tail: bytes) -> tuple[Description, list[dict[str, Any]]]:
        """What the fields after a span's times say: its description, and its exceptions."""
        raw: list[bytes] = []
        at, size = 0, len(tail)
        while at + 1 < size and tail[at] == _SHORT_ATTRIBUTE and tail[at + 1] < 0x80:
            end = at + 2 + tail[at + 1]
            raw.append(tail[at + 2 : end])
            at = end
        if at > size:
            raise Unusual
        rest = self._rest[tail[at:]]
        raw += rest.attributes
        if not rest.message:
            try:
                known = self._attribute
                return assembled(rest.status, [known[one] for one in raw]), rest.exceptions
            except Unusual:
                pass
        return _described(raw, rest.raw_status), rest.exceptions


class _Rest(NamedTuple):
    """What a span says after its short attributes."""

    attributes: list[bytes]
    exceptions: list[dict[str, Any]]
    status: str
    message: str
    raw_status: bytes


def _rest(tail: bytes) -> _Rest:
    attributes: list[bytes] = []
    events: list[bytes] = []
    status, links = b"", False
    before = 0
    for field, kind, begin, end in _fields(tail):
        if field < before:
            raise Unusual
        before = field
        if field == _ATTRIBUTES and kind == _BYTES:
            attributes.append(tail[begin:end])
        elif field == _EVENTS and kind == _BYTES:
            events.append(tail[begin:end])
        elif field == _STATUS and kind == _BYTES and not status:
            status = tail[begin:end]
        elif field == _LINKS and kind == _BYTES:
            links = True
        elif (field, kind) not in _PASSED_OVER:
            raise Unusual
    if links:  # their texts have to be texts
        json_of("Span", tail)
    exceptions = [event for one in events if (event := _exception(one))]
    status_json = json_of("Status", status)
    name, _, _ = described((), status_json, "")
    return _Rest(attributes, exceptions, name, str(status_json.get("message", "")), status)


def _only(content: bytes, parts: list[tuple[int, int, int]], field: int) -> bytes:
    found = [content[begin:end] for number, begin, end in parts if number == field]
    if len(found) > 1 or any(number > 3 for number, _, _ in parts):
        raise Unusual
    return found[0] if found else b""


def _check_text(raw: bytes) -> None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise Unusual from error


def _messages(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The parts of a message all of whose fields have a length and a small number."""
    while at < end:
        tag = content[at]
        if tag & 0x87 != _BYTES or tag < 8:
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


def _fields(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message: number, wire type, and where the value begins and ends."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _BYTES:
            size, at = _varint(message, at)
            end = at + size
        elif kind == _VARINT:
            _, end = _varint(message, at)
        elif kind == _FIXED64:
            end = at + 8
        elif kind == _FIXED32:
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


def _places(
    data: np.ndarray[Any, Any], at: np.ndarray[Any, Any], end: np.ndarray[Any, Any]
) -> _Places:
    """Where the fields of spans lie that begin at `at`. Raises Unusual where one is not there."""
    import numpy as np

    def all_are(places: np.ndarray[Any, Any], value: int) -> None:
        if not (data[places] == value).all():
            raise Unusual

    for shift, value in ((0, 0x0A), (1, 16), (18, 0x12), (19, 8)):
        all_are(at + shift, value)
    cursor = at + 28
    if (data[np.minimum(cursor, end)] == 0x1A).any():  # a trace state
        raise Unusual
    has_parent = (data[cursor] == 0x22) & (cursor < end)
    all_are(cursor[has_parent] + 1, 8)
    parent = cursor + 2
    cursor = cursor + 10 * has_parent
    has_name = (data[cursor] == 0x2A) & (cursor < end)
    first, second = data[cursor + 1].astype(np.int64), data[cursor + 2].astype(np.int64)
    long = has_name & (first >= 0x80)
    if (second[long] >= 0x80).any():
        raise Unusual
    length = np.where(long, (first & 0x7F) | second << 7, first) * has_name
    name = cursor + (2 + long) * has_name
    cursor = name + length
    if (cursor > end).any():
        raise Unusual
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
    return _Places(
        at + 2, at + 20, parent, has_parent, name, name + length, kind, has_kind,
        start, has_start, ended, has_end, cursor,
    )  # fmt: skip


def _hex(
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


def _numbers(
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


def _name(raw: bytes) -> str:
    _check_text(raw)
    name = raw.decode()
    if name.startswith(coding_sessions.PREFIX):
        raise Unusual
    return name


def _resource(raw: bytes) -> Resource:
    try:
        return resource_of(attributes_of(json_of("Resource", raw).get("attributes")))
    except MALFORMED as error:
        raise Unusual from error


def _scope(raw: bytes) -> str | None:
    name = json_of("InstrumentationScope", raw).get("name")
    return None if name is None else str(name)


def _exception(raw: bytes) -> dict[str, Any] | None:
    """An event of a span as OTLP JSON, where it tells of an exception."""
    event = json_of("Event", raw)
    if event.get("name") != "exception":
        return None
    try:
        attributes_of(event.get("attributes"))
    except MALFORMED as error:
        raise Unusual from error
    return event


def _attribute(raw: bytes) -> Attribute:
    found = _text_attribute(raw)
    if found is None:
        try:
            (found,) = attributes_of([json_of("KeyValue", raw)]).items()
        except MALFORMED as error:
            raise Unusual from error
    return attribute_of(*found)


def _text_attribute(raw: bytes) -> tuple[str, str] | None:
    """An attribute that is a short name and a short text; None where it is another."""
    size = raw[1] if len(raw) > 1 else 0
    value = 2 + size
    if (
        size == 0
        or len(raw) < value + 4
        or raw[0] != 0x0A
        or raw[value] != 0x12
        or raw[value + 2] != 0x0A
        or not raw[value + 1] - 2 == raw[value + 3] == len(raw) - value - 4 < 0x7E
        or size >= 0x80
    ):
        return None
    try:
        return raw[2:value].decode(), raw[value + 4 :].decode()
    except UnicodeDecodeError as error:
        raise Unusual from error


def _described(attributes: list[bytes], status: bytes) -> Description:
    try:
        pairs = [json_of("KeyValue", raw) for raw in attributes]
        name, columns, rest = described(pairs, json_of("Status", status), "")
    except MALFORMED as error:
        raise Unusual from error
    return name, json_text(rest), *columns
