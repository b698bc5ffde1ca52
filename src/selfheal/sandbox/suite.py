"""Running a project's test suite and believing only what its report proves.

pytest is asked for its JUnit XML report; a run without a report, or whose exit code
contradicts it, is an error whatever the tests print. Another command is judged by its
exit code alone, as one test that bears the command's name.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from pydantic import Field

from selfheal.artifacts import Model
from selfheal.config import TestsConfig
from selfheal.sandbox.process import Completed, run
from selfheal.sandbox.service import fill

SuiteState = Literal["passed", "failed", "timed_out", "error", "no_tests"]

PYTEST_ALL_PASSED, PYTEST_FAILED, PYTEST_INTERRUPTED, PYTEST_USAGE, PYTEST_NO_TESTS = 0, 1, 2, 4, 5


class SuiteResult(Model):
    """What a run proved. Tests are pytest node ids, sorted.

    `coverage` maps each measured file to its executable lines and whether they ran;
    None where it was not asked for or cannot be had, with the reason in `note`.
    `output_tail` is for people and holds times: never part of an artifact.
    """

    state: SuiteState
    passed: list[str] = Field(default_factory=list)
    failed: list[str] = Field(default_factory=list)
    errors: list[str] = Field(default_factory=list)
    skipped: list[str] = Field(default_factory=list)
    coverage: dict[str, dict[int, bool]] | None = None
    exit_code: int | None = None
    output_tail: str = ""
    seconds: float = 0.0
    note: str = ""

    @property
    def broken(self) -> set[str]:
        """Tests that failed or could not run."""
        return set(self.failed) | set(self.errors)

    def outcome(self, test: str) -> Literal["passed", "failed", "skipped", "absent"]:
        """How one test, or all parametrisations of it, came out."""
        of_test = [name for name in self._names() if name == test or name.startswith(f"{test}[")]
        if not of_test:
            return "absent"
        if self.broken & set(of_test):
            return "failed"
        return "skipped" if set(of_test) & set(self.skipped) else "passed"

    def _names(self) -> list[str]:
        return [*self.passed, *self.failed, *self.errors, *self.skipped]


def run_suite(
    worktree: str | os.PathLike[str],
    tests: TestsConfig,
    *,
    select: Sequence[str] = (),
    coverage: bool = False,
    timeout_seconds: float | None = None,
    memory_megabytes: int | None = None,
    keep: Path | None = None,
) -> SuiteResult:
    """Run the suite in a checkout, or only the tests of `select` (pytest node ids).

    `timeout_seconds` defaults to the configured one. With `coverage` the lines that
    ran are reported where the project's interpreter has coverage.py; `keep` is where
    its JSON report is then kept.
    """
    folder = Path(worktree)
    report = Path(tempfile.mkdtemp(prefix="selfheal-report-"))
    try:
        command, note = _command(tests, report, select, coverage)
        done = run(
            command,
            cwd=folder,
            timeout_seconds=timeout_seconds or tests.timeout_seconds,
            memory_megabytes=memory_megabytes,
            writable=(report,),
        )
        judged = _judge_pytest if is_pytest(tests) else _judge_command
        result = judged(done, report / "junit.xml", tests)
        measured = None
        if coverage and not note:
            measured, note = _coverage(folder, tests, report)
            if keep is not None and measured is not None:
                shutil.copyfile(report / "coverage.json", keep)
        return result.model_copy(
            update={
                "coverage": measured,
                "note": result.note or note,
                "output_tail": done.tail(),
                "seconds": done.seconds,
            }
        )
    finally:
        shutil.rmtree(report, ignore_errors=True)


def interpreter(tests: TestsConfig) -> str:
    """The Python of the project's tests: the configured one, else this one."""
    return tests.python or sys.executable


def base_command(tests: TestsConfig) -> list[str]:
    """The configured command with ``{python}`` filled in; options alone follow the interpreter."""
    python = interpreter(tests)
    command = [fill(part, {"python": python}) for part in tests.command]
    return [python, *command] if command and command[0].startswith("-") else command


def is_pytest(tests: TestsConfig) -> bool:
    """Whether the configured command is pytest."""
    return any(Path(part).name in ("pytest", "py.test") for part in base_command(tests))


@lru_cache(maxsize=8)
def has_coverage(python: str) -> bool:
    """Whether this interpreter can import coverage.py."""
    with tempfile.TemporaryDirectory() as folder:
        asked = run([python, "-c", "import coverage"], cwd=Path(folder), timeout_seconds=30)
    return asked.succeeded


