"""Exported tables of the OpenTelemetry collector's ClickHouse exporter.

``otel_logs``, ``otel_traces`` and ``otel_metrics_*`` as JSONEachRow, or as
TabSeparated with or without the rows of names and types. The tables changed over time
(attributes as Map or JSON, `TimestampTime`, `EventName`); what a row has is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from selfheal.telemetry.formats.clickhouse_text import literal, unescaped
from selfheal.telemetry.formats.events import MALFORMED, Resource, malformed, resource_of
from selfheal.telemetry.formats.otlp_metrics import add_metric
from selfheal.telemetry.formats.otlp_records import add_record, add_span
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

Row = dict[str, Any]

_LOGS = (  # noqa: SIM905
    "Timestamp TraceId SpanId TraceFlags SeverityText SeverityNumber ServiceName Body "
    "ResourceSchemaUrl ResourceAttributes ScopeSchemaUrl ScopeName ScopeVersion "
    "ScopeAttributes LogAttributes"
).split()
_TRACES = (  # noqa: SIM905
    "Timestamp TraceId SpanId ParentSpanId TraceState SpanName SpanKind ServiceName "
    "ResourceAttributes ScopeName ScopeVersion SpanAttributes Duration StatusCode StatusMessage "
    "Events.Timestamp Events.Name Events.Attributes Links.TraceId Links.SpanId Links.TraceState "
    "Links.Attributes"
).split()
# The columns of exports without a row of names, by what the exporter's versions created.
_WITHOUT_NAMES = (
    _TRACES,
    _LOGS,
    [_LOGS[0], "TimestampTime", *_LOGS[1:]],
    [*_LOGS, "EventName"],
)
_STRUCTURED = re.compile(
    r".*Attributes$|(Events|Links|Exemplars|ValueAtQuantiles)(\..*)?$|.*BucketCounts$|ExplicitBounds$"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?$")
_TYPE = re.compile(r"(DateTime64|DateTime|LowCardinality|String|U?Int\d+|Map|JSON|Array|Nested)\b")
_TRACE_ID = re.compile(r"[0-9a-f]{32}$|$")


def is_row(document: Any) -> bool:
    """Whether a JSON object is a row of one of the tables."""
    if not isinstance(document, dict):
        return False
    keys = document.keys()
    return (
        {"TraceId", "SpanId", "SpanName"} <= keys
        or {"SeverityText", "SeverityNumber", "Body"} <= keys
        or {"MetricName", "TimeUnix"} <= keys
    )


def begins_table(text: str) -> bool:
    """Whether a text begins with a table in a tab-separated format."""
    cells = text.partition("\n")[0].rstrip("\r").split("\t")
    return is_row(dict.fromkeys(cells)) or _columns_for(cells) is not None


def read_json(lines: Lines, sink: Sink) -> None:
    """Read rows in the format JSONEachRow from `lines` into `sink`."""
    for text in lines.filled():
        try:
            row = json.loads(text)
            if not is_row(row):
                raise ValueError("its columns are not those of a collector's table")
            _add(row, lines.read, sink)
        except MALFORMED as error:
            sink.refuse(lines.read, f"no row of a collector's table: {malformed(error)}")


def read_tsv(lines: Lines, sink: Sink) -> None:
    """Read a table in one of the tab-separated formats from `lines` into `sink`."""
    names: Sequence[str] | None = None
    for text in lines.filled():
        cells = text.split("\t")
        try:
            if names is None and is_row(dict.fromkeys(cells)):
                names = [unescaped(cell) or "" for cell in cells]
                lines.passed_over += 1
                continue
            if lines.read == 2 and all(_TYPE.match(cell) for cell in cells):
                lines.passed_over += 1
                continue
            names = names or _columns_for(cells)
            if names is None or len(names) != len(cells):
                raise ValueError(f"it has {len(cells)} columns")
            row = {name: _cell(name, cell) for name, cell in zip(names, cells, strict=True)}
            _add(row, lines.read, sink)
        except MALFORMED as error:
            sink.refuse(lines.read, f"no row of a collector's table: {malformed(error)}")


def _columns_for(cells: Sequence[str]) -> Sequence[str] | None:
    """The columns of a row without names; None where it is of no known table."""
    if len(cells) < len(_LOGS) or not _TIME.match(cells[0]):
        return None
    for names in _WITHOUT_NAMES:
        if len(names) == len(cells):
            at = names.index("TraceId")
            dated = at == 1 or _TIME.match(cells[1])
            if dated and _TRACE_ID.match(cells[at]):
                return names
    return None


def _cell(name: str, cell: str) -> Any:
    if not _STRUCTURED.match(name):
        return unescaped(cell)
    return literal(cell) if not cell.startswith('{"') else json.loads(unescaped(cell) or "{}")


def _add(row: Row, line: int, sink: Sink) -> None:
    resource = _resource(row)
    scope = row.get("ScopeName") or None
    if "MetricName" in row:
        add_metric(_metric(row), resource, scope, line, sink)
    elif "SpanName" in row:
        add_span(_span(row), resource, scope, line, sink)
    else:
        add_record(_log(row), resource, scope, line, sink)


def _resource(row: Row) -> Resource:
    resource = resource_of(_flat(row.get("ResourceAttributes")))
    return resource._replace(service=resource.service or row.get("ServiceName") or None)


def _span(row: Row) -> Row:
    start = time_ns(row.get("Timestamp"))
    duration = int(row.get("Duration") or 0)
    return {
        "traceId": row["TraceId"],
        "spanId": row["SpanId"],
        "parentSpanId": row.get("ParentSpanId"),
        "name": row["SpanName"],
        "kind": row.get("SpanKind"),
        "startTimeUnixNano": start,
        "endTimeUnixNano": start + duration if start is not None else None,
        "status": {"code": row.get("StatusCode"), "message": row.get("StatusMessage")},
        "attributes": _flat(row.get("SpanAttributes")),
        "events": list(_events(row)),
    }


def _events(row: Row) -> Iterator[Row]:
    """Nested columns come as parallel arrays, or as a list of objects."""
    events = row.get("Events")
    if events is None:
        events = {
            key: row.get(f"Events.{key}") or [] for key in ("Timestamp", "Name", "Attributes")
        }
    if isinstance(events, dict):
        names = tuple(events)
        events = [
            dict(zip(names, values, strict=True))
            for values in zip(*(events[name] for name in names), strict=True)
        ]
    for event in events:
        yield {
            "timeUnixNano": time_ns(event.get("Timestamp")),
            "name": event.get("Name"),
            "attributes": _flat(event.get("Attributes")),
        }


def _log(row: Row) -> Row:
    return {
        "timeUnixNano": time_ns(row.get("Timestamp")),
        "severityNumber": row.get("SeverityNumber"),
        "severityText": row.get("SeverityText"),
        "body": {"stringValue": row["Body"]},
        "traceId": row.get("TraceId"),
        "spanId": row.get("SpanId"),
        "eventName": row.get("EventName"),
        "attributes": _flat(row.get("LogAttributes")),
    }


def _metric(row: Row) -> Row:
    point = {
        "timeUnixNano": time_ns(row.get("TimeUnix")),
        "startTimeUnixNano": time_ns(row.get("StartTimeUnix")),
        "attributes": _flat(row.get("Attributes")),
        "flags": row.get("Flags"),
        "asDouble": row.get("Value"),
    }
    for name, column in (("count", "Count"), ("sum", "Sum"), ("min", "Min"), ("max", "Max")):
        point[name] = row.get(column)
    if "Scale" in row:
        kind = "exponentialHistogram"
        point |= {"scale": row["Scale"], "zeroCount": row.get("ZeroCount")}
        for sign in ("Positive", "Negative"):
            point[sign.lower()] = {
                "offset": row.get(f"{sign}Offset"),
                "bucketCounts": row.get(f"{sign}BucketCounts"),
            }
    elif "ExplicitBounds" in row:
        kind = "histogram"
        point |= {"bucketCounts": row.get("BucketCounts"), "explicitBounds": row["ExplicitBounds"]}
    elif "ValueAtQuantiles.Quantile" in row:
        kind = "summary"
        pairs = zip(row["ValueAtQuantiles.Quantile"], row["ValueAtQuantiles.Value"], strict=True)
        point["quantileValues"] = [{"quantile": at, "value": value} for at, value in pairs]
    else:
        kind = "sum" if "IsMonotonic" in row else "gauge"
    data = {
        "dataPoints": [point],
        "aggregationTemporality": row.get("AggregationTemporality"),
        "isMonotonic": row.get("IsMonotonic") in (True, 1, "1", "true"),
    }
    return {"name": row["MetricName"], "unit": row.get("MetricUnit"), kind: data}


def _flat(attributes: Any) -> Row:
    """Attributes as names with points: a Map as it is, of a JSON column the nesting undone."""
    flat: Row = {}
    for name, value in dict(attributes or {}).items():
        if isinstance(value, dict):
            flat.update((f"{name}.{inner}", content) for inner, content in _flat(value).items())
        else:
            flat[str(name)] = value
    return flat
