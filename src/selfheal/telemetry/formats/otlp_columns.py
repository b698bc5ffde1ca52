"""Spans of OTLP JSON into columns, many requests at a time.

Requests are decoded into typed structures; what repeats from span to span (resource,
scope, attributes, status) is kept as its bytes and read once for all spans that have the
same. It gives what `selfheal.telemetry.formats.otlp_records.add_span` gives span by
span, which also reads what is `Unusual` here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from selfheal.telemetry.columns import (
    Memo,
    Unusual,
    durations_ms,
    hex_ids,
    numbered,
    or_none,
    taken,
    times,
)
from selfheal.telemetry.formats import coding_sessions
from selfheal.telemetry.formats.attributes import (
    SPAN_COLUMNS,
    attributes_of,
    json_text,
    text_or_none,
)
from selfheal.telemetry.formats.events import MALFORMED, Resource, resource_of
from selfheal.telemetry.formats.otlp_records import (
    PLACES,
    TOGETHER,
    add_event,
    column_value,
    described,
    kind_of,
)
from selfheal.telemetry.sink import Sink

if TYPE_CHECKING:
    import pyarrow as pa

_NONE = Raw(b"")
_MEMO_BYTES = 4 * 1024 * 1024


class Span(Struct, gc=False):
    traceId: str = ""  # noqa: N815
    spanId: str = ""  # noqa: N815
    parentSpanId: str = ""  # noqa: N815
    name: str = ""
    kind: int | str = 0
    startTimeUnixNano: int | str = 0  # noqa: N815
    endTimeUnixNano: int | str = 0  # noqa: N815
    attributes: Raw = _NONE
    status: Raw = _NONE
    events: Raw = _NONE


class ScopeSpans(Struct, gc=False):
    scope: Raw = _NONE
    spans: list[Span] = []


class ResourceSpans(Struct, gc=False):
    resource: Raw = _NONE
    scopeSpans: list[ScopeSpans] = []  # noqa: N815


class Request(Struct, gc=False):
    """An export request of spans; other signals in it are kept as bytes."""

    resourceSpans: list[ResourceSpans] | None = None  # noqa: N815
    resourceLogs: Raw = _NONE  # noqa: N815
    resourceMetrics: Raw = _NONE  # noqa: N815

    @property
    def only_spans(self) -> bool:
        return (
            self.resourceSpans is not None
            and self.resourceLogs is _NONE
            and self.resourceMetrics is _NONE
        )


class _Text(Struct, gc=False, forbid_unknown_fields=True):
    stringValue: str  # noqa: N815


class _TextAttribute(Struct, gc=False, forbid_unknown_fields=True):
    key: str
    value: _Text


_decode_text = msgspec.json.Decoder(_TextAttribute).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_NO_STATUS = (b"", b"{}", b'{"code":0}')
_decode = msgspec.json.Decoder(Request).decode
_MISFIT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def request_of(line: bytes) -> Request | None:
    """The request on a line; None where it has other signals or is unusual."""
    try:
        if not line.isascii():
            line.decode()
        request = _decode(line)
    except _MISFIT:
        return None
    return request if request.only_spans else None


class SpanColumns:
    """Adds the spans of requests to a sink; it remembers what repeats."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._resource = Memo(_resource, len, _MEMO_BYTES)
        self._scope = Memo(_scope, len, _MEMO_BYTES)
        self._described = Memo(_Described(), lambda key: len(key[0]) + len(key[1]), _MEMO_BYTES)

    def add(self, requests: list[tuple[int, Request]]) -> None:
        """Add all spans of some requests, each with its line, or none: then it raises Unusual."""
        import numpy as np
        import pyarrow as pa

        spans: list[Span] = []
        runs: list[tuple[int, int, Resource, str | None]] = []
        for line, request in requests:
            for carrier in request.resourceSpans or ():
                resource = self._resource[bytes(carrier.resource)]
                for scope in carrier.scopeSpans:
                    if scope.spans:
                        name = self._scope[bytes(scope.scope)]
                        runs.append((len(scope.spans), line, resource, name))
                        spans += scope.spans
        if not spans:
            return
        lengths = np.array([run[0] for run in runs])
        senders, places = numbered([run[2:] for run in runs])
        sender = pa.array(np.repeat(places, lengths))
        lines = np.repeat(np.array([run[1] for run in runs], dtype=np.int32), lengths)
        columns = self._columns(spans)
        text = pa.string()
        for position, column in enumerate(Resource._fields):
            columns[column] = taken([one[0][position] for one in senders], text, sender)
        columns["scope"] = taken([one[1] for one in senders], text, sender)
        columns["line"] = pa.array(lines)
        columns["source"] = pa.array(np.full(len(spans), self._sink.source, dtype=np.int32))
        events = [
            (at, self._events(span)) for at, span in enumerate(spans) if span.events is not _NONE
        ]
        self._sink.spans.add_columns(columns, len(spans))
        self._sink.without_timestamp += columns["start_ns"].null_count
        for at, told in events:
            if told:
                span, (resource, _) = spans[at], senders[sender[at].as_py()]
                ids = (span.traceId, span.spanId)
                for event in told:
                    add_event(event, resource, span.name, ids, int(lines[at]), self._sink)

    def _columns(self, spans: list[Span]) -> dict[str, pa.Array]:
        import pyarrow as pa

        names = [span.name for span in spans]
        if any(name.startswith(coding_sessions.PREFIX) for name in set(names)):
            raise Unusual
        both = times(
            [span.startTimeUnixNano for span in spans] + [span.endTimeUnixNano for span in spans]
        )
        start, end = both[: len(spans)], both[len(spans) :]
        kinds, kind = numbered([span.kind for span in spans])
        descriptions, description = numbered(
            [(bytes(span.attributes), bytes(span.status)) for span in spans]
        )
        values = list(zip(*[self._described[key] for key in descriptions], strict=True))
        place = pa.array(description)
        integers = ("code_line", "http_status")
        return {
            "trace_id": hex_ids([span.traceId for span in spans], 16, required=True),
            "span_id": hex_ids([span.spanId for span in spans], 8, required=True),
            "parent_span_id": hex_ids([span.parentSpanId for span in spans], 8, required=False),
            "operation": pa.array(names, pa.string()),
            "kind": taken([_kind(one) for one in kinds], pa.string(), pa.array(kind)),
            "start_ns": or_none(start),
            "end_ns": or_none(end),
            "duration_ms": durations_ms(start, end),
            "status": taken(values[0], pa.string(), place),
            "attributes": taken(values[1], pa.string(), place),
            **{
                column: taken(one, pa.int32() if column in integers else pa.string(), place)
                for column, one in zip(SPAN_COLUMNS, values[2:], strict=True)
            },
        }

    def _events(self, span: Span) -> list[Any]:
        """The exceptions among the events of a span."""
        raw = bytes(span.events)
        if raw == b"[]":
            return []
        events = _loaded(raw)
        if not isinstance(events, list) or not all(isinstance(one, dict) for one in events):
            raise Unusual
        found = [event for event in events if event.get("name") == "exception"]
        for event in found:
            try:
                attributes_of(event.get("attributes"))
            except MALFORMED as error:
                raise Unusual from error
        return found


