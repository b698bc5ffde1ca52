"""Spans and log records of OTLP as rows."""

from __future__ import annotations

from typing import Any

from selfheal.telemetry.formats import coding_sessions
from selfheal.telemetry.formats.attributes import (
    SPAN_COLUMNS,
    attributes_of,
    integer_or_none,
    json_text,
    places_of,
    plain_value,
    taken_out,
    text_or_none,
)
from selfheal.telemetry.formats.events import (
    MALFORMED,
    SEVERITIES,
    ErrorDetails,
    Resource,
    add_exception,
    add_log,
    exception_in,
    identifier,
    malformed,
    nanoseconds,
    severity_name,
)
from selfheal.telemetry.sink import Sink

_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUS = ("unset", "ok", "error")

Document = dict[str, Any]


def add_span(span: Document, resource: Resource, scope: str | None, line: int, sink: Sink) -> None:
    """Add a span, given as OTLP JSON; its attributes may also be a plain mapping.

    Raises one of MALFORMED where it has no ids or is not built like a span.
    """
    trace_id = identifier(span.get("traceId"), 16)
    span_id = identifier(span.get("spanId"), 8)
    if trace_id is None or span_id is None:
        raise ValueError("it has no trace and span id")
    start, end = (
        nanoseconds(span.get("startTimeUnixNano")),
        nanoseconds(span.get("endTimeUnixNano")),
    )
    operation = text_or_none(span.get("name")) or ""
    measured = start is not None and end is not None and end >= start
    status, columns, attributes = described(span.get("attributes"), span.get("status"), operation)
    if start is None:
        sink.without_timestamp += 1
    sink.spans.add(
        (
            sink.spans.written,
            trace_id,
            span_id,
            identifier(span.get("parentSpanId"), 8),
            *resource,
            operation,
            kind_of(span.get("kind")),
            start,
            end,
            (end - start) / 1e6 if measured else None,  # type: ignore[operator]
            status,
            *columns,
            text_or_none(scope),
            json_text(attributes),
            sink.source,
            line,
        )
    )
    for event in span.get("events") or ():
        try:
            add_event(event, resource, operation, (trace_id, span_id), line, sink)
        except MALFORMED as error:
            sink.refuse(line, f"malformed span event: {malformed(error)}")


def kind_of(value: Any) -> str:
    """A span's kind by its number or name. Raises one of MALFORMED."""
    return _enum(value, _KINDS, "SPAN_KIND_")


def described(
    attributes: Any, status: Any, operation: str
) -> tuple[str, list[Any], dict[str, Any]]:
    """What attributes and status say of a span: its status, the values of SPAN_COLUMNS, the rest.

    Raises one of MALFORMED.
    """
    rest = attributes_of(attributes)
    if operation.startswith(coding_sessions.PREFIX):
        coding_sessions.type_values(rest)
    columns = _span_columns(rest)
    status = status or {}
    if status.get("message"):
        rest["otel.status_description"] = status["message"]
    return _enum(status.get("code"), _STATUS, "STATUS_CODE_"), columns, rest


def add_event(
    event: Document,
    resource: Resource,
    operation: str,
    ids: tuple[str, str],
    line: int,
    sink: Sink,
) -> None:
    """Add the exception that an event of a span tells of. Raises one of MALFORMED."""
    if event.get("name") != "exception":
        return
    details = attributes_of(event.get("attributes"))
    escaped = details.get("exception.escaped")
    add_exception(
        sink,
        origin="span",
        time_ns=nanoseconds(event.get("timeUnixNano")),
        resource=resource,
        operation=operation,
        logger=None,
        ids=ids,
        error=_exception_of(details),
        escaped=None if escaped is None else str(escaped).lower() == "true",
        line=line,
    )


SPAN_COLUMN_NAMES = list(SPAN_COLUMNS)
PLACES = places_of(SPAN_COLUMNS)
INTEGERS = frozenset((SPAN_COLUMN_NAMES.index("code_line"), SPAN_COLUMN_NAMES.index("http_status")))
_CODE_FUNCTION, _HTTP_PATH, _HTTP_QUERY = map(
    SPAN_COLUMN_NAMES.index, ("code_function", "http_path", "http_query")
)


# Attributes that mean something only beside others.
TOGETHER = frozenset(("code.function", "code.namespace", "http.target", "otel.status_description"))


def column_value(position: int, value: Any) -> Any:
    """A value as the column of SPAN_COLUMNS at `position` has it."""
    return integer_or_none(value) if position in INTEGERS else text_or_none(value)


def _span_columns(attributes: dict[str, Any]) -> list[Any]:
    """The values of SPAN_COLUMNS in their order, taken out of the attributes."""
    values: list[Any] = [None] * len(SPAN_COLUMN_NAMES)
    for position, value in taken_out(attributes, PLACES).items():
        values[position] = column_value(position, value)
    if values[_CODE_FUNCTION] is None and "code.function" in attributes:
        namespace = attributes.pop("code.namespace", None)
        name = attributes.pop("code.function")
        values[_CODE_FUNCTION] = f"{namespace}.{name}" if namespace else text_or_none(name)
    if values[_HTTP_PATH] is None and "http.target" in attributes:
        path, _, query = str(attributes.pop("http.target")).partition("?")
        values[_HTTP_PATH] = path
        values[_HTTP_QUERY] = values[_HTTP_QUERY] or query or None
    return values


def add_record(
    record: Document, resource: Resource, logger: str | None, line: int, sink: Sink
) -> None:
    """Add a log record, given as OTLP JSON; its attributes may also be a plain mapping.

    Raises one of MALFORMED where it is not built like a log record.
    """
    attributes = attributes_of(record.get("attributes"))
    if record.get("eventName"):
        attributes.setdefault("event.name", record["eventName"])
    body = text_or_none(plain_value(record.get("body")))
    severity = _severity(record)
    error = _exception_of(attributes)
    if coding_sessions.is_event(body, attributes):
        coding_sessions.type_values(attributes)
        if not any(error):
            error = coding_sessions.error_of(body, attributes)
            severity = "error" if any(error) else severity
    for name in ("exception.type", "exception.message", "exception.stacktrace"):
        attributes.pop(name, None)
    add_log(
        sink,
        # The specification: the time of observation stands in for a record's own time.
        time_ns=nanoseconds(record.get("timeUnixNano"))
        or nanoseconds(record.get("observedTimeUnixNano")),
        severity=severity,
        body=body,
        logger=text_or_none(logger),
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


def _exception_of(attributes: dict[str, Any]) -> ErrorDetails:
    return ErrorDetails(
        text_or_none(attributes.get("exception.type")),
        text_or_none(attributes.get("exception.message")),
        text_or_none(attributes.get("exception.stacktrace")),
    )


def _enum(value: Any, names: tuple[str, ...], prefix: str) -> str:
    if isinstance(value, str) and not value.isdigit():
        name = value.removeprefix(prefix).lower()
        return name if name in names else names[0]
    number = int(value or 0)
    return names[number] if 0 <= number < len(names) else names[0]
