"""Tries changes of functions in forks of a process in which the tests are collected already.

Started as a script in the project's own interpreter by `selfheal.sandbox.forkserver`,
with the standard library and pytest: ``python forkserver_process.py SETTINGS ARGUMENTS…``.
The JSON settings have `requests` and `replies` (paths of named pipes) and the `stage`.
Requests and replies are JSON, one a line.

The stage ``collected`` runs pytest up to the end of its collection; each request is then
answered by a fork, which changes the code of live functions and runs tests by pytest's own
protocol. The stage ``imported`` has pytest alone loaded; a fork imports the project afresh
from its files, as they are now. What a fork does to memory ends with it.

A request is ``{"tests": [[id, CPU seconds], …], "functions": […], "survey": bool, "wall":
seconds, "memory": bytes}``; the reply ``{"results": [[id, outcome, CPU seconds, error,
ran, places, calls], …], "ended": how}``. `error` is ``[type, line in the test's file, innermost
file:line, message]``. In a survey `ran` are numbers of the project's functions that ran,
and `places` the ``[file, first line]`` of those numbered newly, from 0 on in order. Where
the request has a list `record` of functions (``[file, qualified name]``), `calls` are theirs,
see `selfheal.sandbox.forkserver_calls`; nothing is surveyed then. With `near` they are calls near
those of the test instead, see `selfheal.sandbox.forkserver_near`.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Modules beside this script must not be found in place of those that are meant.
    del sys.path[0]

import contextlib
import gc
import importlib.util
import json
import os
import resource
import select
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

MESSAGE = 300
RESERVE = 64 * 1024 * 1024
TOLD_AT_MOST = 64 * 1024 * 1024
ENDED_AT_MOST = 1024
DEFAULT_SECONDS = 10.0
WALL_FACTOR, WALL_SECONDS = 10, 5
OVERTIME = (signal.SIGPROF, signal.SIGXCPU, signal.SIGALRM)


def _beside(name: str) -> Any:
    """A module that lies beside this script, found by nothing but its path."""
    spec = importlib.util.spec_from_file_location(
        f"_selfheal_{name}", Path(__file__).with_name(f"{name}.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from selfheal.sandbox import forkserver_calls as calls
    from selfheal.sandbox import forkserver_exchange as exchange
    from selfheal.sandbox import forkserver_near as near
    from selfheal.sandbox import forkserver_watch as watching
else:
    calls = _beside("forkserver_calls")
    exchange = _beside("forkserver_exchange")
    near = _beside("forkserver_near")
    watching = _beside("forkserver_watch")


def main(settings: dict[str, Any], arguments: list[str]) -> int:
    """Serve until the requests end; the exit code of pytest."""
    # Held open for reading alone: the end of the other side is then seen.
    with (
        Path(settings["requests"]).open(encoding="utf-8") as requests,
        Path(settings["replies"]).open("w", encoding="utf-8") as replies,
    ):

        def reply(message: dict[str, Any]) -> None:
            replies.write(json.dumps(message) + "\n")
            replies.flush()

        sys.path.insert(0, str(Path.cwd()))  # as python -m pytest has it
        return _stage(settings["stage"], arguments, requests, reply)


def _stage(
    stage: str, arguments: list[str], requests: Any, reply: Callable[[dict[str, Any]], None]
) -> int:
    import pytest

    # Forks of one server run one after the other: each makes this folder anew.
    arguments = [*arguments, f"--basetemp={tempfile.gettempdir()}/pytest-of-forks-{os.getpid()}"]
    if stage == "imported":
        reply({"collected": None})
        _serve(requests, reply, lambda request, tell: _afresh(arguments, request, tell))
        return 0
    pytest.hookimpl(tryfirst=True)(Serving.pytest_runtestloop)
    watch = watching.Watch()
    watch.start()
    code = int(pytest.main(arguments, plugins=[Serving(requests, reply, watch)]))
    reply({"failed": f"pytest ended with exit code {code} before its tests were collected"})
    return code


class Serving:
    """A pytest plugin that serves in place of pytest's loop over the tests."""

    def __init__(
        self, requests: Any, reply: Callable[[dict[str, Any]], None], watch: watching.Watch
    ) -> None:
        self.requests, self.reply, self.watch = requests, reply, watch

    def pytest_runtestloop(self, session: Any) -> bool:
        items = {item.nodeid: item for item in session.items}
        errors = Errors()
        session.config.pluginmanager.register(errors)
        imported = self.watch.stop()[1]
        gc.collect()
        live = exchange.live_functions(watching.own_path)
        gc.freeze()
        self.reply({"collected": list(items), "imported": imported})

        def run(request: dict[str, Any], tell: Callable[[Any], None]) -> None:
            for function in request["functions"]:
                exchange.replace(function, live)
            run_items(wanted_of(request, items), request, errors, tell)

        _serve(self.requests, self.reply, run)
        os._exit(0)


