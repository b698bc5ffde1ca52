"""Runs chosen tests with pytest and records which lines each of them executed.

Started as a script in the project's own interpreter by `selfheal.sandbox.spectrum`, with
the standard library, pytest and, where it is installed, coverage.py:
``python spectrum_runner.py SETTINGS_FILE``. The JSON settings:

* ``arguments``: pytest's arguments; ``roots``: folders to import from;
* ``tests``: node ids to run, with all parametrisations; null runs all but ``others_than``,
  those of the same classes first, then of the same files, at the most ``most`` of them;
* ``include``: files whose lines count, relative to the current folder; null takes all below it;
* ``omit``: files and folders that do not count;
* ``seconds``: CPU seconds that one test may take; ``cpu`` and ``wall``: those after which no
  further test is begun, null for no end;
* ``result``: the JSON file to write.

The result has ``outcomes`` (node id → passed, failed, skipped, timed_out), ``halts`` (where a
test was stopped), ``blocks`` (``lines`` by file, ``tests`` by number in ``order``), ``order``
(node ids), ``imported`` (lines by file that ran outside of any test), ``left`` (how many tests
were not begun) and ``tracer``.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Modules beside this script must not be found in place of those that are meant.
    del sys.path[0]

import importlib.util
import json
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

# After so many tests that did not end, the rest gets a shorter time each.
PATIENT_HALTS = 3
IMPATIENT_SECONDS = 2.0
# Waiting is not seen by a limit on CPU time.
REAL_PER_CPU = 3.0


class DidNotEnd(BaseException):
    """Raised inside of a test whose time is up; not an Exception, so that few handlers catch it."""


class Tracer(Protocol):
    name: str

    def begin(self, context: str) -> None: ...
    def end(self) -> None: ...
    def contexts(self) -> dict[str, dict[int, list[str]]]: ...


class CoverageTracer:
    """Lines by context with coverage.py, its data in memory."""

    name = "coverage.py"

    def __init__(self, include: list[str] | None, omit: list[str]) -> None:
        import coverage

        chosen: dict[str, Any] = {"source": ["."]} if include is None else {"include": include}
        self._measured = coverage.Coverage(
            data_file=None, config_file=False, omit=omit, messages=False, **chosen
        )
        self._measured._warn_no_data = False

    def begin(self, context: str) -> None:
        self._measured.start()
        self._measured.switch_context(context)

    def end(self) -> None:
        self._measured.stop()

    def contexts(self) -> dict[str, dict[int, list[str]]]:
        data = self._measured.get_data()
        return {file: data.contexts_by_lineno(file) for file in sorted(data.measured_files())}


class PlainTracer:
    """The same with the interpreter's own trace function, slower."""

    name = "sys.settrace"

    def __init__(self, include: list[str] | None, omit: list[str]) -> None:
        base = f"{Path.cwd()}{os.sep}"
        self._base = base
        self._include = None if include is None else {base + file for file in include}
        self._omit = tuple(base + part.removesuffix("*") for part in omit)
        self._wanted: dict[str, bool] = {}
        self._ran: dict[tuple[str, int], set[str]] = {}
        self._context = ""

    def begin(self, context: str) -> None:
        self._context = context
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def end(self) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def _wants(self, file: str) -> bool:
        known = self._wanted.get(file)
        if known is None:
            own = file.startswith(self._base) if self._include is None else file in self._include
            known = self._wanted[file] = own and not file.startswith(self._omit)
        return known

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002
        file = frame.f_code.co_filename
        if not self._wants(file):
            return None
        if event == "line":
            self._ran.setdefault((file, frame.f_lineno), set()).add(self._context)
        return self._trace

    def contexts(self) -> dict[str, dict[int, list[str]]]:
        found: dict[str, dict[int, list[str]]] = {}
        for (file, line), names in self._ran.items():
            found.setdefault(file, {})[line] = sorted(names)
        return found


