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
from selfheal.telemetry.formats.attributes import attributes_of, json_text, text_or_none
from selfheal.telemetry.formats.events import MALFORMED, Resource, resource_of
from selfheal.telemetry.formats.otlp_records import described, kind_of
from selfheal.telemetry.formats.span_columns import (
    MEMO_BYTES,
    Attribute,
    Description,
    Run,
    add_spans,
    assembled,
    attribute_of,
    description_columns,
)
from selfheal.telemetry.sink import Sink

if TYPE_CHECKING:
    import pyarrow as pa

_NONE = Raw(b"")


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
        self._resource = Memo(_resource, len, MEMO_BYTES)
        self._scope = Memo(_scope, len, MEMO_BYTES)
        self._described = Memo(_Described(), lambda key: len(key[0]) + len(key[1]), MEMO_BYTES)

    def add(self, requests: list[tuple[int, Request]]) -> None:
        """Add all spans of some requests, each with its line, or none: then it raises Unusual."""

        spans: list[Span] = []
        runs: list[Run] = []
        for line, request in requests:
            for carrier in request.resourceSpans or ():
                resource = self._resource[bytes(carrier.resource)]
                for scope in carrier.scopeSpans:
                    name = self._scope[bytes(scope.scope)]
                    if scope.spans:
                        runs.append(Run(len(scope.spans), line, resource, name))
                        spans += scope.spans
        if spans:
            columns = self._columns(spans)
            exceptions = [
                (at, found)
                for at, span in enumerate(spans)
                if span.events is not _NONE and (found := _exceptions(bytes(span.events)))
            ]
            add_spans(columns, runs, exceptions, self._sink)

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
        return {
            "trace_id": hex_ids([span.traceId for span in spans], 16, required=True),
            "span_id": hex_ids([span.spanId for span in spans], 8, required=True),
            "parent_span_id": hex_ids([span.parentSpanId for span in spans], 8, required=False),
            "operation": pa.array(names, pa.string()),
            "kind": taken([_kind(one) for one in kinds], pa.string(), pa.array(kind)),
            "start_ns": or_none(start),
            "end_ns": or_none(end),
            "duration_ms": durations_ms(start, end),
            **description_columns(
                [self._described[key] for key in descriptions], pa.array(description)
            ),
        }


def _exceptions(raw: bytes) -> list[dict[str, Any]]:
    """The exceptions among the events of a span."""
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
    """The description that attributes and status, given as bytes, make of a span.

    Each attribute that was met before is known by its bytes, so that attributes which
    differ in one of them share what is known of the others.
    """

    def __init__(self) -> None:
        self._attribute = Memo(_attribute, len, MEMO_BYTES)

    def __call__(self, key: tuple[bytes, bytes]) -> Description:
        attributes, status = key
        if status in _NO_STATUS:
            known = self._attribute
            try:
                pairs = _decode_list(attributes) if attributes else []
                return assembled("unset", [known[bytes(pair)] for pair in pairs])
            except (*_MISFIT, Unusual):
                pass
        try:
            name, columns, rest = described(_loaded(attributes), _loaded(status), "")
        except MALFORMED as error:
            raise Unusual from error
        return name, json_text(rest), *columns


def _attribute(raw: bytes) -> Attribute:
    try:
        text = _decode_text(raw)
        return attribute_of(text.key, text.value.stringValue)
    except _MISFIT:
        pass
    try:
        ((name, value),) = attributes_of([_loaded(raw)]).items()
    except MALFORMED as error:
        raise Unusual from error
    return attribute_of(name, value)
