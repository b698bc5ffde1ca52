"""A trial on real processes: the detector fires on the sick release and is quiet on the healed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from selfheal import config
from selfheal.artifacts import Anomaly, Candidate
from selfheal.artifacts.anomalies import DataWindow, Detector
from selfheal.artifacts.patch import RecordedRequest
from selfheal.repair.diff import patch_of
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.evidence import Subject
from selfheal.sandbox.live import prove_live

pytest.importorskip("opentelemetry.sdk")

SERVICE = """\
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("teahouse")
PRICES = {"tea": 3}

def answer(name):
    return str(PRICES[name])

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            return self.reply(200, "")
        kind = trace.SpanKind.SERVER
        try:
            with tracer.start_as_current_span("GET /price", kind=kind) as span:
                span.set_attribute("http.request.method", "GET")
                span.set_attribute("url.path", self.path)
                text = answer(self.path.rpartition("/")[2])
        except KeyError:
            return self.reply(500, "")
        self.reply(200, text)
    def reply(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
HEALED = SERVICE.replace("PRICES[name]", "PRICES.get(name, 0)")
BROKEN = SERVICE.replace('"127.0.0.1"', "nowhere")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    path = tmp_path / "repository"
    path.mkdir()
    (path / "service.py").write_text(SERVICE)
    script = "git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -qm one"
    subprocess.run(["sh", "-c", script], cwd=path, check=True)
    settings = config.ValidateConfig(repetitions=3)
    return Bench(path, tmp_path / "bench", config.TestsConfig(), settings)


def candidate(name: str, text: str) -> Candidate:
    return Candidate(
        id=name,
        diagnosis_id="d",
        strategy="s",
        rank=1,
        score=1.0,
        files=["service.py"],
        patch=patch_of({"service.py": SERVICE}, {"service.py": text}),
        explanation="",
        base_commit="HEAD",
    )


def anomaly() -> Anomaly:
    detector = Detector(
        name="error_rate_by_fingerprint",
        parameters={"significance": 0.05, "expected_rate": 0.01},
        window=DataWindow(),
    )
    return Anomaly(
        id="a",
        kind="error",
        service="teahouse",
        operation="GET /price",
        severity="high",
        score=1.0,
        title="KeyError",
        count=1,
        detector=detector,
        evidence={"fingerprint": "other", "exception_type": "KeyError", "baseline_count": 0},
    )


def test_the_detector_of_the_anomaly_judges_real_releases(bench: Bench, tmp_path: Path) -> None:
    candidates = [
        candidate("heals", HEALED),
        candidate("does-nothing", SERVICE + "# nothing\n"),
        candidate("does-not-start", BROKEN),
    ]
    subject = Subject(
        diagnosis_id="d",
        kind="error",
        operation="GET /price",
        anomaly_ids=["a"],
        candidate_ids=[],
        bad_commit="HEAD",
        sessions=[
            [RecordedRequest(method="GET", path="/price/cocoa")],
            [RecordedRequest(method="GET", path="/price/tea")],
        ],
    )
    service = config.ServiceConfig(name="teahouse", start=["{python}", "service.py", "{port}"])
    proof = prove_live(
        bench,
        service,
        [subject],
        candidates,
        {"a": anomaly()},
        folder=tmp_path / "trial",
        measurements="measurements/trial.json",
    )
    verdicts = {
        name: [(check.name, check.verdict) for check in checks]
        for name, checks in proof.checks.items()
    }
    assert verdicts["heals"] == [("detector", "passed"), ("speed", "passed")]
    assert verdicts["does-nothing"][0] == ("detector", "failed")
    assert verdicts["does-not-start"][0] == ("detector", "failed")
    assert proof.measured["variants"]["bad"] == {
        **proof.measured["variants"]["bad"],
        "requests": 12,
        "broken_sessions": 1,
    }
    summaries = [check.summary for checks in proof.checks.values() for check in checks]
    assert not any(str(tmp_path) in summary for summary in summaries)
    assert not (tmp_path / "trial").exists()
