"""Spans as flat JSON, one object a line, as tracing libraries without OTLP and exports of tables have them.

A span has a trace id, a span id, a name, and an end or a duration whose key tells its
unit; an object with a level or a message is a log record
(`selfheal.telemetry.formats.json_lines`). What has no column is its attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import NoneType
from typing import TYPE_CHECKING, Any

import msgspec

from selfheal.telemetry.columns import Unusual, durations_ms, hex_ids, numbered, or_none, taken
from selfheal.telemetry.formats import coding_sessions
from selfheal.telemetry.formats.attributes import (
    RESOURCE_COLUMNS,
    json_text,
    json_value,
    places_of,
    taken_out,
    text_or_none,
)
from selfheal.telemetry.formats.events import MALFORMED, Resource, malformed
from selfheal.telemetry.formats.otlp_records import (
    INTEGERS,
    PLACES,
    SPAN_COLUMN_NAMES,
    TOGETHER,
    add_span,
    column_value,
    described,
    kind_of,
)
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.plan import divided_at
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Numbers = np.ndarray[Any, Any]

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
# Numbers from here on are nanoseconds as they stand (see `times.time_ns`).
_NANOSECONDS_FROM = 10**17
Located = tuple[int, dict[str, Any]]
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
    """Read spans from `lines` into `sink`; runs of objects with the same keys as columns."""
    for block in lines.blocks():
        run: list[Located] = []
        shape: tuple[str, ...] = ()
        for raw in block:
            lines.read += 1
            document = _usual(raw)
            keys = () if document is None else tuple(document)
            if run and keys != shape:
                _add_run(run, sink)
                run = []
            if document is None:
                _read_line(lines.decoded(raw), lines, sink)
            else:
                shape = keys
                run.append((lines.read, document))
        _add_run(run, sink)


def _usual(raw: bytes) -> dict[str, Any] | None:
    """The object on a line that is read at the first try."""
    try:
        if not raw.isascii():
            raw.decode()
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _add_run(run: list[Located], sink: Sink) -> None:
    """Add spans with the same keys as columns; those with something unusual are found by halving."""
    if not run:
        return
    try:
        if not is_span(run[0][1]):
            raise Unusual
        add_columns(run, sink)
    except Unusual:
        if len(run) == 1 or not is_span(run[0][1]):
            for line, document in run:
                _add_document(document, line, sink)
        else:
            _add_run(run[: len(run) // 2], sink)
            _add_run(run[len(run) // 2 :], sink)


def _read_line(text: str, lines: Lines, sink: Sink) -> None:
    if not text or text.isspace():
        lines.passed_over += 1
        return
    try:
        document = json_value(text)
    except (ValueError, RecursionError) as error:
        sink.refuse(lines.read, f"not JSON: {malformed(error)}")
        return
    _add_document(document, lines.read, sink)


def _add_document(document: Any, line: int, sink: Sink) -> None:
    if not is_span(document):
        sink.refuse(line, "no trace id, span id, name and duration in this line")
        return
    try:
        add(document, line, sink)
    except MALFORMED as error:
        sink.refuse(line, f"malformed span: {malformed(error)}")


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


def add_columns(run: Sequence[Located], sink: Sink) -> None:
    """Add spans that have the same keys, or none: then it raises Unusual."""
    import numpy as np
    import pyarrow as pa

    values = {key: [document[key] for _, document in run] for key in run[0][1]}
    known, others = _sorted_out(values)
    text, rows = pa.string(), len(run)
    try:
        start, end = _times(known)
        columns = {
            "trace_id": hex_ids(known["trace_id"], 16, required=True),
            "span_id": hex_ids(known["span_id"], 8, required=True),
            "parent_span_id": hex_ids(
                [one or "" for one in known.get("parent", [None] * rows)], 8, required=False
            ),
            "operation": _each(known["name"], lambda one: _name(text_or_none(one) or ""), text),
            "kind": _each(known.get("kind", [None] * rows), kind_of, text),
            "status": _each(
                known.get("status", [None] * rows),
                lambda one: described((), {"code": one}, "")[0],
                text,
            ),
            "start_ns": or_none(start),
            "end_ns": or_none(end),
            "duration_ms": durations_ms(start, end),
            "line": pa.array(np.array([line for line, _ in run], dtype=np.int32)),
            "source": pa.array(np.full(rows, sink.source, dtype=np.int32)),
            **_attribute_columns(others, rows),
        }
        for name in (*Resource._fields, "scope"):
            columns[name] = _each(known.get(name, [None] * rows), text_or_none, text)
    except (*MALFORMED, pa.ArrowException) as error:
        raise Unusual from error
    sink.spans.add_columns(columns, rows)
    sink.without_timestamp += columns["start_ns"].null_count


def _sorted_out(values: dict[str, list[Any]]) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """The values of the columns, and those of attributes. One key a column, or it is unusual."""
    known: dict[str, list[Any]] = {}
    others: dict[str, list[Any]] = {}
    for key, column in values.items():
        if key not in _PLACES:
            others[key] = column
        elif _COLUMNS[_PLACES[key][0]] in known:
            raise Unusual
        else:
            known[_COLUMNS[_PLACES[key][0]]] = column
    return known, others


def _each(values: list[Any], function: Callable[[Any], Any], kind: pa.DataType) -> pa.Array:
    """The column of a function's results; it is called once for values that are alike."""
    import pyarrow as pa

    if len(set(map(type, values)) - {NoneType}) > 1 or 0.0 in values:
        raise Unusual  # 1, 1.0 and true are alike to Python, and 0.0 and -0.0
    distinct, places = numbered(values)
    return taken([function(one) for one in distinct], kind, pa.array(places))


