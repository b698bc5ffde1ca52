"""HAProxy before a fleet: shares by weight, reloads and dead instances without a failed request."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from selfheal.config import ServiceConfig
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.proxy import find_haproxy
from selfheal.errors import ServiceError

pytestmark = pytest.mark.skipif(find_haproxy() is None, reason="HAProxy is not installed")

NAMED = """
import http.server, sys
class Named(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = sys.argv[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Named).serve_forever()
"""
SERVICE = ServiceConfig(name="named", start=["{python}", "named.py", "{port}", "{release}"])


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    (tmp_path / "named.py").write_text(NAMED)
    made = Fleet.create(tmp_path / "fleet", service=SERVICE)
    try:
        made.start(tmp_path, "1.0", "abc", 2)
        made.start(tmp_path, "1.1", "abd", 1)
        made.route({"1.0": 100})
        yield made
    finally:
        made.stop_all()


def ask(fleet: Fleet, headers: dict[str, str] | None = None) -> tuple[str, str | None]:
    """The release that answers, and the cookie that it was given; "" where none answers."""
    assert fleet.url is not None
    connection = http.client.HTTPConnection(urlsplit(fleet.url).netloc, timeout=10)
    try:
        connection.request("GET", "/", headers=headers or {})
        answer = connection.getresponse()
        return (answer.read().decode() if answer.status == 200 else ""), answer.getheader(
            "Set-Cookie"
        )
    except (OSError, http.client.HTTPException):
        return "", None
    finally:
        connection.close()


def test_shares_are_carried_out_and_a_session_stays_with_its_instance(fleet: Fleet) -> None:
    fleet.route({"1.0": 75, "1.1": 25})
    assert Counter(ask(fleet)[0] for _ in range(80)) == {"1.0": 60, "1.1": 20}
    answers = [ask(fleet) for _ in range(8)]
    cookie = next(given for release, given in answers if release == "1.1")
    assert cookie is not None
    kept = {"Cookie": cookie.partition(";")[0]}
    assert {ask(fleet, kept)[0] for _ in range(8)} == {"1.1"}
    fleet.route({"1.0": 100, "1.1": 0})
    assert ask(fleet, kept)[0] == "1.0", "a session is moved from a release that is taken back"


def test_no_request_fails_while_traffic_is_shifted_and_releases_end(fleet: Fleet) -> None:
    answers: Counter[str] = Counter()
    stop = threading.Event()

    def go() -> None:
        while not stop.is_set():
            answers[ask(fleet)[0]] += 1

    clients = [threading.Thread(target=go) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        for percent in (10, 40, 70, 100):
            fleet.route({"1.0": 100 - percent, "1.1": percent})
        fleet.stop("1.0")
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert answers[""] == 0, answers
    assert answers["1.0"] > 0 < answers["1.1"]


def test_a_killed_instance_costs_no_request_while_another_serves(fleet: Fleet) -> None:
    os.killpg(fleet.instances("1.0")[0].pid, signal.SIGKILL)
    assert {ask(fleet)[0] for _ in range(20)} == {"1.0"}


def test_a_killed_proxy_is_seen_and_brought_back_at_the_same_address(fleet: Fleet) -> None:
    url, proxy = fleet.url, fleet._proxy()
    assert fleet.carried()
    assert proxy is not None
    serving = proxy.pid()
    assert serving is not None
    os.kill(serving, signal.SIGKILL)
    while fleet.carried():
        pass
    assert ask(fleet)[0] == ""
    fleet.tend()
    assert (fleet.url, ask(fleet)[0]) == (url, "1.0")


def test_a_proxy_that_a_crash_left_unnoted_is_taken_over_as_well(fleet: Fleet) -> None:
    """Killed between the start of a new configuration and its end, selfheal notes nothing."""
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom selfheal.delivery.fleet import Fleet\n"
        "from selfheal.delivery.proxy import Proxy\n"
        "start = Proxy._start\n"
        "def dies(proxy):\n    start(proxy)\n    os.kill(os.getpid(), 9)\n"
        "Proxy._start = dies\n"
        "Fleet(Path(sys.argv[1])).route({'1.0': 50, '1.1': 50})\n"
    )
    subprocess.run([sys.executable, "-c", code, str(fleet.folder)], check=False)
    fleet.route({"1.0": 100, "1.1": 0})
    fleet.stop("1.1")
    proxy = fleet._proxy()
    assert proxy is not None
    assert proxy.processes() == [proxy.pid()]
    assert {ask(fleet)[0] for _ in range(20)} == {"1.0"}


def test_a_shift_that_was_written_and_not_carried_out_is_found_out(fleet: Fleet) -> None:
    """What a crash leaves between the routing and the proxy."""
    carried = fleet.routing()
    fleet._write(carried.model_copy(update={"instances": []}))
    assert not fleet.carried()
    fleet._write(carried)
    assert fleet.carried()


def test_a_proxy_that_does_not_start_leaves_the_routing_as_it_was(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fleet.routing()
    monkeypatch.setattr("selfheal.delivery.proxy.find_haproxy", lambda: None)
    with pytest.raises(ServiceError, match="not installed"):
        fleet.route({"1.0": 50, "1.1": 50})
    assert fleet.routing() == before
    assert {ask(fleet)[0] for _ in range(4)} == {"1.0"}


def test_a_proxy_whose_folder_was_removed_is_ended_as_well(fleet: Fleet) -> None:
    proxy = fleet._proxy()
    assert proxy is not None
    shutil.rmtree(proxy.folder)
    assert len(proxy.processes()) == 1
    fleet.stop_all()
    while proxy.processes():
        pass


def test_the_proxy_outlives_the_process_that_started_it(fleet: Fleet) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom selfheal.delivery.fleet import Fleet\n"
        "Fleet(Path(sys.argv[1])).route({'1.0': 50, '1.1': 50})\n"
    )
    subprocess.run([sys.executable, "-c", code, str(fleet.folder)], check=True)
    assert {ask(fleet)[0] for _ in range(8)} == {"1.0", "1.1"}