def _command(
    tests: TestsConfig, report: Path, select: Sequence[str], coverage: bool
) -> tuple[list[str], str]:
    """The command line, and why coverage cannot be measured, if so."""
    command, note = base_command(tests), ""
    if not is_pytest(tests):
        return command, "coverage is measured of pytest suites only"
    if coverage:
        module = command.index("-m") if "-m" in command else -1
        if module != 1 or command[2] != "pytest":
            note = "coverage needs a command of the form python -m pytest"
        elif not has_coverage(command[0]):
            note = "the interpreter of the tests has no coverage.py"
        else:
            command = [command[0], "-m", "coverage", "run", *_settings(tests, report), *command[1:]]
    options = ["-p", "no:cacheprovider", "-o", "junit_family=xunit1", "--color=no"]
    return [*command, *options, f"--junitxml={report / 'junit.xml'}", *select], note


def _settings(tests: TestsConfig, report: Path) -> list[str]:
    """Coverage settings of our own, so that the project's thresholds and paths do not matter."""
    settings = report / "coveragerc"
    settings.write_text(f"[run]\ndata_file = {report / 'coverage.data'}\n")
    sources = tests.sources or ["."]
    omitted = f"{tests.folder}/*"
    return [f"--rcfile={settings}", f"--source={','.join(sources)}", f"--omit={omitted}"]


def _coverage(
    folder: Path, tests: TestsConfig, report: Path
) -> tuple[dict[str, dict[int, bool]] | None, str]:
    target = report / "coverage.json"
    command = [interpreter(tests), "-m", "coverage", "json", "--quiet", "--ignore-errors"]
    command += [f"--rcfile={report / 'coveragerc'}", "-o", str(target)]
    done = run(command, cwd=folder, timeout_seconds=60, writable=(report,))
    if not target.is_file():
        return None, f"coverage.py wrote no report: {done.tail(2)}"
    files: dict[str, dict[int, bool]] = {}
    for name, entry in json.loads(target.read_text())["files"].items():
        lines = dict.fromkeys(entry["executed_lines"], True)
        lines |= dict.fromkeys(entry["missing_lines"], False)
        files[Path(name).as_posix()] = dict(sorted(lines.items()))
    return dict(sorted(files.items())), ""


def _judge_command(done: Completed, _: Path, tests: TestsConfig) -> SuiteResult:
    name = shlex.join(tests.command)
    if done.state == "timed_out":
        return SuiteResult(state="timed_out", errors=[name], note=_timeout(done))
    if done.state == "not_started":
        return SuiteResult(state="error", errors=[name], note=done.stderr.strip())
    passed = done.succeeded
    return SuiteResult(
        state="passed" if passed else "failed",
        passed=[name] if passed else [],
        failed=[] if passed else [name],
        exit_code=done.exit_code,
    )


def _judge_pytest(done: Completed, report: Path, _: TestsConfig) -> SuiteResult:
    if done.state == "timed_out":
        return SuiteResult(state="timed_out", note=_timeout(done))
    if done.state == "not_started":
        return SuiteResult(state="error", note=done.stderr.strip())
    code = done.exit_code
    try:
        cases = ElementTree.parse(report).getroot().iter("testcase")
    except (OSError, ElementTree.ParseError):
        why = f"no readable JUnit report (exit code {code})"
        return SuiteResult(state="error", exit_code=code, note=why)
    named: dict[str, list[str]] = {"passed": [], "failed": [], "errors": [], "skipped": []}
    for case in cases:
        named[_outcome(case)].append(_node_id(case))
    groups = {outcome: sorted(set(names)) for outcome, names in named.items()}
    broken = bool(groups["failed"] or groups["errors"])
    state, note = _state(code, broken, any(groups.values()))
    return SuiteResult(state=state, exit_code=code, note=note, **groups)


def _state(code: int | None, broken: bool, any_test: bool) -> tuple[SuiteState, str]:
    if code == PYTEST_ALL_PASSED and any_test and not broken:
        return "passed", ""
    if code in (PYTEST_FAILED, PYTEST_INTERRUPTED) and broken:
        return "failed", ""
    if code == PYTEST_NO_TESTS and not any_test:
        return "no_tests", "pytest collected no test"
    if code == PYTEST_USAGE:
        return "error", "pytest cannot collect what it was asked for"
    return "error", f"exit code {code} contradicts the JUnit report"


def _outcome(case: ElementTree.Element) -> str:
    kinds = {child.tag for child in case}
    if "failure" in kinds:
        return "failed"
    if "error" in kinds:
        return "errors"
    return "skipped" if "skipped" in kinds else "passed"


def _node_id(case: ElementTree.Element) -> str:
    """``file::Class::name`` from the ``file``, ``classname`` and ``name`` of an xunit1 report."""
    name, owner = case.get("name", ""), case.get("classname", "")
    file = case.get("file")
    if not file:
        return f"{owner.replace('.', '/')}::{name}" if owner else name
    module = file.removesuffix(".py").replace("/", ".").replace(os.sep, ".")
    classes = owner.removeprefix(module).strip(".").split(".") if owner != module else []
    return "::".join([file, *(part for part in classes if part), name])


def _timeout(done: Completed) -> str:
    return f"ended after {done.seconds:.0f} s without a result"