class Recorder:
    """The pytest plugin: chooses the tests, limits their time, names the context of each."""

    def __init__(self, settings: dict[str, Any], tracer: Tracer) -> None:
        self.tests = None if settings["tests"] is None else set(settings["tests"])
        self.others_than = set(settings["others_than"])
        self.seconds = float(settings["seconds"])
        self.most, self.cpu, self.wall = settings["most"], settings["cpu"], settings["wall"]
        self.begun = time.process_time(), time.monotonic()
        self.left = 0
        self.tracer = tracer
        self.outcomes: dict[str, str] = {}
        self.halts: list[dict[str, Any]] = []
        self.current = ""
        self.base = f"{Path.cwd()}{os.sep}"

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        self.tracer.end()
        kept = [item for item in items if self._is_chosen(item.nodeid)]
        if self.tests is None:
            kept.sort(key=self._far)
            kept = kept[: self.most]
        chosen = {id(item) for item in kept}
        left = [item for item in items if id(item) not in chosen]
        if left:
            config.hook.pytest_deselected(items=left)
        items[:] = kept
        self.begun = time.process_time(), time.monotonic()

    def _far(self, item: Any) -> int:
        """How far a test is from those that fail: 0 in the same class, 1 in the same file."""
        node = item.nodeid
        if any(node.rpartition("::")[0] == each.rpartition("::")[0] for each in self.others_than):
            return 0
        files = {each.partition("::")[0] for each in self.others_than}
        return 1 if node.partition("::")[0] in files else 2

    def _is_over(self) -> bool:
        spent = time.process_time() - self.begun[0], time.monotonic() - self.begun[1]
        limits = self.cpu, self.wall
        return any(most and used > most for used, most in zip(spent, limits))  # noqa: B905

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.outcomes[report.nodeid] = "failed"

    def _is_chosen(self, node: str) -> bool:
        if self.tests is None:
            return node not in self.others_than
        plain = node.partition("[")[0]
        return bool({node, plain, node.partition("::")[0]} & self.tests)

    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> bool:
        from _pytest.runner import runtestprotocol

        if self._is_over():
            self.left += 1
            return True
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self.current = item.nodeid
        self.outcomes.setdefault(item.nodeid, "skipped")
        patient = len(self.halts) < PATIENT_HALTS
        seconds = self.seconds if patient else min(self.seconds, IMPATIENT_SECONDS)
        self._limit(seconds)
        self.tracer.begin(item.nodeid)
        try:
            runtestprotocol(item, nextitem=nextitem)
        finally:
            self._limit(0)
            self.tracer.end()
            self.current = ""
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_runtest_logreport(self, report: Any) -> None:
        known = self.outcomes.get(report.nodeid)
        if known == "timed_out":
            return
        if report.failed:
            self.outcomes[report.nodeid] = "failed"
        elif report.when == "call" and report.passed and known != "failed":
            self.outcomes[report.nodeid] = "passed"

    def _limit(self, seconds: float) -> None:
        signal.signal(signal.SIGPROF, self._stop)
        signal.setitimer(signal.ITIMER_PROF, seconds, seconds and 1.0)
        if "pytest_timeout" not in sys.modules:
            signal.signal(signal.SIGALRM, self._stop)
            signal.setitimer(signal.ITIMER_REAL, seconds * REAL_PER_CPU, seconds and 1.0)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if not self.current:
            return
        if self.outcomes.get(self.current) != "timed_out":
            self.outcomes[self.current] = "timed_out"
            while frame is not None and not frame.f_code.co_filename.startswith(self.base):
                frame = frame.f_back
            if frame is not None:
                file = os.path.relpath(frame.f_code.co_filename)
                self.halts.append({"test": self.current, "file": file, "line": frame.f_lineno})
        raise DidNotEnd


def main(settings: dict[str, Any]) -> int:
    """Run, write the result, and give pytest's exit code."""
    sys.path[:0] = [str(Path.cwd()), *settings["roots"]]
    import pytest

    made = CoverageTracer if importlib.util.find_spec("coverage") else PlainTracer
    tracer: Tracer = made(settings["include"], settings["omit"])
    recorder = Recorder(settings, tracer)
    arguments = list(settings["arguments"])
    if importlib.util.find_spec("xdist"):
        arguments += ["-n0"]
    tracer.begin("")
    try:
        code = int(pytest.main(arguments, plugins=[recorder]))
    finally:
        tracer.end()
    result = {
        "outcomes": recorder.outcomes,
        "halts": recorder.halts,
        "left": recorder.left,
        "tracer": tracer.name,
    }
    Path(settings["result"]).write_text(json.dumps(result | _grouped(tracer), sort_keys=True))
    return code


def _grouped(tracer: Tracer) -> dict[str, Any]:
    """Lines by the set of tests that ran them."""
    base = f"{Path.cwd()}{os.sep}"
    order: dict[str, int] = {}
    blocks: dict[tuple[int, ...], dict[str, list[int]]] = {}
    imported: dict[str, list[int]] = {}
    for path, lines in tracer.contexts().items():
        file = path.removeprefix(base).replace(os.sep, "/")
        for line, contexts in sorted(lines.items()):
            if line < 1:  # coverage.py's mark of an empty file
                continue
            if "" in contexts:
                imported.setdefault(file, []).append(line)
            tests = tuple(order.setdefault(name, len(order)) for name in contexts if name)
            if tests:
                blocks.setdefault(tuple(sorted(tests)), {}).setdefault(file, []).append(line)
    return {
        "order": list(order),
        "blocks": [{"tests": tests, "lines": lines} for tests, lines in blocks.items()],
        "imported": imported,
    }


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text())))
