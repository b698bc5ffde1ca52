"""Flat spans with the same keys, as columns: what the keys mean, and their values in bulk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from selfheal.telemetry.columns import (
    Column,
    Unusual,
    constant,
    durations_ms,
    or_none,
)
from selfheal.telemetry.formats import coding_sessions
from selfheal.telemetry.formats.attributes import (
    RESOURCE_COLUMNS,
    places_of,
    text_or_none,
)
from selfheal.telemetry.formats.events import MALFORMED, Resource
from selfheal.telemetry.formats.otlp_records import (
    described,
    kind_of,
)
from selfheal.telemetry.formats.span_columns import attribute_columns, each_of, ids_of, moments_of

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
COLUMNS = tuple(KEYS)
PLACES = places_of(KEYS)
UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


def columns_of(values: Mapping[str, Column]) -> dict[str, pa.Array]:
    """The columns of spans that have the same keys. Raises Unusual."""
    import pyarrow as pa

    known, others = _sorted_out(values)
    rows = len(known["trace_id"])
    text = pa.string()

    def each(name: str, function: Callable[[Any], Any]) -> pa.Array:
        if name in known:
            return each_of(known[name], function, text)
        return constant(function(None), text, rows)

    try:
        start, end = _times(known)
        return {
            "trace_id": ids_of(known["trace_id"], 16, required=True),
            "span_id": ids_of(known["span_id"], 8, required=True),
            "parent_span_id": ids_of(known["parent"], 8, required=False)
            if "parent" in known
            else pa.nulls(rows, text),
            "operation": each("name", lambda one: _name(text_or_none(one) or "")),
            "kind": each("kind", kind_of),
            "status": each("status", lambda one: described((), {"code": one}, "")[0]),
            "start_ns": or_none(start),
            "end_ns": or_none(end),
            "duration_ms": durations_ms(start, end),
            **attribute_columns(others, rows),
            **{name: each(name, text_or_none) for name in (*Resource._fields, "scope")},
        }
    except (*MALFORMED, pa.ArrowException) as error:
        raise Unusual from error


def _sorted_out(values: Mapping[str, Column]) -> tuple[dict[str, Column], dict[str, Column]]:
    """The values of the columns, and those of attributes. One key a column, or it is unusual."""
    known: dict[str, Column] = {}
    others: dict[str, Column] = {}
    for key, column in values.items():
        if key not in PLACES:
            others[key] = column
        elif COLUMNS[PLACES[key][0]] in known:
            raise Unusual
        else:
            known[COLUMNS[PLACES[key][0]]] = column
    return known, others


def _name(name: str) -> str:
    if name.startswith(coding_sessions.PREFIX):
        raise Unusual
    return name


def _times(known: Mapping[str, Column]) -> tuple[Numbers, Numbers]:
    units = [unit for unit in UNITS if unit in known]
    if "start" not in known or len(units) + ("end" in known) != 1:
        raise Unusual
    start = moments_of(known["start"])
    if "end" in known:
        return start, moments_of(known["end"])
    end = (start + _lasted(known[units[0]], UNITS[units[0]])) * (start > 0)
    if (end[start > 0] <= 0).any():
        raise Unusual
    return start, end


def _lasted(column: Column, unit: int) -> Numbers:
    """Durations in nanoseconds."""
    import numpy as np

    numbers = column.integers()
    if numbers is None:
        distinct, places = column.distinct()
        if set(map(type, distinct)) - {int, float}:
            raise Unusual
        numbers = np.array(distinct, dtype=np.float64)[np.asarray(places)]
    lasted = np.rint(numbers.astype(np.float64) * unit)
    if not (np.abs(lasted) < 2**53).all():
        raise Unusual
    found: Numbers = lasted.astype(np.int64)
    return found
