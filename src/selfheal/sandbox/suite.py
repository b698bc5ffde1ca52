"""Running a project's test suite and believing only what its report proves.

pytest is asked for its JUnit XML report; a run without a report, or whose exit code
contradicts it, is an error whatever the tests print. Another command is judged by its
exit code alone, as one test that bears the command's name.

Code under test runs in pytest's own process and could change what it reports. So one
more test is added to each run, under a name drawn for it, that has to be reported as
failed: a conftest, a plugin or a patch that turns outcomes around or writes a report of
its own turns this one around as well, or does not know of it.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from pydantic import Field, ValidationError

from selfheal.artifacts import Model
from selfheal.config import TestsConfig
from selfheal.sandbox import runner
from selfheal.sandbox.process import Completed, left_behind, report_folder, run
from selfheal.sandbox.service import fill

SuiteState = Literal["passed", "failed", "timed_out", "error", "no_tests"]

SOURCE_FOLDERS, PATHS = ("src", "lib"), "PYTHONPATH"
# How long that was is measured: it has no place in a result that repeats.
TIMED_OUT = "it came to no result within its time limit"
FIRST_PASSED, NO_COVERAGE, REPEATED = "first-passed", "no-coverage", "repeated.json"
# Of the seconds that a run has, what the shuffled runs may take of the processor.
REPEATED_SHARE = 0.15
PYTEST_ALL_PASSED, PYTEST_FAILED, PYTEST_INTERRUPTED, PYTEST_USAGE, PYTEST_NO_TESTS = 0, 1, 2, 4, 5


class Repeated(Model):
    """How often some tests passed together, each time in another order and a fresh process."""

    tests: int
    runs: int
    passed: int


class SuiteResult(Model):
    """What a run proved. Tests are pytest node ids, sorted.

    `coverage` maps each measured file to its executable lines and whether they ran;
    None where it was not asked for or cannot be had, with the reason in `note`.
    `output_tail` is for people and holds times: never part of an artifact. `first_passed`
    says that the test which was asked to run first did run and pass, whatever came then;
    `repeated` is None where nothing was to be repeated.
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
    first_passed: bool = False
    repeated: Repeated | None = None

    @property
    def broken(self) -> set[str]:
        """Tests that failed or could not run."""
        return set(self.failed) | set(self.errors)

    def outcome(self, test: str) -> Literal["passed", "failed", "skipped", "absent"]:
        """How one test, or all parametrisations of it, or all tests of a file, came out."""
        of_test = [name for name in self._names() if runner.is_among(name, [test])]
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
    first: Sequence[str] = (),
    without: Sequence[str] = (),
    repeat: Sequence[str] = (),
    runs: int = 0,
    coverage: bool = False,
    timeout_seconds: float | None = None,
    memory_megabytes: int | None = None,
    keep: Path | None = None,
) -> SuiteResult:
    """Run the suite in a checkout, or only the tests of `select` (pytest node ids).

    The tests `first` run before all others, and those only if they pass; they are among the
    results where the suite holds them. The tests of `without` are not run. Those of `repeat`
    run `runs` times before, shuffled. All this only where `runs_in_order` the command.
    `timeout_seconds`
    defaults to the configured one. With `coverage` the lines that ran are reported where
    the project's interpreter has coverage.py; `keep` is where its JSON report is then kept.
    """
    folder = Path(worktree)
    with report_folder() as report:
        seconds = timeout_seconds or tests.timeout_seconds
        ours, imports = runs_in_order(tests), import_environment(folder)
        settings = _settings(tests, report, first, without, coverage)
        settings["repeated"] = _repetition(report, repeat, runs, seconds)
        if ours:
            # Given to the project's code only: pytest itself is not to be found among it.
            settings["paths"], imports = import_paths(folder), {}
        command, note = _command(tests, report, select, coverage)
        done = run(
            command,
            cwd=folder,
            timeout_seconds=seconds,
            memory_megabytes=memory_megabytes,
            environment=imports,
            input=json.dumps(settings) if ours else None,
            writable=(report,),
        )
        if is_pytest(tests):
            name = settings["made_to_fail"] if ours else None
            result = _judge_pytest(done, report / "junit.xml", name, folder)
        else:
            result = _judge_command(done, tests)
        measured = None
        if coverage and not note:
            measured, note = _coverage(report)
            if keep is not None and measured is not None:
                shutil.copyfile(report / "coverage.json", keep)
        return result.model_copy(
            update={
                "coverage": measured,
                "note": result.note or note,
                "output_tail": done.tail(),
                "seconds": done.seconds,
                "first_passed": (report / FIRST_PASSED).exists(),
                "repeated": _repeated(report / REPEATED),
            }
        )


