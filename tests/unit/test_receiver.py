"""The receiver keeps what real OpenTelemetry exporters send it, and says why when it cannot."""

from __future__ import annotations

import gzip
import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfheal.errors import InvalidInput
from selfheal.telemetry.receiver import Receiver


def post(receiver: Receiver, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    host = receiver.endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, named)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_spans_of_the_real_exporter_are_kept_with_hex_ids(tmp_path: Path, compression: str) -> None:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    with Receiver(tmp_path) as receiver:
        exporter = OTLPSpanExporter(
            endpoint=receiver.endpoint + "/v1/traces", compression=Compression(compression)
        )
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        tracer = provider.get_tracer("test")
        with tracer.start_as_current_span("outer") as outer, tracer.start_as_current_span("inner"):
            pass
        provider.shutdown()

    kept = lines(tmp_path / "traces.jsonl")
    spans = [request["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for request in kept]
    assert [span["name"] for span in spans] == ["inner", "outer"]
    context = outer.get_span_context()
    assert spans[0]["traceId"] == f"{context.trace_id:032x}"
    assert spans[0]["parentSpanId"] == spans[1]["spanId"] == f"{context.span_id:016x}"


def test_json_is_kept_and_an_empty_request_writes_nothing(tmp_path: Path) -> None:
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "ü"}}]}]}]}
    with Receiver(tmp_path) as receiver:
        body = gzip.compress(json.dumps(request).encode())
        kept = post(
            receiver, "/v1/logs", body, Content_Type="application/json", Content_Encoding="gzip"
        )
        nothing = post(receiver, "/v1/metrics", b"{}", Content_Type="application/json")
    assert kept == nothing == (200, b"{}")
    assert lines(tmp_path / "logs.jsonl") == [request]
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/traces", b"{", {"Content_Type": "application/json"}, 400),
        ("/v1/traces", b"[]", {"Content_Type": "application/json"}, 400),
        ("/v1/traces", b"\xff\xff", {"Content_Type": "application/x-protobuf"}, 400),
        ("/v1/traces", b"<a/>", {"Content_Type": "text/xml"}, 415),
        ("/v1/other", b"{}", {"Content_Type": "application/json"}, 404),
        (
            "/v1/logs",
            b"no gzip",
            {"Content_Type": "application/json", "Content_Encoding": "gzip"},
            400,
        ),
        (
            "/v1/logs",
            gzip.compress(b"{}", mtime=0)[:-4],
            {"Content_Type": "application/json", "Content_Encoding": "gzip"},
            400,
        ),
        ("/v1/logs", b"{}", {"Content_Type": "application/json", "Content_Encoding": "br"}, 415),
    ],
)
def test_what_is_not_otlp_is_refused_with_a_status(
    tmp_path: Path, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    with Receiver(tmp_path) as receiver:
        answer, reason = post(receiver, path, body, **headers)
    assert answer == status
    assert reason
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_answered_as_retryable(tmp_path: Path) -> None:
    (tmp_path / "logs.jsonl").mkdir()
    with Receiver(tmp_path) as receiver:
        status, _ = post(
            receiver, "/v1/logs", b'{"resourceLogs":[{}]}', Content_Type="application/json"
        )
    assert status == 503


def test_a_taken_port_is_the_users_mistake(tmp_path: Path) -> None:
    with Receiver(tmp_path) as receiver:
        port = int(receiver.endpoint.rpartition(":")[2])
        with pytest.raises(InvalidInput, match="another port"):
            Receiver(tmp_path, port=port)


def test_the_process_ends_cleanly_on_sigterm_and_keeps_what_it_accepted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "selfheal.telemetry.receiver", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=10)
        connection.request(
            "POST", "/v1/logs", b'{"resourceLogs":[{"a":1}]}', {"Content-Type": "application/json"}
        )
        assert connection.getresponse().status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert lines(tmp_path / "logs.jsonl") == [{"resourceLogs": [{"a": 1}]}]
