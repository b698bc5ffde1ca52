"""JSON-lines logs: one JSON object a line, whatever the logging library calls its keys.

Known are the keys of the standard library's JSON formatters, structlog, python-json-logger,
loguru-like and ECS layouts; what has no column stays in `attributes`. Tracebacks come as
text, as lists of structlog's `dict_tracebacks`, or as plain lines between the objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from selfheal.telemetry.columns import Column, Unusual, or_none, placed
from selfheal.telemetry.formats.attributes import (
    integer_or_none,
    json_value,
    places_of,
    taken_out,
    text_or_none,
)
from selfheal.telemetry.formats.events import (
    MALFORMED,
    NOBODY,
    ErrorDetails,
    Resource,
    add_log,
    exception_in,
    identifier,
    malformed,
    severity_name,
)
from selfheal.telemetry.formats.span_columns import (
    each_of,
    ids_of,
    json_of_attributes,
    moments_of,
    texts_of,
)
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.layout import Nullable, columns_alike
from selfheal.telemetry.plan import divided_at
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines
from selfheal.telemetry.tracebacks import HEADER

if TYPE_CHECKING:
    import pyarrow as pa

KEYS: Mapping[str, tuple[str, ...]] = {
    "time": ("@timestamp", "timestamp", "time", "ts", "datetime", "asctime", "created", "date"),
    "severity": ("severity", "level", "levelname", "log.level", "lvl", "severity_text"),
    "body": ("message", "msg", "event", "body", "text"),
    "logger": ("logger", "logger_name", "log.logger", "name"),
    "traceback": (
        "exc_info",
        "exception",
        "exc_text",
        "stack_trace",
        "stacktrace",
        "traceback",
        "error.stack_trace",
        "exception.stacktrace",
    ),
    "exception_type": ("exception.type", "exc_type", "error.type", "exception_type"),
    "exception_message": ("exception.message", "exc_value", "error.message", "exception_message"),
    "trace_id": ("trace_id", "traceId", "trace.id", "otelTraceID", "otel_trace_id"),
    "span_id": ("span_id", "spanId", "span.id", "otelSpanID", "otel_span_id"),
    "service": ("service.name", "service", "service_name", "otelServiceName"),
    "release": ("service.version", "release", "version", "service_version"),
    "instance": ("service.instance.id", "instance", "service_instance_id"),
}
_COLUMNS = tuple(KEYS)
_PLACES = places_of(KEYS)
_OF_EXCEPTIONS = ("traceback", "exception_type", "exception_message")
# Fewer lines are read one by one.
_MANY = 32
_TELLING = frozenset((*KEYS["time"], *KEYS["severity"], "message", "msg", "event"))
# The standard library's numbers; structlog, bunyan and pino write 10 to 60.
_LEVEL_NUMBERS = {10: "debug", 20: "info", 30: "warn", 40: "error", 50: "fatal"}


# A line with an object ends whatever traceback stands before it.
DIVIDE = divided_at(lambda line: line.lstrip().startswith(b"{"))


def is_record(document: Any) -> bool:
    """Whether a JSON value looks like a log record: it has a time, a level or a message."""
    return isinstance(document, dict) and not _TELLING.isdisjoint(document)


def read(lines: Lines, sink: Sink) -> None:
    """Read JSON-lines logs from `lines` into `sink`; lines that are laid out alike as columns."""
    reader = _Reader(lines, sink)
    nullable = Nullable()
    for chunk in lines.chunks():
        rows = chunk.count(b"\n") + 1
        columns = None
        if not reader.in_traceback and rows >= _MANY:
            columns = columns_alike(chunk, rows, nullable, columns_of)
        if columns is None:
            for line in chunk.split(b"\n"):
                lines.read += 1
                reader.add(lines.decoded(line.rstrip(b"\r")))
        else:
            places = placed(range(lines.read + 1, lines.read + 1 + rows), sink.source)
            sink.without_timestamp += columns["time_ns"].null_count
            sink.logs.add_columns(columns | places, rows)
            lines.read += rows
    reader.end()


class _Reader:
    """Reads line by line: objects, and the tracebacks between them."""

    def __init__(self, lines: Lines, sink: Sink) -> None:
        self._lines = lines
        self._sink = sink
        self._traceback: list[str] = []
        self._began = 0

    @property
    def in_traceback(self) -> bool:
        return bool(self._traceback)

    def add(self, text: str) -> None:
        stripped = text.lstrip()
        if self._traceback and not stripped.startswith("{"):
            self._traceback.append(text)
            return
        self.end()
        if stripped.startswith(HEADER):
            self._traceback, self._began = [text], self._lines.read
        elif stripped:
            _read_line(text, self._lines.read, self._sink)
        else:
            self._lines.passed_over += 1

    def end(self) -> None:
        """What stands between objects is over."""
        if self._traceback:
            _add_plain_traceback(self._traceback, self._began, self._sink)
            self._traceback = []


def columns_of(values: Mapping[str, Column]) -> dict[str, pa.Array]:
    """The columns of log records that have the same keys. Raises Unusual."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known: dict[str, Column] = {}
    others: list[tuple[str, Column]] = []
    for key, column in values.items():
        if key not in _PLACES:
            others.append((key, column))
        elif _COLUMNS[_PLACES[key][0]] in known:
            raise Unusual
        else:
            known[_COLUMNS[_PLACES[key][0]]] = column
    if not is_record(dict.fromkeys(values)) or not known.keys().isdisjoint(_OF_EXCEPTIONS):
        raise Unusual
    rows, text = len(next(iter(values.values()))), pa.string()

    def texts(name: str) -> pa.Array:
        return texts_of(known[name]) if name in known else pa.nulls(rows, text)

    def ids(name: str, size: int) -> pa.Array:
        return ids_of(known[name], size, required=False) if name in known else pa.nulls(rows, text)

    try:
        trace_ids = ids("trace_id", 16)
        span_ids = ids("span_id", 8)
        return {
            "time_ns": or_none(moments_of(known["time"]))
            if "time" in known
            else pa.nulls(rows, pa.int64()),
            "severity": each_of(known["severity"], _severity, text)
            if "severity" in known
            else pa.nulls(rows, text),
            **{name: texts(name) for name in ("body", "logger", "service", "release", "instance")},
            "trace_id": trace_ids,
            "span_id": pc.if_else(trace_ids.is_valid(), span_ids, None),
            "exception_type": pa.nulls(rows, text),
            "exception_message": pa.nulls(rows, text),
            "exception_stacktrace": pa.nulls(rows, text),
            "attributes": json_of_attributes(others, rows),
        }
    except (*MALFORMED, pa.ArrowException) as error:
        raise Unusual from error


