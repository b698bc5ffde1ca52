"""Fixtures that several folders use."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files of tests/golden anew"
    )


FIRST_SECOND = 1_760_000_000
SPANS_PER_RELEASE = 600


@pytest.fixture(scope="session")
def small_telemetry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Traces of two releases as the OpenTelemetry SDK exports them over OTLP/HTTP.

    Release 1.1 of the service `till` answers GET /cart eight times slower than 1.0, and
    every fourth request of it fails with a KeyError. Times are given, not measured, so
    that every use sees the same data.
    """
    from selfheal.telemetry.receiver import Receiver

    folder = tmp_path_factory.mktemp("telemetry")
    with Receiver(folder) as receiver:
        for version, start, milliseconds in (("1.0", 0, 5), ("1.1", 3000, 40)):
            _export(receiver.endpoint, version, FIRST_SECOND + start, milliseconds)
    return folder


def _export(endpoint: str, version: str, start: int, milliseconds: int) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind, Status, StatusCode

    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": "till",
                "service.version": version,
                "service.instance.id": f"till-{version}",
                "deployment.environment.name": "production",
            }
        )
    )
    exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("till")
    for number in range(SPANS_PER_RELEASE):
        begun = (start + number * 4) * 10**9
        span = tracer.start_span(
            "GET /cart",
            kind=SpanKind.SERVER,
            start_time=begun,
            attributes={
                "http.request.method": "GET",
                "url.path": "/cart",
                "http.route": "/cart",
                "session.id": f"session-{number // 3}",
            },
        )
        if version == "1.1" and number % 4 == 0:
            try:
                {}["discount"]
            except KeyError as error:
                span.record_exception(error, timestamp=begun + 10**6)
            span.set_attribute("http.response.status_code", 500)
            span.set_status(Status(StatusCode.ERROR))
        else:
            span.set_attribute("http.response.status_code", 200)
        jitter = (number * 7919 % 1000) / 1000
        span.end(end_time=begun + int(milliseconds * (0.8 + 0.4 * jitter) * 10**6))
    provider.shutdown()


def pytest_configure() -> None:
    """A shell that starts the tests in the background has them ignore what some of them send."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
