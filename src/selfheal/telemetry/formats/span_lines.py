"""Spans as flat JSON, one object a line, as tracing libraries without OTLP and exports of tables have them.

A span has a trace id, a span id, a name, and an end or a duration whose key tells its
unit; an object with a level or a message is a log record
(`selfheal.telemetry.formats.json_lines`). What has no column is its attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from selfheal.telemetry.columns import Column, Listed, Unusual, placed
from selfheal.telemetry.formats.attributes import json_value, taken_out, text_or_none
from selfheal.telemetry.formats.events import MALFORMED, Resource, malformed
from selfheal.telemetry.formats.flat_spans import COLUMNS, KEYS, PLACES, UNITS, columns_of
from selfheal.telemetry.formats.otlp_records import add_span
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.layout import Nullable, columns_alike
from selfheal.telemetry.plan import divided_at
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

if TYPE_CHECKING:
    import pyarrow as pa

_OF_LOGS = frozenset(("level", "levelname", "severity", "log.level", "message", "msg", "event"))
_LASTING = [name for column in ("end", *UNITS) for name in KEYS[column]]
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
    """Read spans from `lines` into `sink`, as columns where they are alike."""
    nullable = Nullable()
    for chunk in lines.chunks():
        rows = chunk.count(b"\n") + 1
        columns = columns_alike(chunk, rows, nullable, _columns_of_spans)
        if columns is None:
            _read_block([line.rstrip(b"\r") for line in chunk.split(b"\n")], lines, sink)
        else:
            _put(columns, range(lines.read + 1, lines.read + 1 + rows), sink)
            lines.read += rows


def _columns_of_spans(values: Mapping[str, Column]) -> dict[str, pa.Array]:
    if not is_span(values):
        raise Unusual
    return columns_of(values)


def _put(columns: dict[str, pa.Array], lines: Sequence[int], sink: Sink) -> None:
    sink.without_timestamp += columns["start_ns"].null_count
    sink.spans.add_columns(columns | placed(lines, sink.source), len(lines))


def _read_block(block: list[bytes], lines: Lines, sink: Sink) -> None:
    """Read some lines; runs of objects with the same keys as columns."""
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
        keys = run[0][1]
        columns = columns_of({key: Listed([one[key] for _, one in run]) for key in keys})
        _put(columns, [line for line, _ in run], sink)
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
    found = {COLUMNS[at]: value for at, value in taken_out(document, PLACES).items()}
    start, end = time_ns(found.get("start")), time_ns(found.get("end"))
    lasted = next(
        (round(float(found[unit]) * UNITS[unit]) for unit in UNITS if unit in found), None
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
