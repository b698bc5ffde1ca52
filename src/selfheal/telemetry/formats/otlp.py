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
    SPAN_COLUMNS,
    attributes_of,
    integer_or_none,
    json_text,
    plain_value,
    take,
    text_or_none,
)
from selfheal.telemetry.formats.events import (
    SEVERITIES,
    ErrorDetails,
    Resource,
    add_exception,
    add_log,
    exception_in,
    identifier,
    nanoseconds,
    severity_name,
)
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUS = ("unset", "ok", "error")

Document = dict[str, Any]


def read(lines: Lines, sink: Sink) -> None:
    """Read OTLP JSON from `lines` into `sink`."""
    for number, document in documents(lines, sink):
        if not isinstance(document, dict) or not (document.keys() & _READERS.keys()):
            sink.refuse(number, "no OTLP export request")
            continue
        for key, read_signal in _READERS.items():
            for resource in document.get(key) or ():
                try:
                    read_signal(resource, number, sink)
                except (AttributeError, KeyError, TypeError, ValueError) as error:
                    sink.refuse(number, f"malformed {key}: {_reason(error)}")


def documents(lines: Lines, sink: Sink) -> Iterator[tuple[int, Any]]:
    """The JSON documents of a file with their line: one a line, or one over all lines."""
    rows = iter(lines)
    for text in rows:
        if text.strip() in ("{", "["):
            line = lines.read
            yield from _one_document("\n".join([text, *rows]), line, sink)
        elif text.strip():
            try:
                yield lines.read, json.loads(text)
            except ValueError as error:
                sink.refuse(lines.read, f"not JSON: {error}")


def _one_document(text: str, line: int, sink: Sink) -> Iterator[tuple[int, Any]]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        sink.refuse(line + error.lineno - 1, f"not JSON: {error.msg}")
        return
    for item in document if isinstance(document, list) else [document]:
        yield line, item


def _read_spans(resource_spans: Document, line: int, sink: Sink) -> None:
    resource, _ = _resource(resource_spans)
    for scope_spans in resource_spans.get("scopeSpans") or ():
        scope = (scope_spans.get("scope") or {}).get("name")
        for span in scope_spans.get("spans") or ():
            try:
                _add_span(span, resource, scope, line, sink)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                sink.refuse(line, f"malformed span: {_reason(error)}")


def _add_span(span: Document, resource: Resource, scope: str | None, line: int, sink: Sink) -> None:
    trace_id = identifier(span.get("traceId"), 16)
    span_id = identifier(span.get("spanId"), 8)
    if trace_id is None or span_id is None:
        raise ValueError("it has no trace and span id")
    start, end = (
        nanoseconds(span.get("startTimeUnixNano")),
        nanoseconds(span.get("endTimeUnixNano")),
    )
    if start is None:
        sink.without_timestamp += 1
    measured = start is not None and end is not None and end >= start
    attributes = attributes_of(span.get("attributes") or ())
    columns = _span_columns(attributes)
    status = span.get("status") or {}
    if status.get("message"):
        attributes["otel.status_description"] = status["message"]
    operation = span.get("name") or ""
    sink.spans.add(
        (
            sink.spans.written,
            trace_id,
            span_id,
            identifier(span.get("parentSpanId"), 8),
            *resource,
            operation,
            _enum(span.get("kind"), _KINDS, "SPAN_KIND_"),
            start,
            end,
            (end - start) / 1e6 if measured else None,  # type: ignore[operator]
            _enum(status.get("code"), _STATUS, "STATUS_CODE_"),
            *columns,
            scope,
            json_text(attributes),
            sink.source,
            line,
        )
    )
    for event in span.get("events") or ():
        if event.get("name") == "exception":
            details = attributes_of(event.get("attributes") or ())
            escaped = details.get("exception.escaped")
            add_exception(
                sink,
                origin="span",
                time_ns=nanoseconds(event.get("timeUnixNano")),
                resource=resource,
                operation=operation,
                logger=None,
                ids=(trace_id, span_id),
                error=_exception_of(details),
                escaped=None if escaped is None else str(escaped).lower() == "true",
                line=line,
            )


def _span_columns(attributes: dict[str, Any]) -> tuple[Any, ...]:
    """The values of SPAN_COLUMNS in their order, taken out of the attributes."""
    values = {column: take(attributes, names) for column, names in SPAN_COLUMNS.items()}
    if values["code_function"] is None and "code.function" in attributes:
        namespace = attributes.pop("code.namespace", None)
        name = attributes.pop("code.function")
        values["code_function"] = f"{namespace}.{name}" if namespace else name
    if values["http_path"] is None and "http.target" in attributes:
        path, _, query = str(attributes.pop("http.target")).partition("?")
        values["http_path"] = path
        values["http_query"] = values["http_query"] or query or None
    return tuple(
        integer_or_none(value) if column in ("code_line", "http_status") else text_or_none(value)
        for column, value in values.items()
    )