def interpreter(tests: TestsConfig) -> str:
    """The Python of the project's tests: the configured one, else this one."""
    return tests.python or sys.executable


def import_environment(worktree: Path) -> dict[str, str]:
    """``PYTHONPATH`` for a checkout whose packages lie in a folder of their own (``src``).

    Without it an editable installation would bring the modules of the original repository
    in place of those of the checkout.
    """
    found = import_paths(worktree)
    return {PATHS: os.pathsep.join(found)} if found else {}


def import_paths(worktree: Path) -> list[str]:
    """The folders of a checkout to import from, beside the checkout itself."""
    folders = (worktree / name for name in SOURCE_FOLDERS)
    return [str(folder) for folder in folders if _holds_modules(folder)]


def _holds_modules(folder: Path) -> bool:
    if not folder.is_dir() or (folder / "__init__.py").exists():
        return False
    return any(folder.glob("*.py")) or any(folder.glob("*/__init__.py"))


def base_command(tests: TestsConfig) -> list[str]:
    """The configured command with ``{python}`` filled in; options alone follow the interpreter."""
    python = interpreter(tests)
    command = [fill(part, {"python": python}) for part in tests.command]
    return [python, *command] if command and command[0].startswith("-") else command


def is_pytest(tests: TestsConfig) -> bool:
    """Whether the configured command is pytest."""
    return any(Path(part).name in ("pytest", "py.test") for part in base_command(tests))


def runs_in_order(tests: TestsConfig) -> bool:
    """Whether coverage and the order of tests can be had: the command is python -m pytest."""
    return is_pytest(tests) and base_command(tests)[1:3] == ["-m", "pytest"]


def _command(
    tests: TestsConfig, report: Path, select: Sequence[str], coverage: bool
) -> tuple[list[str], str]:
    """The command line, and why coverage cannot be measured, if so."""
    command, note = base_command(tests), ""
    if not is_pytest(tests):
        return command, "coverage is measured of pytest suites only"
    if runs_in_order(tests):
        command = [command[0], runner.__file__, *command[3:]]
    elif coverage:
        note = "coverage needs a command of the form python -m pytest"
    options = ["-p", "no:cacheprovider", "-o", "junit_family=xunit1", "--color=no"]
    options.append("--continue-on-collection-errors")
    return [*command, *options, f"--junitxml={report / 'junit.xml'}", *select], note


def _settings(
    tests: TestsConfig, report: Path, first: Sequence[str], without: Sequence[str], coverage: bool
) -> dict[str, Any]:
    measured = {
        "sources": tests.sources or ["."],
        "omit": [f"{tests.folder}/*"],
        "report": str(report / "coverage.json"),
        "missing": str(report / NO_COVERAGE),
    }
    return {
        "paths": [],
        "made_to_fail": f"test_{secrets.token_hex(8)}",
        "repeated": None,
        "first": list(first),
        "without": list(without),
        "first_passed": str(report / FIRST_PASSED),
        "coverage": measured if coverage else None,
    }


def _repetition(
    report: Path, tests: Sequence[str], runs: int, seconds: float
) -> dict[str, Any] | None:
    if not (tests and runs):
        return None
    return {
        "tests": list(tests),
        "runs": runs,
        "seconds": REPEATED_SHARE * seconds,
        "report": str(report / REPEATED),
    }


