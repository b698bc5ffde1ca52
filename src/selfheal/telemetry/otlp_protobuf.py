"""OTLP protobuf export requests as OTLP JSON.

The JSON is that of the OTLP specification: lowerCamelCase names, enums as numbers, and
trace and span ids in hex. Protobuf's own JSON mapping writes ids as base64, which
other OTLP readers silently misread; the ids are rewritten here.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from selfheal.errors import MissingExtra
from selfheal.telemetry.columns import Unusual

Signal = Literal["traces", "logs", "metrics"]
_ID_FIELDS = ("traceId", "spanId", "parentSpanId")


def request_from_protobuf(signal: Signal, body: bytes) -> dict[str, Any]:
    """One export request of a signal, as OTLP JSON with hex ids.

    Raises ValueError where `body` is no such message, MissingExtra where
    opentelemetry-proto is not installed.
    """
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError

    message = _request_class(signal)()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise ValueError(f"not an OTLP {signal} request: {error}") from error
    request: dict[str, Any] = MessageToDict(message, use_integers_for_enums=True)
    for carrier in _carriers_of_ids(request):
        for field in _ID_FIELDS:
            if field in carrier:
                carrier[field] = base64.b64decode(carrier[field]).hex()
    return request


Part = Literal["Resource", "InstrumentationScope", "KeyValue", "Span", "Status", "Event"]


def json_of(part: Part, body: bytes) -> dict[str, Any]:
    """A message inside of a request as OTLP JSON; ids, which it may hold, are in base64.

    Raises Unusual where `body` is no such message.
    """
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError

    message = _part_classes()[part]()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise Unusual from error
    found: dict[str, Any] = MessageToDict(message, use_integers_for_enums=True)
    return found


@cache
def _part_classes() -> dict[Part, Any]:
    try:
        from opentelemetry.proto.common.v1 import common_pb2
        from opentelemetry.proto.resource.v1 import resource_pb2
        from opentelemetry.proto.trace.v1 import trace_pb2
    except ImportError as error:
        raise MissingExtra.of("opentelemetry-proto", "otlp") from error
    return {
        "Resource": resource_pb2.Resource,
        "InstrumentationScope": common_pb2.InstrumentationScope,
        "KeyValue": common_pb2.KeyValue,
        "Span": trace_pb2.Span,
        "Status": trace_pb2.Status,
        "Event": trace_pb2.Span.Event,
    }


def _request_class(signal: Signal) -> Any:
    try:
        from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
    except ImportError as error:
        raise MissingExtra.of("opentelemetry-proto", "otlp") from error
    classes: dict[Signal, Any] = {
        "traces": trace_service_pb2.ExportTraceServiceRequest,
        "logs": logs_service_pb2.ExportLogsServiceRequest,
        "metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    }
    return classes[signal]


def _carriers_of_ids(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object of a request that may hold ids: spans, links, log records, exemplars."""
    for resource in request.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                yield span
                yield from span.get("links", ())
    for resource in request.get("resourceLogs", ()):
        for scope in resource.get("scopeLogs", ()):
            yield from scope.get("logRecords", ())
    for resource in request.get("resourceMetrics", ()):
        for scope in resource.get("scopeMetrics", ()):
            for metric in scope.get("metrics", ()):
                for data in metric.values():
                    if isinstance(data, dict):
                        for point in data.get("dataPoints", ()):
                            yield from point.get("exemplars", ())
