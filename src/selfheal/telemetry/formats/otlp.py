"""OTLP JSON: traces, logs and metrics, one export request a line or one document.

As exporters, the collector's file exporter and `selfheal.telemetry.receiver` write it.
Ids are read as hex, or as base64 where a generic protobuf printer wrote them; enums as
numbers or names; 64-bit integers as numbers or strings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from selfheal.telemetry.formats.attributes import (
    RESOURCE_COLUMNS,
    attributes_of,
    take,
    text_or_none,
)
from selfheal.telemetry.formats.events import MALFORMED, Resource, malformed
from selfheal.telemetry.formats.otlp_metrics import add_metric
from selfheal.telemetry.formats.otlp_records import add_record, add_span
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

Document = dict[str, Any]


_Signal = tuple[str, str, str, Callable[..., None]]

# Where a signal's records stand in a request, what one is called, and what adds it.
_SIGNALS: dict[str, _Signal] = {
    "resourceSpans": ("scopeSpans", "spans", "span", add_span),
    "resourceLogs": ("scopeLogs", "logRecords", "log record", add_record),
    "resourceMetrics": ("scopeMetrics", "metrics", "metric", add_metric),
}


def read(lines: Lines, sink: Sink) -> None:
    """Read OTLP JSON from `lines` into `sink`."""
    for number, document in documents(lines, sink):
        read_request(document, number, sink)


def read_request(document: Any, line: int, sink: Sink) -> None:
    """Add the records of one export request; what is malformed in it is refused at `line`."""
    if not isinstance(document, dict) or not (document.keys() & _SIGNALS.keys()):
        sink.refuse(line, "no OTLP export request")
        return
    for key, signal in _SIGNALS.items():
        try:
            for carrier in document.get(key) or ():
                _read_resource(carrier, signal, line, sink)
        except MALFORMED as error:
            sink.refuse(line, f"malformed {key}: {malformed(error)}")


def _read_resource(
    carrier: Document,
    signal: _Signal,
    line: int,
    sink: Sink,
) -> None:
    scopes, records, what, add = signal
    resource = resource_of(attributes_of((carrier.get("resource") or {}).get("attributes")))
    for scope in carrier.get(scopes) or ():
        name = (scope.get("scope") or {}).get("name")
        for record in scope.get(records) or ():
            try:
                add(record, resource, name, line, sink)
            except MALFORMED as error:
                sink.refuse(line, f"malformed {what}: {malformed(error)}")


def resource_of(attributes: dict[str, Any]) -> Resource:
    """Who sent it, by the attributes of a resource."""
    return Resource(
        **{name: text_or_none(take(attributes, of)) for name, of in RESOURCE_COLUMNS.items()}
    )


def documents(lines: Lines, sink: Sink) -> Iterator[tuple[int, Any]]:
    """The JSON documents of a file with their line: one a line, or one over all lines."""
    rows = iter(lines)
    for text in rows:
        if not text.strip():
            lines.passed_over += 1
            continue
        if text.strip() in ("{", "["):
            line = lines.read
            yield from _one_document("\n".join([text, *rows]), line, sink)
            return
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            sink.refuse(lines.read, f"not JSON: {malformed(error)}")
            continue
        for item in document if isinstance(document, list) else [document]:
            yield lines.read, item


def _one_document(text: str, line: int, sink: Sink) -> Iterator[tuple[int, Any]]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        sink.refuse(line + error.lineno - 1, f"not JSON: {error.msg}")
        return
    except (ValueError, RecursionError) as error:
        sink.refuse(line, f"not JSON: {malformed(error)}")
        return
    for item in document if isinstance(document, list) else [document]:
        yield line, item