def _loaded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw) if raw else None
    except _MISFIT as error:
        raise Unusual from error


def _resource(raw: bytes) -> Resource:
    try:
        return resource_of(attributes_of((_loaded(raw) or {}).get("attributes")))
    except MALFORMED as error:
        raise Unusual from error


def _scope(raw: bytes) -> str | None:
    try:
        return text_or_none((_loaded(raw) or {}).get("name"))
    except MALFORMED as error:
        raise Unusual from error


def _kind(value: int | str) -> str:
    try:
        return kind_of(value)
    except MALFORMED as error:
        raise Unusual from error


class _Described:
    """Status, attributes and the columns of SPAN_COLUMNS, from attributes and status as bytes.

    Each attribute that was met before is known by its bytes, and what the others have in
    common is not read again.
    """

    def __init__(self) -> None:
        self._attribute = Memo(_attribute, len, _MEMO_BYTES)

    def __call__(self, key: tuple[bytes, bytes]) -> tuple[Any, ...]:
        attributes, status = key
        if status not in _NO_STATUS:
            return _described(attributes, status)
        columns: list[Any] = [None] * len(SPAN_COLUMNS)
        others: list[str] = []
        names = set()
        known = self._attribute
        try:
            pairs = _decode_list(attributes) if attributes else []
            for pair in pairs:
                name, position, value = known[bytes(pair)]
                names.add(name)
                if position is None:
                    others.append(value)
                elif columns[position] is None:
                    columns[position] = value
                else:
                    return _described(attributes, status)
        except (*_MISFIT, Unusual):
            return _described(attributes, status)
        if len(names) < len(pairs):
            return _described(attributes, status)
        return "unset", "{" + ",".join(others) + "}" if others else None, *columns


def _attribute(raw: bytes) -> tuple[str, int | None, Any]:
    """One attribute: its name, its column if it has one, and its value or else its JSON."""
    try:
        text = _decode_text(raw)
        name, value = text.key, text.value.stringValue
    except _MISFIT:
        try:
            ((name, value),) = attributes_of([_loaded(raw)]).items()
        except MALFORMED as error:
            raise Unusual from error
    if name in TOGETHER:
        raise Unusual
    position = PLACES[name][0] if name in PLACES else None
    if position is None:
        return name, None, (json_text({name: value}) or "")[1:-1]
    return name, position, column_value(position, value)


def _described(attributes: bytes, status: bytes) -> tuple[Any, ...]:
    try:
        status_name, columns, rest = described(_loaded(attributes), _loaded(status), "")
    except MALFORMED as error:
        raise Unusual from error
    return status_name, json_text(rest), *columns
