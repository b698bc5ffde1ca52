"""Traces and logs over OTLP, when the standard OTEL_* variables name an endpoint.

Identity (service.name, service.version, …) comes from OTEL_SERVICE_NAME and
OTEL_RESOURCE_ATTRIBUTES. With SHOP_RECORD_REQUESTS=1 the entry span also keeps the
request's body, cut off above RECORDED_BYTES, so that a failing request can be repeated.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flask import Flask, request
from opentelemetry import trace

from shop.sessions import session_id

P = ParamSpec("P")
R = TypeVar("R")

RECORDED_BYTES = 4096

tracer = trace.get_tracer("shop")


def traced(function: Callable[P, R]) -> Callable[P, R]:
    """Give every call of a function a span that says where the function is written."""
    module = function.__module__.removeprefix("shop.")
    attributes = {
        "code.function.name": f"{function.__module__}.{function.__qualname__}",
        "code.file.path": function.__code__.co_filename,
        "code.line.number": function.__code__.co_firstlineno,
    }

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with tracer.start_as_current_span(f"{module}.{function.__name__}", attributes=attributes):
            return function(*args, **kwargs)

    return wrapper


def set_up(app: Flask) -> None:
    """Instrument the app and SQLite, and export to the OTLP endpoint if one is configured."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

    export_traces()
    export_logs()
    SQLite3Instrumentor().instrument()
    FlaskInstrumentor().instrument_app(app, excluded_urls="/health")
    app.before_request(describe_request)


def export_traces() -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(),
            schedule_delay_millis=500,
            max_queue_size=32768,
            max_export_batch_size=1024,
        )
    )
    trace.set_tracer_provider(provider)


def export_logs() -> None:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    provider.add_log_record_processor(
        BatchLogRecordProcessor(OTLPLogExporter(), schedule_delay_millis=500)
    )
    logging.getLogger("shop").addHandler(LoggingHandler(logger_provider=provider))


def describe_request() -> None:
    """Put the session and, where recording is on, the body on the entry span."""
    span = trace.get_current_span()
    span.set_attribute("session.id", session_id())
    recording = os.environ.get("SHOP_RECORD_REQUESTS") == "1"
    if recording and 0 < (request.content_length or 0) <= RECORDED_BYTES:
        span.set_attribute("selfheal.request.body", request.get_data(as_text=True))
        span.set_attribute("selfheal.request.content_type", request.mimetype)
