"""How much work a request makes, counted, so that equal code gives equal numbers.

The request is answered in the project's own test process, by its own client fixture,
with a fresh fixture state: first once to warm caches, then once more under
`sys.setprofile`, which sees every call of a Python function and of a C function, calls
of SQLite's execute among them.

Where calls say nothing, `lines` counts the executed lines of Python (`sys.settrace`), and
the elements that methods of lists walk through or move (``insert``, ``pop(0)``, ``index``
… each counts the list's length). What C code does without a call of its own, such as
``in`` a list, ``+=`` of texts or slicing, shows in no count: there the interleaved
timing of both versions is the judge.

Several sessions share one start of pytest and nothing else: once the project's conftest
is imported, each is answered in a fork of its own, so that no session sees what another
did to the process, and the counts are those of a process for each.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from selfheal.artifacts import Model
from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.patch import RecordedRequest
from selfheal.config import TestsConfig
from selfheal.sandbox.process import Completed, left_behind, report_folder, run
from selfheal.sandbox.suite import base_command, is_pytest

CLIENT_NAMES = ("client", "test_client", "api_client", "app_client", "http_client")
_TIMED = re.compile(r" in \d+\.\d+s")

PROBE = '''\
"""Counts the work of a recorded request; made by selfheal and removed after use."""

import json
import os
import signal
import sqlite3
import sys
import threading
import time

import pytest

LINES = {lines!r}
MOST_LINES = 3_000_000
WALKS = {{"insert", "pop", "remove", "index", "count", "reverse", "sort", "copy"}}
SESSIONS = json.loads({sessions!r})
REPORTS = {reports!r}
EXECUTE = {{"execute", "executemany", "executescript"}}
seconds = []
documents = []
traced = {{}}


def chosen():
    """The number of the session of this process: the others are answered in forks."""
    for number in range(1, len(SESSIONS)):
        child = os.fork()
        if child == 0:
            return number
        deadline = time.monotonic() + {patience}
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.01)
    return 0


NUMBER = chosen()
REQUESTS, REPORT = SESSIONS[NUMBER], os.path.join(REPORTS, f"{{NUMBER}}.json")


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


def walked(frame, function):
    """The elements of a list that a method of it goes through."""
    owner = getattr(function, "__self__", None)
    if type(owner) is not list or function.__name__ not in WALKS:
        return 0
    # A call's number of arguments is that of its instruction: pop() takes the last.
    if function.__name__ == "pop" and not frame.f_code.co_code[frame.f_lasti + 1]:
        return 0
    return len(owner)


def trace_lines(client):
    for request in REQUESTS[:-1]:
        send(client, request)
    lines, elements = [0], [0]

    def trace(frame, event, argument):
        if event == "line":
            lines[0] += 1
            if lines[0] >= MOST_LINES:
                sys.settrace(None)
                return None
        return trace

    def profile(frame, event, argument):
        if event == "c_call":
            elements[0] += walked(frame, argument)

    threading.settrace(trace)
    threading.setprofile(profile)
    sys.setprofile(profile)
    sys.settrace(trace)
    try:
        send(client, REQUESTS[-1])
    except Exception:
        pass
    finally:
        sys.settrace(None)
        sys.setprofile(None)
        threading.settrace(None)
        threading.setprofile(None)
    return {{"lines": lines[0], "elements": elements[0]}}


def document(response):
    """The JSON document of a reply of any client style, None where there is none."""
    try:
        found = response.json
        found = found() if callable(found) else found
        json.dumps(found)
        return found
    except Exception:
        return None


def test_warm({fixture}):
    for request in REQUESTS:
        response = send({fixture}, request)
    documents.append(document(response))


def timed(client):
    for request in REQUESTS[:-1]:
        send(client, request)
    begun = time.perf_counter()
    try:
        send(client, REQUESTS[-1])
    except Exception:
        pass
    return time.perf_counter() - begun


@pytest.mark.parametrize("repetition", range({repetitions}))
def test_timed(repetition, {fixture}):
    seconds.append(timed({fixture}))


@pytest.mark.parametrize("once", [0] if LINES else [])
def test_traced(once, {fixture}):
    traced.update(trace_lines({fixture}))


class Leaving:
    """Ends the process once fixtures are torn down: what pytest does then tells nothing here."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus):
        os._exit(int(exitstatus))