def _read_line(text: str, line: int, sink: Sink) -> None:
    try:
        record = json_value(text)
    except (ValueError, RecursionError) as error:
        sink.refuse(line, f"not JSON: {malformed(error)}")
        return
    if not is_record(record):
        sink.refuse(line, "no time, level or message in this line")
        return
    try:
        add_record(record, line, sink)
    except MALFORMED as error:
        sink.refuse(line, f"malformed record: {malformed(error)}")


def add_record(record: dict[str, Any], line: int, sink: Sink) -> None:
    """Add one log record, given with the keys of its library."""
    record = dict(record)
    values: dict[str, Any] = dict.fromkeys(KEYS)
    for position, value in taken_out(record, _PLACES).items():
        values[_COLUMNS[position]] = value
    body = text_or_none(values["body"])
    trace_id = identifier(values["trace_id"], 16)
    add_log(
        sink,
        time_ns=time_ns(values["time"]),
        severity=_severity(values["severity"]),
        body=body,
        logger=text_or_none(values["logger"]),
        resource=Resource(
            text_or_none(values["service"]),
            text_or_none(values["release"]),
            None,
            text_or_none(values["instance"]),
            None,
        ),
        ids=(trace_id, identifier(values["span_id"], 8) if trace_id else None),
        error=_error(values, body),
        attributes=record,
        line=line,
    )


def _severity(value: Any) -> str | None:
    number = integer_or_none(value)
    return severity_name(value) if number is None else _LEVEL_NUMBERS.get(number)


def _error(values: Mapping[str, Any], body: str | None) -> ErrorDetails:
    traceback = values["traceback"]
    if isinstance(traceback, list):
        traceback = _rendered(traceback)
    found = exception_in(text_or_none(traceback))
    if not any(found):
        found = exception_in(body)
    kind = text_or_none(values["exception_type"]) or found.exception_type
    message = text_or_none(values["exception_message"])
    return ErrorDetails(
        kind,
        found.message if message is None else message if kind else None,
        found.stacktrace,
    )


def _rendered(traceback: list[Any]) -> str | None:
    """structlog's structured traceback as the text that Python would print.

    Its list runs from the exception that was raised last to the first cause.
    """
    if not traceback or not isinstance(traceback[0], dict):
        return "\n".join(str(line) for line in traceback)
    raised = traceback[0]
    frames = [
        f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}'
        for frame in raised.get("frames") or ()
        if isinstance(frame, dict)
    ]
    return "\n".join([HEADER, *frames, f"{raised.get('exc_type')}: {raised.get('exc_value')}"])


def _add_plain_traceback(rows: list[str], line: int, sink: Sink) -> None:
    text = "\n".join(rows).rstrip()
    error = exception_in(text)
    add_log(
        sink,
        time_ns=None,
        severity="error",
        body=text.rpartition("\n")[2],
        logger=None,
        resource=NOBODY,
        ids=(None, None),
        error=error,
        attributes={},
        line=line,
    )
