"""Cases of the kinds that no failing test shows: coverage, documentation, dependencies.

Each plants one trouble in a library that is otherwise well, has real telemetry made of it,
and grades the patch by what the loop does not see.
"""

from __future__ import annotations

import ast
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.healing.drift import drifts
from benchmarks.healing.fault_classes import ERRORS
from benchmarks.healing.faults import compiles, faults_of
from benchmarks.healing.loop import Outcome, applied, grade, green, plain, run_loop, tests_of
from benchmarks.healing.production import covered, use
from benchmarks.healing.worlds import World, commit, git, write
from selfheal.repair.source import Source

# So many faults of the function are planted to see whether the new tests notice them.
MUTANTS, LEAST_NOTICED = 6, 0.5
# The result where what was planted is no trouble after all: no case.
UNNOTICED = "unnoticed"
# Distributions by the module that is imported; the environment of the campaign has them.
FOREIGN = {"yaml": "pyyaml", "networkx": "networkx", "git": "gitpython", "structlog": "structlog"}
REQUIREMENT_LOG = """
import logging, sys
sys.path.insert(0, sys.argv[1])
logging.basicConfig(filename=sys.argv[3], format="%(asctime)s %(levelname)s %(name)s %(message)s")
for _ in range(5):
    try:
        __import__(sys.argv[2])
    except ImportError:
        logging.getLogger(sys.argv[2]).exception("the service does not start")
"""


class OtherCase(NamedTuple):
    """A trouble that is planted in the `texts` of a library; `run` heals and grades it."""

    world: World
    known: frozenset[str]
    kind: str
    name: str
    file: str
    function: str
    line: int
    texts: Mapping[str, str]
    run: Callable[[OtherCase, Path, Outcome, float], None]


def run_other(case: OtherCase, folder: Path, seconds: float) -> Outcome:
    outcome = Outcome(
        library=case.world.library.name,
        kind=case.kind,
        fault=case.name,
        file=case.file,
        function=case.function,
        line=case.line,
        telling=False,
        seen_by_hidden=True,
    )
    repository = folder / "repository"
    case.world.lay_out(repository)
    git(repository, "init", "-q", "-b", "main")
    commit(repository, "Import", dict(case.texts))
    case.run(case, folder, outcome, seconds)
    return outcome


def other_cases(
    worlds: Sequence[tuple[World, frozenset[str]]], seed: int, each: int, only: frozenset[str]
) -> Iterator[OtherCase]:
    """`each` cases of each rule, from as many libraries as have places for them.

    With `only`, those of classes with these names.
    """
    for draw in (_untested, _old_documents, _undeclared, _moved_names):
        found = []
        for world, known in worlds:
            drawn = random.Random(f"{seed}:{world.library.name}:{draw.__name__}")
            cases = [case for case in draw(world, known) if not only or case.name in only]
            found.append(drawn.sample(cases, len(cases)))
        turns = [cases[turn] for turn in range(each) for cases in found if turn < len(cases)]
        yield from turns[:each]


# Coverage


def _untested(world: World, known: frozenset[str]) -> Iterator[OtherCase]:
    """Functions that the hidden half of the suite names and the shown half does not."""
    shown, hidden = ("\n".join(texts.values()) for texts in (world.shown, world.graded))
    for path, text in sorted(world.code.items()):
        source = Source(path, text)
        for function in source.functions():
            name = re.compile(rf"\b{function.name}\b")
            public = not function.name.startswith("_") and function in source.tree.body
            if public and len(function.body) > 2 and name.search(hidden) and not name.search(shown):
                yield OtherCase(
                    world, known, "coverage", "code without a test", path, function.name,
                    function.lineno, {}, _run_untested,
                )  # fmt: skip


def _run_untested(case: OtherCase, folder: Path, outcome: Outcome, seconds: float) -> None:
    repository, telemetry = folder / "repository", folder / "telemetry"
    telemetry.mkdir()
    use(case.world, repository, telemetry / "calls")
    called = keep_calls(telemetry / "calls", case.function)
    report = telemetry / "coverage-1.0.json"
    covered(repository, report, case.world.seconds)
    functions = json.loads(report.read_text())["files"][case.file]["functions"]
    if not called or functions[case.function]["executed_lines"]:
        outcome.result = UNNOTICED
        return
    run_loop(repository, telemetry, folder / "artifacts", outcome, seconds)
    if not outcome.patch or not applied(repository, outcome):
        return
    new = re.findall(r"^\+\+\+ b/(.+)$", outcome.patch, re.MULTILINE)
    tests = [name for name in new if Path(name).name.startswith("test")]
    if not tests or not green(repository, tests, case.world.seconds):
        outcome.result, outcome.reason = "wrong", f"the new tests {tests} fail"
        return
    asked, noticed = _noticed(case, repository, tests, folder / "noticed.xml")
    if not asked:
        outcome.result = UNNOTICED
        return
    enough = noticed >= LEAST_NOTICED * asked
    outcome.result = "healed" if enough else "wrong"
    outcome.reason = f"the new tests notice {noticed} of {asked} faults that the suite notices"


def keep_calls(folder: Path, function: str) -> int:
    """Leave the recorded calls of one function; how many there are."""
    kept = 0
    for file in folder.rglob("*"):
        if file.is_file():
            lines = file.read_text().splitlines(keepends=True)
            own = [line for line in lines if f'{function}"' in line]
            file.write_text("".join(own))
            kept += len(own)
    return kept


