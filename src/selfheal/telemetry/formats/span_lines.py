"""Spans as flat JSON, one object a line, as tracing libraries without OTLP and exports of tables have them.

A span has a trace id, a span id, a name, and an end or a duration whose key tells its
unit; an object with a level or a message is a log record
(`selfheal.telemetry.formats.json_lines`). What has no column is its attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.telemetry.formats.attributes import (
    RESOURCE_COLUMNS,
    json_value,
    places_of,
    taken_out,
    text_or_none,
)
from selfheal.telemetry.formats.events import MALFORMED, Resource, malformed
from selfheal.telemetry.formats.otlp_records import add_span
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.plan import divided_at
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

KEYS: Mapping[str, tuple[str, ...]] = {
    "trace_id": ("trace_id", "traceId", "trace.id", "TraceId"),
    "span_id": ("span_id", "spanId", "span.id", "SpanId"),
    "parent": ("parent_span_id", "parentSpanId", "parent_id", "parent.id", "ParentSpanId"),
    "name": ("name", "span_name", "operation", "operation_name", "operationName", "SpanName"),
    "kind": ("kind", "span_kind", "span.kind"),
    "status": ("status", "status_code", "status.code"),
    "start": (
        "start_time_unix_nano", "startTimeUnixNano", "start_ns", "start_time", "startTime",
        "timestamp", "@timestamp", "start", "time",
    ),
    "end": ("end_time_unix_nano", "endTimeUnixNano", "end_ns", "end_time", "endTime", "end"),
    "ns": ("duration_ns", "duration_nano", "durationNano"),
    "us": ("duration_us", "durationUs"),
    "ms": ("duration_ms", "durationMs", "elapsed_ms", "latency_ms"),
    "s": ("duration_s", "duration_seconds"),
    "service": (*RESOURCE_COLUMNS["service"], "service", "service_name", "serviceName"),
    "release": (*RESOURCE_COLUMNS["release"], "release", "version", "service_version"),
    "commit": (*RESOURCE_COLUMNS["commit"], "commit"),
    "instance": (*RESOURCE_COLUMNS["instance"], "instance", "service_instance_id"),
    "environment": (*RESOURCE_COLUMNS["environment"], "environment"),
    "scope": ("scope", "scope_name", "otel.scope.name"),
}  # fmt: skip
_COLUMNS = tuple(KEYS)
_PLACES = places_of(KEYS)
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_OF_LOGS = frozenset(("level", "levelname", "severity", "log.level", "message", "msg", "event"))
_LASTING = [name for column in ("end", *_UNITS) for name in KEYS[column]]
DIVIDE = divided_at(lambda _: True)


def is_span(document: Any) -> bool:
    """Whether a JSON value is a span."""
    return (
        isinstance(document, dict)
        and all(
            any(key in document for key in KEYS[one]) for one in ("trace_id", "span_id", "name")
        )
        and any(key in document for key in _LASTING)
        and _OF_LOGS.isdisjoint(document)
    )


def read(lines: Lines, sink: Sink) -> None:
    """Read spans from `lines` into `sink`."""
    for text in lines.filled():
        try:
            document = json_value(text)
        except (ValueError, RecursionError) as error:
            sink.refuse(lines.read, f"not JSON: {malformed(error)}")
            continue
        if not is_span(document):
            sink.refuse(lines.read, "no trace id, span id, name and duration in this line")
            continue
        try:
            add(document, lines.read, sink)
        except MALFORMED as error:
            sink.refuse(lines.read, f"malformed span: {malformed(error)}")


def add(document: dict[str, Any], line: int, sink: Sink) -> None:
    """Add one span. Raises one of MALFORMED where it is not built like one."""
    found = {_COLUMNS[at]: value for at, value in taken_out(document, _PLACES).items()}
    start, end = time_ns(found.get("start")), time_ns(found.get("end"))
    lasted = next(
        (round(float(found[unit]) * _UNITS[unit]) for unit in _UNITS if unit in found), None
    )
    if end is None and start is not None and lasted is not None:
        end = start + lasted
    elif start is None and end is not None and lasted is not None:
        start = end - lasted
    status = found.get("status")
    span = {
        "traceId": found.get("trace_id"),
        "spanId": found.get("span_id"),
        "parentSpanId": found.get("parent"),
        "name": found.get("name"),
        "kind": found.get("kind"),
        "startTimeUnixNano": start,
        "endTimeUnixNano": end,
        "attributes": document,
        "status": status if isinstance(status, dict) else {"code": status},
    }
    sender = Resource(*[text_or_none(found.get(name)) for name in Resource._fields])
    add_span(span, sender, text_or_none(found.get("scope")), line, sink)
