"""Runs pytest with coverage, some tests before all others and some again and again.

Started as a script in the project's own interpreter by `selfheal.sandbox.suite`, with
the standard library, pytest and coverage.py: ``python runner.py ARGUMENTS…``, the JSON
settings on its standard input:

* `paths`: folders of the project to import from;
* `first` (node ids), and `first_passed`, a file that is made once those tests have passed;
* `without`: node ids that are not run;
* `coverage`: null, or `sources`, `omit`, the `report` to write and the file `missing` that
  is made where there is no coverage.py;
* `made_to_fail`: the name of a test that is added at the end of the run and fails. A run in
  which it does not is not to be believed: something changed what pytest reports. The name
  is told on standard input, which is closed then, and to be found nowhere else;
* `repeated`: null, or `tests` (node ids) that are run `runs` times before all else, in forks
  and each time in another order, while they have used fewer than `seconds` of CPU time and
  four times as many have passed, and the `report` of it.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Modules beside this script must not be found in place of those that are meant.
    del sys.path[0]

import json
import os
import random
import signal
import time
import warnings
from pathlib import Path
from typing import Any

# Not 0, with which code under test would end a fork early.
PASSED_IN_FORK = 77


def main(settings: dict[str, Any], arguments: list[str]) -> int:
    """The exit code of pytest."""
    # Before the project's folder is searched, and before anything is traced.
    import _pytest.junitxml
    import _pytest.runner  # noqa: F401
    import pytest

    measured = _coverage(settings["coverage"]) if settings["coverage"] else None
    _import_from([str(Path.cwd()), *settings["paths"]])
    plugins = [failing_at_the_end(settings["made_to_fail"])]
    if settings["repeated"]:
        plugins.append(repeating(settings["repeated"]))
    if settings["first"]:
        passed = Path(settings["first_passed"])
        plugins.append(running_first(settings["first"], passed, but=settings["made_to_fail"]))
    if settings["without"]:
        plugins.append(leaving_out(settings["without"]))
    try:
        return int(pytest.main(arguments, plugins=plugins))
    finally:
        if measured is not None:
            measured.stop()
            _report(measured, settings["coverage"]["report"])


def _import_from(folders: list[str]) -> None:
    """Search the project's folders first, as ``python -m pytest`` has it, from now on.

    A module that pytest has brought and the project has its own of is the project's.
    """
    sys.path[:0] = folders
    if folders[1:]:
        os.environ["PYTHONPATH"] = os.pathsep.join(folders[1:])
    kept = {"pytest", "_pytest", "coverage", "__main__", *getattr(sys, "stdlib_module_names", ())}
    own = {
        place.stem
        for folder in folders
        for place in Path(folder).iterdir()
        if place.suffix == ".py" or (place / "__init__.py").exists()
    }
    for name in list(sys.modules):
        if name.partition(".")[0] in own - kept:
            del sys.modules[name]


def is_among(nodeid: str, tests: list[str]) -> bool:
    """Whether a test is one of `tests`, a parametrisation of one, or in a file of that name."""
    return nodeid in tests or any(nodeid.startswith((f"{test}[", f"{test}::")) for test in tests)


def leaving_out(tests: list[str]) -> Any:
    """A plugin: `tests`, and all parametrisations of them, are not run."""

    class Without:
        def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
            left = [item for item in items if is_among(item.nodeid, tests)]
            items[:] = [item for item in items if not is_among(item.nodeid, tests)]
            config.hook.pytest_deselected(items=left)

    return Without()


def running_first(tests: list[str], passed: Path, *, but: str) -> Any:
    """A plugin: `tests`, and all parametrisations of them, run before all others.

    `but` is the name of a test that is none of them, though it may stand in their file. The file `passed` is made once they passed; unless they do, no other test runs.
    """
    import pytest

    class First:
        def __init__(self) -> None:
            self.waiting: set[str] = set()
            self.sound = True

        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(self, session: Any, items: list[Any]) -> None:
            self.session = session
            own = [item for item in items if self.is_own(item.nodeid)]
            self.waiting = {item.nodeid for item in own}
            items[:] = own + [item for item in items if not self.is_own(item.nodeid)]

        def pytest_runtest_logreport(self, report: Any) -> None:
            if self.is_own(report.nodeid) and not report.passed:
                self.sound = False

        def pytest_runtest_logfinish(self, nodeid: str) -> None:
            if nodeid not in self.waiting:
                return
            self.waiting.remove(nodeid)
            if self.waiting:
                return
            if self.sound:
                passed.touch()
            else:
                self.session.shouldfail = f"{', '.join(tests)} did not pass"

        def is_own(self, nodeid: str) -> bool:
            return is_among(nodeid, tests) and not nodeid.endswith(f"::{but}")

    return First()


def failing_at_the_end(name: str) -> Any:
    """A plugin: one more test, which fails, and counts for nothing but in the report."""
    import pytest

    def fails() -> None:
        raise AssertionError("made to fail")

    class MadeToFail:
        @pytest.hookimpl(tryfirst=True)
        def pytest_cmdline_main(self, config: Any) -> None:
            # Workers of pytest-xdist would not know this plugin.
            if getattr(config.option, "numprocesses", None):
                config.option.numprocesses = 0

        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(self, session: Any, items: list[Any]) -> None:
            self.session = session
            parents = (item.getparent(pytest.Module) for item in reversed(items))
            parent = next((each for each in parents if each is not None), None)
            if parent is not None:
                make = getattr(pytest.Function, "from_parent", pytest.Function)
                items.append(make(name=name, parent=parent, callobj=fails))

        def pytest_runtest_logstart(self, nodeid: str) -> None:
            if nodeid.endswith(name):
                self.session.config.option.maxfail = 0

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logreport(self, report: Any) -> None:
            if not (report.nodeid.endswith(name) and report.failed):
                return
            self.session.testsfailed -= report.when != "teardown"
            terminal = self.session.config.pluginmanager.get_plugin("terminalreporter")
            for reports in terminal.stats.values() if terminal else ():
                if report in reports:
                    reports.remove(report)

    return MadeToFail()


def repeating(settings: dict[str, Any]) -> Any:
    """A plugin: the tests run several times, each in a fork that leaves nothing behind."""
    import pytest

    class Repeating:
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtestloop(self, session: Any) -> None:
            asked = settings["tests"]
            items = [item for item in session.items if item.nodeid.partition("[")[0] in asked]
            if not items or session.config.option.collectonly or session.testsfailed:
                return
            # By the clock a busy machine would get another answer than an idle one.
            deadline = time.monotonic() + 4 * settings["seconds"]
            outcomes: list[bool] = []
            used = 0.0
            for number in range(settings["runs"]):
                late = used > settings["seconds"] or time.monotonic() > deadline
                if late or outcomes == [False]:
                    break
                ordered = list(items)
                random.Random(number).shuffle(ordered)
                passes, seconds = _passes_in_fork(ordered, deadline)
                outcomes.append(passes)
                used += seconds
            told = {"runs": len(outcomes), "passed": sum(outcomes), "tests": len(items)}
            Path(settings["report"]).write_text(json.dumps(told))

    return Repeating()


def _passes_in_fork(items: list[Any], deadline: float) -> tuple[bool, float]:
    """Whether all of these tests pass, in this order, in a fork; the CPU seconds it used."""
    from _pytest.runner import runtestprotocol

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fork(2) of a process with threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            _stop_measuring()
            following = [*items[1:], None]
            reports = [
                report
                for item, after in zip(items, following)  # noqa: B905 (Python 3.9 knows no strict)
                for report in runtestprotocol(item, log=False, nextitem=after)
            ]
            code = 0 if all(report.passed for report in reports) else 1
        finally:
            os._exit(PASSED_IN_FORK if code == 0 else 1)
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            passes = os.WIFEXITED(status) and os.WEXITSTATUS(status) == PASSED_IN_FORK
            return passes, used.ru_utime + used.ru_stime
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def _stop_measuring() -> None:
    """What a fork runs is not counted, and runs faster so."""
    if "coverage" in sys.modules:
        from coverage import Coverage

        measured = Coverage.current()
        if measured is not None:
            measured.stop()


def _coverage(settings: dict[str, Any]) -> Any:
    """A started coverage.py with settings of our own: the project's do not matter here."""
    try:
        import coverage
    except ImportError:
        Path(settings["missing"]).touch()
        return None
    measured = coverage.Coverage(
        data_file=None, config_file=False, source=settings["sources"], omit=settings["omit"]
    )
    measured.start()
    return measured


def _report(measured: Any, target: str) -> None:
    from coverage.exceptions import CoverageException

    try:
        measured.json_report(outfile=target, ignore_errors=True)
    except CoverageException as error:
        print(f"coverage: {error}", file=sys.stderr)


if __name__ == "__main__":
    given = json.loads(sys.stdin.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    ended_with = main(given, sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Nothing that the project registered for the end may touch the reports.
    os._exit(ended_with)