def _noticed(
    case: OtherCase, repository: Path, tests: Sequence[str], report: Path
) -> tuple[int, int]:
    """How many faults of the function the whole suite notices, and how many the new tests."""
    text = case.world.code[case.file]
    by_class = faults_of(case.file, text, ERRORS)
    pool = [one for found in by_class.values() for one in found if one.function == case.function]
    asked = noticed = 0
    for fault in random.Random(case.function).sample(pool, min(3 * MUTANTS, len(pool))):
        if asked == MUTANTS or not compiles(fault, text):
            continue
        write(repository, {fault.file: fault.text, **case.world.graded})
        told = green(repository, tests, case.world.seconds)
        for test in tests:
            (repository / test).rename(repository / f"{test}.away")
        failing = tests_of(repository, report, case.world.seconds)
        for test in tests:
            (repository / f"{test}.away").rename(repository / test)
        if failing is not None and failing - case.known:
            asked, noticed = asked + 1, noticed + (not told)
        write(repository, {fault.file: text})
    return asked, noticed


# Documentation


def _old_documents(world: World, known: frozenset[str]) -> Iterator[OtherCase]:
    for found in drifts(world).values():
        for one in found:
            text = world.code[one.file]
            texts = {one.file: text[: one.start] + one.text + text[one.stop :]}
            yield OtherCase(
                world, known, "documentation", one.name, one.file, one.function, one.line, texts,
                _run_document,
            )  # fmt: skip


def _run_document(case: OtherCase, folder: Path, outcome: Outcome, seconds: float) -> None:
    repository = folder / "repository"
    use(case.world, repository, folder / "calls")
    run_loop(repository, folder / "calls", folder / "artifacts", outcome, seconds)
    if not outcome.patch or not applied(repository, outcome):
        return
    healed = (repository / case.file).read_text()
    planted, original = case.texts[case.file], case.world.code[case.file]
    if healed == planted:
        outcome.result, outcome.reason = "abstained", "the patch leaves the document as it was"
        return
    outcome.result = "healed" if _told_alike(healed, original, case) else "wrong"
    outcome.reason = "" if outcome.result == "healed" else "the document tells something else"


def _told_alike(healed: str, original: str, case: OtherCase) -> bool:
    """Whether the function's documents are as they were, but for spaces and kinds of quotes."""
    texts = []
    for text in (healed, original):
        source = Source(case.file, text)
        found = [each for each in source.functions() if each.name == case.function]
        told = [(ast.get_docstring(each) or "").replace("'", '"') for each in found]
        texts.append([" ".join(each.split()) for each in told])
    return texts[0] == texts[1]


# Dependencies


def _undeclared(world: World, known: frozenset[str]) -> Iterator[OtherCase]:
    """A module begins to import a distribution that the project does not require."""
    manifest = world.tree / "pyproject.toml"
    if not manifest.is_file() or "[project]" not in manifest.read_text():
        return
    for path, text in sorted(world.code.items()):
        modules = random.Random(path).sample(sorted(FOREIGN), 1)
        first = _first_import(Source(path, text))
        if path.endswith("__init__.py") and first is not None:
            start = sum(map(len, text.splitlines(keepends=True)[: first - 1]))
            after = f"{text[:start]}import {modules[0]}\n{text[start:]}"
            yield OtherCase(
                world, known, "dependency", "missing requirement", path, modules[0], first,
                {path: after}, _run_undeclared,
            )  # fmt: skip


def _first_import(source: Source) -> int | None:
    for node in source.tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "module", "") != (
            "__future__"
        ):
            return node.lineno
    return None


def _run_undeclared(case: OtherCase, folder: Path, outcome: Outcome, seconds: float) -> None:
    """Production is an interpreter that has nothing but the library."""
    repository, log = folder / "repository", folder / "service.log"
    package = Path(case.world.library.package).stem
    bare = getattr(sys, "_base_executable", sys.executable)
    source = repository / case.world.library.source_folder
    command = [bare, "-I", "-S", "-c", REQUIREMENT_LOG, str(source), package, str(log)]
    subprocess.run(command, check=True, env=plain(), capture_output=True)
    run_loop(repository, log, folder / "artifacts", outcome, seconds)
    if not outcome.patch or not applied(repository, outcome):
        return
    wanted = FOREIGN[case.function]
    declared = [name.lower() for name in _requirements(repository)]
    outcome.result = "healed" if wanted in declared else "wrong"
    outcome.reason = "" if wanted in declared else f"{wanted} is not among {declared}"


def _requirements(repository: Path) -> list[str]:
    import tomllib

    project: dict[str, Any] = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    lines = list(project.get("dependencies", ()))
    for file in repository.glob("requirements*.txt"):
        lines += file.read_text().splitlines()
    return [re.split(r"[^\w.-]", line.strip(), maxsplit=1)[0] for line in lines if line.strip()]


def _moved_names(world: World, known: frozenset[str]) -> Iterator[OtherCase]:
    """A name is imported from where Python had it until 3.9."""
    for path, text in sorted(world.code.items()):
        for number, line in enumerate(text.splitlines(), 1):
            old = line.replace("from collections.abc import ", "from collections import ")
            if old != line and not line.startswith(" "):
                lines = text.splitlines(keepends=True)
                lines[number - 1] = old + "\n"
                yield OtherCase(
                    world, known, "dependency", "name that a library moved", path, "", number,
                    {path: "".join(lines)}, _run_moved,
                )  # fmt: skip


def _run_moved(case: OtherCase, folder: Path, outcome: Outcome, seconds: float) -> None:
    repository, report = folder / "repository", folder / "junit.xml"
    if not (tests_of(repository, report, case.world.seconds) or frozenset()) - case.known:
        outcome.result = UNNOTICED
        return
    run_loop(repository, report, folder / "artifacts", outcome, seconds)
    if outcome.patch:
        grade(case.world, repository, case.known, outcome, case.world.seconds)
