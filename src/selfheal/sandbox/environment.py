"""What the project's interpreter has installed, and whether imports work there.

Everything that asks the interpreter is run confined: the environment of a repository under
repair may be part of what is not trusted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfheal.config import TestsConfig
from selfheal.repair.environment import Environment
from selfheal.sandbox import import_runner
from selfheal.sandbox.process import left_behind, report_folder, run
from selfheal.sandbox.suite import interpreter

SECONDS = 120.0

Outcome = tuple[str, str] | None


def read_environment(
    folder: Path,
    tests: TestsConfig,
    *,
    added: Sequence[Path] = (),
    gone: Sequence[tuple[str, str]] = (),
) -> Environment:
    """The distributions that the interpreter of the tests finds, started in `folder`.

    `added` are folders whose distributions count as installed too; `gone` are names,
    ``(module, name)``, whose present homes are looked for. `Environment.unavailable` says
    why nothing is known.
    """
    asked = {"paths": list(map(str, added)), "homes": [list(each) for each in gone]}
    told = _ask(folder, tests, asked, added)
    return Environment(unavailable=told) if isinstance(told, str) else Environment(**told)


def try_imports(
    folder: Path,
    tests: TestsConfig,
    statements: Sequence[str],
    *,
    only: Sequence[str] | None,
    added: Sequence[Path] = (),
) -> list[Outcome] | str:
    """How each import statement ends in the checkout `folder`: None, or (exception type, text).

    With `only`, modules that none of these distributions (normalised names) brings are not
    there, as in an environment that has nothing else. A text says why it is not known.
    """
    roots = [folder.absolute(), folder.absolute() / "src"]
    asked = {
        "paths": [str(each) for each in (*roots, *added) if each.is_dir()],
        "only": None if only is None else list(only),
        "statements": list(statements),
    }
    told = _ask(folder, tests, asked, added)
    if isinstance(told, str):
        return told
    return [None if each is None else (each[0], each[1]) for each in told["outcomes"]]


def _ask(
    folder: Path, tests: TestsConfig, asked: Mapping[str, Any], added: Sequence[Path]
) -> dict[str, Any] | str:
    with report_folder() as report:
        argument = json.dumps({**asked, "report": str(report / "report.json")})
        done = run(
            [interpreter(tests), "-B", import_runner.__file__, argument],
            cwd=folder,
            timeout_seconds=SECONDS,
            writable=(report, *added),
        )
        written = left_behind(report / "report.json")
    if written is None:
        return f"{interpreter(tests)} did not answer: {done.tail(1) or done.state}"
    try:
        found: dict[str, Any] = json.loads(written)
    except ValueError:
        return f"{interpreter(tests)} did not answer in JSON"
    return found