def _read_logs(resource_logs: Document, line: int, sink: Sink) -> None:
    resource, _ = _resource(resource_logs)
    for scope_logs in resource_logs.get("scopeLogs") or ():
        logger = (scope_logs.get("scope") or {}).get("name")
        for record in scope_logs.get("logRecords") or ():
            try:
                _add_record(record, resource, logger, line, sink)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                sink.refuse(line, f"malformed log record: {_reason(error)}")


def _add_record(
    record: Document, resource: Resource, logger: str | None, line: int, sink: Sink
) -> None:
    attributes = attributes_of(record.get("attributes") or ())
    if record.get("eventName"):
        attributes["event.name"] = record["eventName"]
    body = text_or_none(plain_value(record.get("body")))
    error = _exception_of(attributes)
    for name in ("exception.type", "exception.message", "exception.stacktrace"):
        attributes.pop(name, None)
    add_log(
        sink,
        # The specification: the time of observation stands in for a record's own time.
        time_ns=nanoseconds(record.get("timeUnixNano"))
        or nanoseconds(record.get("observedTimeUnixNano")),
        severity=_severity(record),
        body=body,
        logger=logger,
        resource=resource,
        ids=(identifier(record.get("traceId"), 16), identifier(record.get("spanId"), 8)),
        error=error if any(error) else exception_in(body),
        attributes=attributes,
        line=line,
    )


def _severity(record: Document) -> str | None:
    number = integer_or_none(record.get("severityNumber"))
    if number and 1 <= number <= 24:
        return SEVERITIES[(number - 1) // 4]
    name = str(record.get("severityNumber") or "").removeprefix("SEVERITY_NUMBER_").rstrip("234")
    return severity_name(record.get("severityText") or name)


def _read_metrics(resource_metrics: Document, line: int, sink: Sink) -> None:
    resource, _ = _resource(resource_metrics)
    for scope_metrics in resource_metrics.get("scopeMetrics") or ():
        for metric in scope_metrics.get("metrics") or ():
            for kind in ("gauge", "sum", "histogram", "exponentialHistogram", "summary"):
                for point in (metric.get(kind) or {}).get("dataPoints") or ():
                    sink.metrics.add(
                        (
                            nanoseconds(point.get("timeUnixNano")),
                            resource.service,
                            resource.release,
                            metric.get("name"),
                            kind,
                            _value_of(point),
                            metric.get("unit"),
                            json_text(_point_attributes(point, metric[kind])),
                            sink.source,
                            line,
                        )
                    )


def _value_of(point: Document) -> float | None:
    """The value of a data point: of a histogram its sum."""
    value = next((point[name] for name in ("asDouble", "asInt", "sum") if name in point), None)
    return None if value is None else float(value)


def _point_attributes(point: Document, data: Document) -> dict[str, Any]:
    """The attributes of a data point, with the rest of a histogram and its temporality."""
    attributes = attributes_of(point.get("attributes") or ())
    for name in ("count", "bucketCounts", "explicitBounds", "min", "max", "quantileValues"):
        if name in point:
            attributes[f"otel.{name}"] = point[name]
    if "aggregationTemporality" in data:
        attributes["otel.temporality"] = data["aggregationTemporality"]
    return attributes


_READERS: dict[str, Callable[[Document, int, Sink], None]] = {
    "resourceSpans": _read_spans,
    "resourceLogs": _read_logs,
    "resourceMetrics": _read_metrics,
}


def _exception_of(attributes: dict[str, Any]) -> ErrorDetails:
    return ErrorDetails(
        text_or_none(attributes.get("exception.type")),
        text_or_none(attributes.get("exception.message")),
        text_or_none(attributes.get("exception.stacktrace")),
    )


def _resource(carrier: Document) -> tuple[Resource, dict[str, Any]]:
    attributes = attributes_of((carrier.get("resource") or {}).get("attributes") or ())
    values = {name: text_or_none(take(attributes, of)) for name, of in RESOURCE_COLUMNS.items()}
    return Resource(**values), attributes


def _enum(value: Any, names: tuple[str, ...], prefix: str) -> str:
    if isinstance(value, str) and not value.isdigit():
        name = value.removeprefix(prefix).lower()
        return name if name in names else names[0]
    number = int(value or 0)
    return names[number] if number < len(names) else names[0]


def _reason(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)
