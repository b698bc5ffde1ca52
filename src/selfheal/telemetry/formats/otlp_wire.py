"""Spans of OTLP protobuf from the bytes on the wire into columns.

The places of the fields are found for thousands of spans at once
(`selfheal.telemetry.formats.wire`); attributes are known by their bytes. What is written
in another order, or holds what is not known here, is `Unusual` and left to the
protobuf library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from selfheal.telemetry.columns import (
    Column,
    Memo,
    Unusual,
    constant,
    durations_ms,
    numbered,
    or_none,
    taken,
)
from selfheal.telemetry.formats import coding_sessions
from selfheal.telemetry.formats.attributes import attributes_of, json_text
from selfheal.telemetry.formats.events import MALFORMED, Resource, resource_of
from selfheal.telemetry.formats.otlp_records import described, kind_of
from selfheal.telemetry.formats.span_columns import (
    MEMO_BYTES,
    Attribute,
    Description,
    Descriptions,
    Exceptions,
    Run,
    add_spans,
    assembled,
    attribute_columns,
    attribute_of,
)
from selfheal.telemetry.formats.wire import (
    BYTES,
    FIXED32,
    VARINT,
    Places,
    fields,
    hex_at,
    messages,
    numbers_at,
    places_of_spans,
)
from selfheal.telemetry.formats.wire_attributes import (
    SHORT_ATTRIBUTE,
    WireValues,
    attributes_alike,
    decoded,
    first_name,
    is_short_name,
    text_of,
)
from selfheal.telemetry.otlp_protobuf import json_of
from selfheal.telemetry.sink import Sink

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_ATTRIBUTES, _EVENTS, _LINKS, _STATUS, _FLAGS = 9, 11, 13, 15, 16
# Counts of what was dropped, and the flags of the trace.
_PASSED_OVER = {(10, VARINT), (12, VARINT), (14, VARINT), (_FLAGS, FIXED32)}
# Room behind the last span, so that looking for a field never runs over the end.
_PADDING = bytes(1024)


class WireSpans:
    """Adds the spans of messages to a sink; it remembers what repeats."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._resource = Memo(_resource, len, MEMO_BYTES)
        self._scope = Memo(_scope, len, MEMO_BYTES)
        self._descriptions = Descriptions(self._described, self._together, first_name)
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
        places = places_of_spans(data, np.array(starts), np.array(ends))
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
        for field, begin, stop in messages(content, at, end):
            if field != 1:
                raise Unusual
            parts = list(messages(content, begin, stop))
            resource = self._resource[_only(content, parts, 1)]
            _check_text(_only(content, parts, 3))
            for scope_begin, scope_end in [part[1:] for part in parts if part[0] == 2]:
                before, scope, schema = len(starts), b"", b""
                for inner, first, last in messages(content, scope_begin, scope_end):
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
        self, content: bytes, data: np.ndarray[Any, Any], places: Places, ends: list[int]
    ) -> tuple[dict[str, pa.Array], Exceptions]:
        import numpy as np
        import pyarrow as pa

        names, name = numbered(
            [
                content[a:b]
                for a, b in zip(places.name.tolist(), places.name_end.tolist(), strict=True)
            ]
        )
        start = numbers_at(data, places.start, places.has_start)
        end = numbers_at(data, places.end, places.has_end)
        kinds = np.where(places.has_kind, data[places.kind], 0)
        kind_names = [kind_of(number) for number in range(int(kinds.max()) + 1)]
        for a, b in zip(places.state.tolist(), places.state_end.tolist(), strict=True):
            if a < b:
                _check_text(content[a:b])
        tails = [content[a:b] for a, b in zip(places.tail.tolist(), ends, strict=True)]
        columns = {
            "trace_id": hex_at(data, places.trace_id, 16),
            "span_id": hex_at(data, places.span_id, 8),
            "parent_span_id": hex_at(data, places.parent, 8, places.has_parent),
            "operation": taken([_name(one) for one in names], pa.string(), pa.array(name)),
            "kind": taken(kind_names, pa.string(), pa.array(kinds)),
            "start_ns": or_none(start),
            "end_ns": or_none(end),
            "duration_ms": durations_ms(start, end),
            **self._descriptions.columns(tails),
        }
        exceptions = [
            (span, found)
            for span, tail in enumerate(tails)
            if b"exception" in tail and (found := self._taken_apart(tail)[1].exceptions)
        ]
        return columns, exceptions

    def _taken_apart(self, tail: bytes) -> tuple[list[bytes], _Rest]:
        """The fields after a span's times: its short attributes, and the rest."""
        raw: list[bytes] = []
        at, size = 0, len(tail)
        while at + 1 < size and tail[at] == SHORT_ATTRIBUTE and tail[at + 1] < 0x80:
            end = at + 2 + tail[at + 1]
            raw.append(tail[at + 2 : end])
            at = end
        if at > size:
            raise Unusual
        return raw, self._rest[tail[at:]]

    def _described(self, tail: bytes) -> Description:
        raw, rest = self._taken_apart(tail)
        raw = raw + rest.attributes
        if not rest.message:
            try:
                known = self._attribute
                return assembled(rest.status, [known[one] for one in raw])
            except Unusual:
                pass
        return _described(raw, rest.raw_status)

    def _together(self, tails: list[bytes]) -> tuple[Sequence[int], dict[str, pa.Array]]:
        """What tails say that are attributes with the same names, and then the same: which, and what."""
        import pyarrow as pa

        attributes, rest = self._taken_apart(tails[0])
        if rest.attributes or rest.message or not attributes:
            raise Unusual
        behind = tails[0][sum(2 + len(one) for one in attributes) :]
        names = [one[: 2 + one[1]] for one in attributes]
        if len(set(names)) < len(names) or not all(map(is_short_name, names)):
            raise Unusual
        alike, raws = attributes_alike(tails, names, behind)
        values: dict[str, Column] = {}
        for name, column in zip(names, raws, strict=True):
            values[decoded(name[2:])] = WireValues(column, name)
        try:
            columns = attribute_columns(values, len(alike))
        except MALFORMED as error:
            raise Unusual from error
        status = constant(rest.status, pa.string(), len(alike))
        return alike, {"status": status, **columns}


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
    for field, kind, begin, end in fields(tail):
        if field < before:
            raise Unusual
        before = field
        if field == _ATTRIBUTES and kind == BYTES:
            attributes.append(tail[begin:end])
        elif field == _EVENTS and kind == BYTES:
            events.append(tail[begin:end])
        elif field == _STATUS and kind == BYTES and not status:
            status = tail[begin:end]
        elif field == _LINKS and kind == BYTES:
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
        or raw[value + 1] != len(raw) - value - 2
        or size >= 0x80
    ):
        return None
    text = text_of(raw[value + 2 :])
    return None if text is None else (decoded(raw[2:value]), text)


def _described(attributes: list[bytes], status: bytes) -> Description:
    try:
        pairs = [json_of("KeyValue", raw) for raw in attributes]
        name, columns, rest = described(pairs, json_of("Status", status), "")
    except MALFORMED as error:
        raise Unusual from error
    return name, json_text(rest), *columns