class Errors:
    """A pytest plugin that keeps the exception of the test that ran last, unittest's too.

    `below` says that a part of it failed: the reports of subtests go to the hook alone, and
    nothing else does here, as tests are run without logging.
    """

    def __init__(self) -> None:
        self.last: list[Any] | None = None
        self.below = False

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.below = self.below or bool(report.failed)

    def pytest_exception_interact(self, node: Any, call: Any) -> None:
        if call.excinfo is None:
            return
        path = watching.real_path(str(getattr(node, "path", "") or getattr(node, "fspath", "")))
        in_test, innermost = 0, ""
        for entry in call.excinfo.traceback:
            file, line = watching.real_path(str(entry.path)), entry.lineno + 1
            if file == path:
                in_test = line
            if (own := watching.own_path(file)) is not None:
                innermost = f"{own}:{line}"
        message = str(call.excinfo.value)[:MESSAGE]
        self.last = [call.excinfo.typename, in_test, innermost, message]


def wanted_of(request: dict[str, Any], items: dict[str, Any]) -> list[Any]:
    """The tests of a request in its order; a file's name stands for all tests in it."""
    chosen = []
    for name, _ in request["tests"]:
        inside = [item for other, item in items.items() if other.startswith(f"{name}::")]
        chosen += [items[name]] if name in items else inside if "::" not in name else []
    return chosen


def run_items(
    items: list[Any], request: dict[str, Any], errors: Errors, tell: Callable[[Any], None]
) -> None:
    """Run tests in order; unless it is a survey, the first that does not pass is the last."""
    from _pytest.runner import runtestprotocol

    limits = dict(request["tests"])
    survey = request["survey"]
    recorded = request.get("record") or []
    near_to = near.Neighbours() if request.get("near") else None
    keep = near_to.keep if near_to is not None else None
    watch, recorder = watching.Watch(), calls.Recorder(recorded, watching.own_path, keep)

    def overtime(*_: object) -> None:
        spent = limits.get(item.nodeid)
        tell([item.nodeid, "timed_out", spent, None, *watch.stop(), recorder.stop()])
        tell({"ended": "timed_out"})
        os._exit(0)

    for number, item in enumerate(items):
        following = items[number + 1] if number + 1 < len(items) else None
        errors.last, errors.below = None, False
        _limit_time(limits.get(item.nodeid, DEFAULT_SECONDS), overtime if survey else None)
        # The text of a failure is written for nobody, and costs more than the test.
        item.repr_failure = lambda *_, **__: ""
        tell([item.nodeid])
        begun = time.process_time()
        if recorded:
            recorder.start()
        elif survey:
            watch.start()
        with _warnings_of(item):
            reports = runtestprotocol(item, log=False, nextitem=following)
        seen = watch.stop() if survey and not recorded else ([], [])
        kept = recorder.stop() if recorded else []
        spent = time.process_time() - begun
        if near_to is not None:
            _limit_time(0, None)
            kept = [calls.told_near(*each) for each in near_to.outcomes()]
        outcome = "failed" if errors.below else outcome_of(reports)
        tell([item.nodeid, outcome, round(spent, 4), errors.last, *seen, kept])
        if outcome == "failed" and not survey:
            break
    _limit_time(0, None)


def _warnings_of(item: Any) -> contextlib.AbstractContextManager[Any]:
    """Warnings as pytest has them around a test: by the project's filters, none on stderr."""
    if not item.config.pluginmanager.has_plugin("warnings"):
        return contextlib.nullcontext()
    from _pytest.warnings import catch_warnings_for_item

    return catch_warnings_for_item(config=item.config, ihook=item.ihook, when="runtest", item=item)