def _name(name: str) -> str:
    if name.startswith(coding_sessions.PREFIX):
        raise Unusual
    return name


def _times(known: dict[str, list[Any]]) -> tuple[Numbers, Numbers]:
    import numpy as np

    units = [unit for unit in _UNITS if unit in known]
    if "start" not in known or len(units) + ("end" in known) != 1:
        raise Unusual
    start = _moments(known["start"])
    if "end" in known:
        return start, _moments(known["end"])
    lasted = np.rint(np.array(known[units[0]], dtype=np.float64) * _UNITS[units[0]])
    if set(map(type, known[units[0]])) - {int, float} or not (np.abs(lasted) < 2**53).all():
        raise Unusual
    end = (start + lasted.astype(np.int64)) * (start > 0)
    if (end[start > 0] <= 0).any():
        raise Unusual
    return start, end


def _moments(values: list[Any]) -> Numbers:
    """Times in nanoseconds, 0 where there is none."""
    import numpy as np

    if set(map(type, values)) == {int} and min(values) >= _NANOSECONDS_FROM:
        return np.array(values, dtype=np.int64)
    return np.array([time_ns(value) or 0 for value in values], dtype=np.int64)


def _attribute_columns(others: dict[str, list[Any]], rows: int) -> dict[str, pa.Array]:
    """The columns of SPAN_COLUMNS and `attributes`."""
    import pyarrow as pa

    columns: dict[str, pa.Array] = {}
    rest: list[str] = []
    for key, values in others.items():
        if key in TOGETHER:
            raise Unusual
        if key not in PLACES:
            rest.append(key)
            continue
        position = PLACES[key][0]
        name = SPAN_COLUMN_NAMES[position]
        if name in columns:
            raise Unusual
        kind = pa.int32() if position in INTEGERS else pa.string()
        columns[name] = _each(values, partial(column_value, position), kind)
    for key in rest:
        if len(set(map(type, others[key])) - {NoneType}) > 1 or 0.0 in others[key]:
            raise Unusual
    distinct, places = numbered(
        list(zip(*[others[key] for key in rest], strict=True)) or [()] * rows
    )
    texts = [json_text(dict(zip(rest, one, strict=True))) for one in distinct]
    columns["attributes"] = taken(texts, pa.string(), pa.array(places))
    absent = {
        name: pa.nulls(rows, pa.int32() if position in INTEGERS else pa.string())
        for position, name in enumerate(SPAN_COLUMN_NAMES)
    }
    return absent | columns
