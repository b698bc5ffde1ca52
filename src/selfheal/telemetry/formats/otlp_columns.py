"""Spans of OTLP JSON into columns, many requests at a time.

Requests are decoded into typed structures; what repeats from span to span (resource,
scope, attributes, status) is kept as its bytes and read once for all spans that have the
same. It gives what `selfheal.telemetry.formats.otlp_records.add_span` gives span by
span, which also reads what is `Unusual` here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from selfheal.telemetry.columns import (
    Column,
    Memo,
    Unusual,
    constant,
    durations_ms,
    hex_ids,
    numbered,
    or_none,
    taken,
    times,
)
from selfheal.telemetry.formats import coding_sessions
from selfheal.telemetry.formats.attributes import (
    attributes_of,
    json_text,
    plain_value,
    text_or_none,
)
from selfheal.telemetry.formats.events import MALFORMED, Resource, resource_of
from selfheal.telemetry.formats.otlp_records import described, kind_of
from selfheal.telemetry.formats.span_columns import (
    MEMO_BYTES,
    Attribute,
    Description,
    Descriptions,
    Run,
    add_spans,
    assembled,
    attribute_columns,
    attribute_of,
)
from selfheal.telemetry.layout import Layout, Slot, plain
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
_NO_STATUS = frozenset((b"", b"{}", b'{"code":0}'))
# No line holds a newline, so that it stands between attributes and a status that tells something.
_STATUS_BEHIND = b"\n"
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
        self._descriptions = Descriptions(_Described(), _described_together, _alike)

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

        names, name = numbered([span.name for span in spans])
        if any(one.startswith(coding_sessions.PREFIX) for one in names):
            raise Unusual
        both = times(
            [span.startTimeUnixNano for span in spans] + [span.endTimeUnixNano for span in spans]
        )
        start, end = both[: len(spans)], both[len(spans) :]
        kinds, kind = numbered([span.kind for span in spans])
        raws = [bytes(span.attributes) for span in spans]
        states = [bytes(span.status) for span in spans]
        if not set(states) <= _NO_STATUS:
            raws = [
                raw if state in _NO_STATUS else raw + _STATUS_BEHIND + state
                for raw, state in zip(raws, states, strict=True)
            ]
        return {
            "trace_id": hex_ids([span.traceId for span in spans], 16, required=True),
            "span_id": hex_ids([span.spanId for span in spans], 8, required=True),
            "parent_span_id": hex_ids([span.parentSpanId for span in spans], 8, required=False),
            "operation": taken(names, pa.string(), pa.array(name)),
            "kind": taken([_kind(one) for one in kinds], pa.string(), pa.array(kind)),
            "start_ns": or_none(start),
            "end_ns": or_none(end),
            "duration_ms": durations_ms(start, end),
            **self._descriptions.columns(raws),
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
    """The description that attributes, and a status behind them, make of a span.

    Each attribute that was met before is known by its bytes, so that attributes which
    differ in one of them share what is known of the others.
    """

    def __init__(self) -> None:
        self._attribute = Memo(_attribute, len, MEMO_BYTES)

    def __call__(self, raw: bytes) -> Description:
        attributes, _, status = raw.partition(_STATUS_BEHIND)
        if not status:
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


def _alike(raw: bytes) -> int | None:
    """How many quotes there are in attributes; None where there is a status or an escape."""
    return None if _STATUS_BEHIND in raw or b"\\" in raw else raw.count(b'"')


def _described_together(raws: list[bytes]) -> tuple[Sequence[int], dict[str, pa.Array]]:
    """Attributes, without a status, that are laid out alike: which, and their columns."""
    import pyarrow as pa

    lines = b"\n".join(raws)
    if not plain(lines):
        raise Unusual
    table = Layout(raws[0], fixed=(b"key",)).read(lines, len(raws))
    values: dict[str, Column] = {}
    for pair in table.template if isinstance(table.template, list) else ():
        match pair:
            case {"key": str(name), "value": dict(value)} if len(pair) == 2 and len(value) == 1:
                ((kind, slot),) = value.items()
                if type(slot) is not int or name in values:
                    raise Unusual
                values[name] = _Told(table.slots[slot], kind)
            case _:
                raise Unusual
    if len(values) != len(table.slots):
        raise Unusual
    try:
        columns = attribute_columns(values, len(table.rows))
    except MALFORMED as error:
        raise Unusual from error
    return table.rows.tolist(), {
        "status": constant("unset", pa.string(), len(table.rows)),
        **columns,
    }


class _Told:
    """The values of an attribute: what their kind makes of the texts in a slot."""

    def __init__(self, slot: Slot, kind: str) -> None:
        self._slot = slot
        self._kind = kind

    def __len__(self) -> int:
        return len(self._slot)

    def distinct(self) -> tuple[list[Any], pa.Array]:
        distinct, places = self._slot.distinct()
        return [plain_value({self._kind: one}) for one in distinct], places

    def texts(self) -> pa.Array | None:
        return self._slot.texts() if self._kind == "stringValue" else None

    def integers(self) -> None:
        return None


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