def _coverage(report: Path) -> tuple[dict[str, dict[int, bool]] | None, str]:
    if (report / NO_COVERAGE).exists():
        return None, "the interpreter of the tests has no coverage.py"
    content = left_behind(report / "coverage.json")
    if content is None:
        return None, "coverage.py wrote no report"
    files: dict[str, dict[int, bool]] = {}
    try:
        for name, entry in json.loads(content)["files"].items():
            lines = {int(line): True for line in entry["executed_lines"]}
            lines |= {int(line): False for line in entry["missing_lines"]}
            files[Path(name).as_posix()] = dict(sorted(lines.items()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, "the coverage report is not one of coverage.py"
    return dict(sorted(files.items())), ""


def _repeated(report: Path) -> Repeated | None:
    content = left_behind(report)
    try:
        return None if content is None else Repeated.model_validate_json(content)
    except ValidationError:
        return None


def _judge_command(done: Completed, tests: TestsConfig) -> SuiteResult:
    name = shlex.join(tests.command)
    if done.state == "timed_out":
        return SuiteResult(state="timed_out", errors=[name], note=TIMED_OUT)
    if done.state == "not_started":
        return SuiteResult(state="error", errors=[name], note=done.stderr.strip())
    passed = done.succeeded
    return SuiteResult(
        state="passed" if passed else "failed",
        passed=[name] if passed else [],
        failed=[] if passed else [name],
        exit_code=done.exit_code,
    )


def _judge_pytest(
    done: Completed, report: Path, made_to_fail: str | None, folder: Path
) -> SuiteResult:
    if done.state == "timed_out":
        return SuiteResult(state="timed_out", note=TIMED_OUT)
    if done.state == "not_started":
        return SuiteResult(state="error", note=done.stderr.strip())
    code = done.exit_code
    content = left_behind(report)
    try:
        cases = list(ElementTree.fromstring(content or b"").iter("testcase"))
    except (ElementTree.ParseError, RecursionError):
        why = f"no readable JUnit report (exit code {code})"
        return SuiteResult(state="error", exit_code=code, note=why)
    added = {_outcome(case) for case in cases if case.get("name") == made_to_fail}
    named: dict[str, list[str]] = {"passed": [], "failed": [], "errors": [], "skipped": []}
    for case in cases:
        if case.get("name") != made_to_fail:
            named[_outcome(case)].append(_node_id(case, folder))
    groups = {outcome: sorted(set(names)) for outcome, names in named.items()}
    broken = bool(groups["failed"] or groups["errors"])
    state, note = _state(code, broken, any(groups.values()))
    believed = made_to_fail is None or (added and added <= {"failed", "errors"})
    if not believed and (added or state == "passed"):
        seen = "as failed" if not added else f"as {', '.join(sorted(added))}"
        why = "does not report" if not added else "reports"
        return SuiteResult(
            state="error",
            exit_code=code,
            note=f"the run {why} {seen} a test that was made to fail: it is not to be believed",
        )
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


def _node_id(case: ElementTree.Element, folder: Path) -> str:
    """``file::Class::name`` from the ``file``, ``classname`` and ``name`` of an xunit1 report.

    Of a test that a class inherits, `file` is where it is written, and the class's own file
    is the one in `folder` that its dotted name begins with. A file that could not be collected
    is called by its path.
    """
    name, owner = case.get("name", ""), case.get("classname", "")
    file = case.get("file")
    if not file:
        return f"{owner.replace('.', '/')}::{name}" if owner else name
    module = file.removesuffix(".py").replace("/", ".").replace(os.sep, ".")
    if not owner and name == module:
        return file
    if owner != module and not owner.startswith(f"{module}."):
        parts = owner.split(".")
        for length in range(len(parts), 0, -1):
            own = "/".join(parts[:length]) + ".py"
            if (folder / own).is_file():
                return "::".join([own, *parts[length:], name])
    classes = owner.removeprefix(module).strip(".").split(".") if owner != module else []
    return "::".join([file, *(part for part in classes if part), name])