def _limit_time(seconds: float, overtime: Callable[..., None] | None) -> None:
    """End the process after these seconds of CPU time, and some more by the clock; 0: never.

    The default action of the signals works in whatever code the process is.
    """
    wall = WALL_FACTOR * seconds + WALL_SECONDS if seconds else 0
    for timer, number, after in (
        (signal.ITIMER_PROF, signal.SIGPROF, seconds),
        (signal.ITIMER_REAL, signal.SIGALRM, wall),
    ):
        signal.signal(number, overtime or signal.SIG_DFL)
        signal.setitimer(timer, after)


def outcome_of(reports: list[Any]) -> str:
    """``passed``, ``failed`` or ``skipped`` of a test's three reports."""
    if any(report.failed for report in reports):
        return "failed"
    return "skipped" if any(report.skipped for report in reports) else "passed"


def _afresh(arguments: list[str], request: dict[str, Any], tell: Callable[[Any], None]) -> None:
    """Collect and run the tests of a request in this process, which has imported nothing yet."""
    import pytest

    class Running:
        def pytest_runtestloop(self, session: Any) -> bool:
            items = {item.nodeid: item for item in session.items}
            errors = Errors()
            session.config.pluginmanager.register(errors)
            run_items(wanted_of(request, items), request, errors, tell)
            return True

    files = list(dict.fromkeys(name.partition("::")[0] for name, _ in request["tests"]))
    if pytest.main([*arguments, *files], plugins=[Running()]) == pytest.ExitCode.USAGE_ERROR:
        raise RuntimeError("pytest does not start")


def _serve(
    requests: Any,
    reply: Callable[[dict[str, Any]], None],
    run: Callable[[dict[str, Any], Callable[[Any], None]], None],
) -> None:
    """Answer every request by a fork."""
    for line in requests:
        request = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _child(writer, request, run)
        os.close(writer)
        reply(_collect(child, reader, request["wall"]))


def _child(
    writer: int,
    request: dict[str, Any],
    run: Callable[[dict[str, Any], Callable[[Any], None]], None],
) -> None:
    """Run a request in a session of its own, without output; never returns."""
    ended: Any = "done"
    pid = os.getpid()
    try:
        os.setsid()
        gc.disable()
        _quiet()
        _limit_memory(request["memory"])

        def tell(what: Any) -> None:
            if os.getpid() == pid:
                os.write(writer, json.dumps(what).encode() + b"\n")

        run(request, tell)
    except exchange.Unfit as error:
        ended = f"unfit: {error}"
    except BaseException as error:  # a test may exit the interpreter; its process ends here
        ended = f"error: {type(error).__name__}: {error}"[:MESSAGE]
    finally:
        if os.getpid() == pid:
            os.write(writer, json.dumps({"ended": ended}).encode() + b"\n")
        os._exit(0)


def _quiet() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def _limit_memory(allowed: int) -> None:
    """`allowed` bytes more than are in use now, where the system tells how many that are."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return
    wanted = pages * resource.getpagesize() + max(allowed, RESERVE)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _collect(child: int, reader: int, wall: float) -> dict[str, Any]:
    """What a fork told until it ended, or until `wall` seconds were over."""
    deadline = time.monotonic() + wall
    told, ended = bytearray(), ""
    while len(told) < TOLD_AT_MOST:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            ended = "timed_out"
            break
        piece = os.read(reader, 1 << 16)
        told += piece
        if not piece or (piece.endswith(b"\n") and b'{"ended"' in told[-ENDED_AT_MOST:]):
            break
    os.close(reader)
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in OVERTIME:
        ended = "timed_out"
    return _reply(bytes(told), ended)


def _reply(told: bytes, ended: str) -> dict[str, Any]:
    results, running = [], None
    for line in told.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            ended = ended or str(message["ended"])
        elif len(message) == 1:
            running = message[0]
        else:
            running = None
            results.append(message)
    if running is not None:
        outcome = "timed_out" if ended == "timed_out" else "failed"
        results.append([running, outcome, 0.0, None, [], [], []])
    return {"results": results, "ended": ended or "killed"}


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
