"""Runs pytest with coverage, and some tests before all others, in a single process.

Started as a script in the project's own interpreter by `selfheal.sandbox.suite`, with
the standard library, pytest and coverage.py: ``python runner.py SETTINGS ARGUMENTS…``.
The JSON settings have `first` (node ids), `first_passed` (a file that is made once those
tests have passed), `without` (node ids that are not run) and `coverage` (null, or `sources`, `omit`, the `report` to write
and the file `missing` that is made where there is no coverage.py).
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Modules beside this script must not be found in place of those that are meant.
    del sys.path[0]

import json
from pathlib import Path
from typing import Any


def main(settings: dict[str, Any], arguments: list[str]) -> int:
    """The exit code of pytest."""
    sys.path.insert(0, str(Path.cwd()))  # as python -m pytest has it
    import pytest  # before anything is traced: it is none of the project's code

    measured = _coverage(settings["coverage"]) if settings["coverage"] else None
    plugins = []
    if settings["first"]:
        plugins.append(running_first(settings["first"], Path(settings["first_passed"])))
    if settings["without"]:
        plugins.append(leaving_out(settings["without"]))
    try:
        return int(pytest.main(arguments, plugins=plugins))
    finally:
        if measured is not None:
            measured.stop()
            _report(measured, settings["coverage"]["report"])


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


def running_first(tests: list[str], passed: Path) -> Any:
    """A plugin: `tests`, and all parametrisations of them, run before all others.

    The file `passed` is made once they passed; unless they do, no other test runs.
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
            return is_among(nodeid, tests)

    return First()


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
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
