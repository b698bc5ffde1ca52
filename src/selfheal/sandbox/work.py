"""How much work a request makes, counted, so that equal code gives equal numbers.

The request is answered in the project's own test process, by its own client fixture,
with a fresh fixture state: first once to warm caches, then once more under
`sys.setprofile`, which sees every call of a Python function and of a C function, calls
of SQLite's execute among them.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from selfheal.artifacts import Model
from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.patch import RecordedRequest
from selfheal.config import TestsConfig
from selfheal.sandbox.process import run
from selfheal.sandbox.suite import base_command, is_pytest

CLIENT_NAMES = ("client", "test_client", "api_client", "app_client", "http_client")

PROBE = '''\
"""Counts the work of a recorded request; made by selfheal and removed after use."""

import json
import sqlite3
import sys
import threading
import time

import pytest

REQUESTS = json.loads({requests!r})
REPORT = {report!r}
EXECUTE = {{"execute", "executemany", "executescript"}}
seconds = []


def send(client, request):
    method, path, query = request["method"], request["path"], request["query"]
    target = path + ("?" + query if query else "")
    body, content_type = request["body"], request["content_type"]
    if hasattr(client, "open"):
        return client.open(target, method=method, data=body, content_type=content_type)
    if hasattr(client, "generic"):
        kind = content_type or "application/octet-stream"
        return client.generic(method, target, body or "", content_type=kind)
    headers = {{"Content-Type": content_type}} if content_type else None
    return client.request(method, target, content=body, headers=headers)


def is_statement(function):
    if getattr(function, "__name__", "") not in EXECUTE:
        return False
    return isinstance(getattr(function, "__self__", None), (sqlite3.Connection, sqlite3.Cursor))


def answer(client):
    for request in REQUESTS[:-1]:
        send(client, request)
    calls, statements = [0], [0]

    def count(frame, event, argument):
        if event == "call":
            calls[0] += 1
        elif event == "c_call":
            calls[0] += 1
            statements[0] += is_statement(argument)

    status, failure = None, None
    threading.setprofile(count)
    sys.setprofile(count)
    try:
        status = send(client, REQUESTS[-1]).status_code
    except Exception as error:
        failure = type(error).__name__
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return {{
        "calls": calls[0],
        "statements": statements[0],
        "status": status,
        "exception": failure,
    }}


def timed(client):
    for request in REQUESTS[:-1]:
        send(client, request)
    begun = time.perf_counter()
    try:
        send(client, REQUESTS[-1])
    except Exception:
        pass
    return time.perf_counter() - begun


def test_warm({fixture}):
    timed({fixture})


@pytest.mark.parametrize("repetition", range({repetitions}))
def test_timed(repetition, {fixture}):
    seconds.append(timed({fixture}))


def test_counted({fixture}):
    measured = answer({fixture})
    measured["seconds"] = seconds
    with open(REPORT, "w") as file:
        json.dump(measured, file)
'''


class Work(Model):
    """The work of one request. `unavailable` says why there are no numbers.

    `calls` are Python and C function calls, `statements` SQL statements that
    SQLite was given, `status` the HTTP status, or None where `exception`
    left the client. `seconds` are unprofiled answers by the clock.
    """

    calls: int | None = None
    statements: int | None = None
    status: int | None = None
    exception: str | None = None
    seconds: list[float] = Field(default_factory=list)
    unavailable: str | None = None

    @property
    def counts(self) -> dict[str, int | str | None]:
        """What repeats exactly: everything but the clock."""
        return {
            "calls": self.calls,
            "statements": self.statements,
            "status": self.status,
            "exception": self.exception,
        }


def measure_work(
    worktree: str | os.PathLike[str],
    tests: TestsConfig,
    requests: Sequence[RecordedRequest],
    *,
    repetitions: int = 1,
    timeout_seconds: float | None = None,
    memory_megabytes: int | None = None,
) -> Work:
    """Count the work of the last of `requests` in a checkout; those before it set the scene.

    `repetitions` answers are timed as well, each with a fresh fixture state. The probe is written beside the project's tests for as long as it runs. Never raises
    for what the project does: `Work.unavailable` tells.
    """
    folder = Path(worktree)
    if not requests:
        return Work(unavailable="no recorded request")
    if not is_pytest(tests):
        return Work(unavailable="the tests are not run by pytest")
    fixture = client_fixture(folder, tests)
    if fixture is None:
        return Work(unavailable="no client fixture was found in conftest.py")
    report = Path(tempfile.mkdtemp(prefix="selfheal-report-"))
    recorded = json.dumps([request.model_dump(mode="json") for request in requests])
    probe = folder / tests.folder / f"test_{short_id('work', recorded).replace('-', '_')}.py"
    text = PROBE.format(
        requests=recorded,
        report=str(report / "work.json"),
        fixture=fixture,
        repetitions=repetitions,
    )
    try:
        probe.write_text(text)
        done = run(
            [*base_command(tests), "-p", "no:cacheprovider", "--color=no", str(probe)],
            cwd=folder,
            timeout_seconds=timeout_seconds or tests.timeout_seconds,
            memory_megabytes=memory_megabytes,
            writable=(report,),
        )
        return _result(report / "work.json", done.state, done.tail(4))
    finally:
        probe.unlink(missing_ok=True)
        shutil.rmtree(report, ignore_errors=True)


def _result(report: Path, state: str, tail: str) -> Work:
    if state == "timed_out":
        return Work(unavailable="the request was not answered in time")
    try:
        measured = json.loads(report.read_text())
    except (OSError, json.JSONDecodeError):
        return Work(unavailable=f"the probe did not run: {tail}")
    return Work(**measured)


def client_fixture(worktree: str | os.PathLike[str], tests: TestsConfig) -> str | None:
    """The configured client fixture, else the likeliest one that a conftest.py defines."""
    if tests.client_fixture:
        return tests.client_fixture
    folder = Path(worktree)
    candidates = {folder / "conftest.py", *(folder / tests.folder).rglob("conftest.py")}
    found: set[str] = set()
    for file in sorted(candidates):
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        found |= {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
            and any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
        }
    likely = [name for name in CLIENT_NAMES if name in found]
    likely += sorted(name for name in found if name.endswith("client"))
    return likely[0] if likely else None
