"""One real process of a service: started healthy, ended whole, detached when asked."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from selfheal.artifacts.patch import RecordedRequest
from selfheal.config import ServiceConfig
from selfheal.errors import ConfigurationError, ServiceError
from selfheal.sandbox.replay import replay
from selfheal.sandbox.service import ServiceProcess, fill, healthy, running, stop_process

APP = """\
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    visits = {}
    def do_GET(self):
        if self.path == "/env":
            return self.reply(200, json.dumps(dict(os.environ)))
        if self.path == "/fail":
            return self.reply(500, "")
        visitor = (self.headers.get("Cookie") or "").partition("=")[2] or str(len(self.visits))
        self.visits[visitor] = self.visits.get(visitor, 0) + 1
        status = 200 if self.path == "/health" or self.visits[visitor] > 1 else 409
        self.reply(status, "", visitor)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.reply(201 if body == "given" and self.headers["Content-Type"] == "text/x" else 400, "")
    def reply(self, status, text, visitor=None):
        self.send_response(status)
        if visitor is not None:
            self.send_header("Set-Cookie", f"visitor={visitor}; Path=/")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args):
        pass

signal.signal(signal.SIGTERM, lambda *_: (print("flushed", flush=True), sys.exit(0)))
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SERVICE = ServiceConfig(
    name="tea house", start=["{python}", "app.py", "{port}"], environment={"RELEASE": "{release}"}
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "app.py").write_text(APP)
    return tmp_path


def process(folder: Path, service: ServiceConfig = SERVICE, **options: object) -> ServiceProcess:
    return ServiceProcess(
        service,
        folder=folder / "tree",
        release="1.1+fix,1",
        instance="one",
        commit="abc",
        log=folder / "logs" / "service.log",
        **options,  # type: ignore[arg-type]
    )


def test_it_gets_its_identity_and_endpoint_and_nothing_of_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "do not tell")
    with (
        process(folder, endpoint="http://127.0.0.1:4318") as service,
        urllib.request.urlopen(f"{service.url}/env") as answer,
    ):
        environment = json.load(answer)
    assert "A_SECRET" not in environment
    assert environment["RELEASE"] == "1.1+fix,1"
    assert environment["OTEL_SERVICE_NAME"] == "tea house"
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
    assert environment["OTEL_RESOURCE_ATTRIBUTES"] == (
        "service.version=1.1%2Bfix%2C1,service.instance.id=one,vcs.ref.head.revision=abc"
    )


@pytest.mark.parametrize("sandboxed", [False, True])
def test_it_may_flush_when_it_is_stopped(folder: Path, sandboxed: bool) -> None:
    with process(folder, sandboxed=sandboxed) as service:
        pid = service.pid
        assert service.healthy()
    assert not running(pid)
    assert "flushed" in (folder / "logs" / "service.log").read_text()


def test_one_that_ends_at_once_is_an_error_with_its_last_words(folder: Path) -> None:
    service = ServiceConfig(start=["{python}", "-c", "raise SystemExit('no database')"])
    with pytest.raises(ServiceError, match="no database"):
        process(folder, service).start()


def test_one_that_is_never_healthy_is_an_error_and_is_ended(folder: Path) -> None:
    service = SERVICE.model_copy(update={"health": "/fail", "startup_seconds": 1.0})
    one = process(folder, service)
    with pytest.raises(ServiceError, match="did not become healthy"):
        one.start()
    assert not healthy(one.url, "/env")


def test_without_a_start_command_the_error_names_the_setting(folder: Path) -> None:
    with pytest.raises(ConfigurationError) as error:
        process(folder, ServiceConfig())
    assert error.value.where == "service.start"


STARTER = """\
import os, sys
from pathlib import Path
from selfheal.config import ServiceConfig
from selfheal.sandbox.service import ServiceProcess
folder = Path(sys.argv[1])
service = ServiceConfig(start=["{python}", "app.py", "{port}"])
one = ServiceProcess(service, folder=folder / "tree", release="1", instance="1", commit="1",
                     log=folder / "log")
one.start()
if sys.argv[2] == "detach":
    one.detach()
print(one.pid, one.url, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("detach", ["detach", "keep"])
def test_it_outlives_its_starter_only_when_detached(folder: Path, detach: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTER, str(folder), detach],
        capture_output=True,
        text=True,
        check=False,
    )
    pid, url = done.stdout.split()
    if detach == "detach":
        assert healthy(url, "/health")
        stop_process(int(pid))
    deadline = time.monotonic() + 20
    while running(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not running(int(pid))
    assert not healthy(url, "/health")


def test_stopping_what_is_gone_is_no_error() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    stop_process(gone.pid)


def test_only_known_braces_are_filled() -> None:
    assert fill('{port} {"port"} {other}', {"port": 80}) == '80 {"port"} {other}'


def test_each_replayed_session_has_cookies_of_its_own(folder: Path) -> None:
    get = RecordedRequest(method="GET", path="/")
    with process(folder) as service:
        replies = replay(service.url, [[get, get], [get], [get, get]])
    assert [(reply.session, reply.judged, reply.status) for reply in replies] == [
        (0, False, 409),
        (0, True, 200),
        (1, True, 409),
        (2, False, 409),
        (2, True, 200),
    ]


def test_bodies_and_failures_are_replayed_as_they_are(folder: Path) -> None:
    post = RecordedRequest(method="POST", path="/", body="given", content_type="text/x")
    fail = RecordedRequest(method="GET", path="/fail", query="x=1")
    with process(folder) as service:
        url = service.url
        assert [reply.status for reply in replay(url, [[post], [fail]])] == [201, 409]
    (reply,) = replay(url, [[post]])
    assert reply.status is None
    assert "Connection" in reply.error