def test_counted({fixture}, request):
    request.config.pluginmanager.register(Leaving())
    measured = answer({fixture})
    measured["seconds"] = seconds
    measured["document"] = documents[0] if documents else None
    measured.update(traced)
    with open(REPORT, "w") as file:
        json.dump(measured, file)
'''


class Work(Model):
    """The work of one request. `unavailable` says why there are no numbers.

    `calls` are Python and C function calls, `statements` SQL statements that
    SQLite was given, `status` the HTTP status, or None where `exception`
    left the client. `lines` are executed lines of Python (3,000,000 at the most) and
    `elements` those that lists' own methods walk through or move, both only where asked
    for. `seconds` are unprofiled answers by the clock; `document` is the JSON document of
    the reply, if it is one.
    """

    calls: int | None = None
    statements: int | None = None
    lines: int | None = None
    elements: int | None = None
    status: int | None = None
    exception: str | None = None
    seconds: list[float] = Field(default_factory=list)
    document: Any = None
    unavailable: str | None = None

    @property
    def counts(self) -> dict[str, int | str | None]:
        """The counts and how the request ended, which repeat exactly."""
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
    repetitions: int = 0,
    lines: bool = False,
    timeout_seconds: float | None = None,
    memory_megabytes: int | None = None,
) -> Work:
    """`measure_works` of one session."""
    return measure_works(
        worktree,
        tests,
        [requests],
        repetitions=repetitions,
        lines=lines,
        timeout_seconds=timeout_seconds,
        memory_megabytes=memory_megabytes,
    )[0]


def measure_works(
    worktree: str | os.PathLike[str],
    tests: TestsConfig,
    sessions: Sequence[Sequence[RecordedRequest]],
    *,
    repetitions: int = 0,
    lines: bool = False,
    timeout_seconds: float | None = None,
    memory_megabytes: int | None = None,
) -> list[Work]:
    """Count the work of each session's last request; those before it set the scene.

    With `lines`, executed lines and walked elements are counted too, in one answer more.
    `repetitions` answers of each are timed as well, each with a fresh fixture state;
    `timeout_seconds` are for each. The probe is written beside the project's tests for as
    long as it runs. Never raises for what the project does: `Work.unavailable` tells.
    """
    folder = Path(worktree)
    asked = [session for session in sessions if session]
    fixture = client_fixture(folder, tests)
    reason = None
    if not is_pytest(tests):
        reason = "the tests are not run by pytest"
    elif fixture is None:
        reason = "no client fixture was found in conftest.py"
    if fixture is None or reason or not asked:
        return [
            Work(unavailable=reason if session else "no recorded request") for session in sessions
        ]
    patience = timeout_seconds or tests.timeout_seconds
    with report_folder() as reports:
        recorded = json.dumps([[each.model_dump(mode="json") for each in own] for own in asked])
        probe = folder / tests.folder / f"test_{short_id('work', recorded).replace('-', '_')}.py"
        text = PROBE.format(
            sessions=recorded,
            reports=str(reports),
            fixture=fixture,
            repetitions=repetitions,
            lines=lines,
            patience=patience,
        )
        try:
            probe.write_text(text)
            done = run(
                [*base_command(tests), "-p", "no:cacheprovider", "--color=no", str(probe)],
                cwd=folder,
                timeout_seconds=patience * len(asked),
                memory_megabytes=memory_megabytes,
                writable=(reports,),
            )
            found = (_result(reports / f"{n}.json", done) for n in range(len(asked)))
            return [
                next(found) if session else Work(unavailable="no recorded request")
                for session in sessions
            ]
        finally:
            probe.unlink(missing_ok=True)


def _result(report: Path, done: Completed) -> Work:
    try:
        return Work.model_validate_json(left_behind(report) or b"")
    except ValidationError:
        if done.state == "timed_out" or done.exit_code == 0:
            return Work(unavailable="the request was not answered in time")
        # pytest's last line tells how long it took, which no artifact may hold.
        tail = "\n".join(line for line in done.tail(5).splitlines() if not _TIMED.search(line))
        return Work(unavailable=f"the probe did not run: {tail}")


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
