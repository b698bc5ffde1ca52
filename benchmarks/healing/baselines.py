"""What simple means reach on the same cases, in as much time as the loop took."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.healing.loop import green, tests_of
from benchmarks.healing.production import covered
from benchmarks.healing.worlds import World, git, write
from selfheal.repair.edits import Suspect, propose_edits

COMMITS = 4
SUITE_SECONDS = 60.0


def revert_only(
    world: World, repository: Path, report: Path, known: frozenset[str]
) -> tuple[str, float]:
    """The newest commit without which the shown half is green is taken back, whatever it was."""
    begun = time.monotonic()
    for sha in git(repository, "rev-list", f"--max-count={COMMITS}", "HEAD").split()[:-1]:
        try:
            git(repository, "revert", "--no-commit", sha)
        except subprocess.CalledProcessError:
            git(repository, "reset", "-q", "--hard")
            continue
        failing = tests_of(repository, report, world.seconds)
        if failing is not None and not failing - known:
            return graded(world, repository, report, known), time.monotonic() - begun
        git(repository, "reset", "-q", "--hard")
    return "abstained", time.monotonic() - begun


def cold_search(
    world: World, repository: Path, report: Path, known: frozenset[str], seconds: float
) -> tuple[str, int]:
    """Small edits of every line that the failing tests run, each tried by pytest from the start.

    Lines are equally suspicious; the first edit with which the shown half is green is taken.
    """
    failing = sorted((tests_of(repository, report, world.seconds) or frozenset()) - known)
    nodes = [_node(name, repository) for name in failing]
    suspects = [Suspect(file, line, 0.5) for file, line in _executed(repository, nodes, world)]
    deadline, tried = time.monotonic() + seconds, 0
    for edit in propose_edits(world.code | _texts(repository, world), suspects, limit=4000):
        if time.monotonic() > deadline:
            break
        tried += 1
        file = repository / edit.file
        before = file.read_text()
        file.write_text(edit.apply(before))
        if green(repository, nodes, world.seconds):
            now = tests_of(repository, report, world.seconds)
            if now is not None and not now - known:
                return graded(world, repository, report, known), tried
        file.write_text(before)
    return "abstained", tried


def graded(world: World, repository: Path, report: Path, known: frozenset[str]) -> str:
    write(repository, world.graded)
    failing = tests_of(repository, report, world.seconds)
    return "healed" if failing is not None and not failing - known else "wrong"


def _texts(repository: Path, world: World) -> dict[str, str]:
    return {name: (repository / name).read_text() for name in world.code}


def _node(name: str, repository: Path) -> str:
    """pytest's node id for a name of its report: ``tests.test_a.TestB.test_c``."""
    parts = name.split("[", maxsplit=1)[0].split(".")
    for count in range(len(parts) - 1, 0, -1):
        path = Path(*parts[:count]).with_suffix(".py")
        if (repository / path).is_file():
            rest = [*parts[count:-1], name[len(".".join(parts[:-1])) + 1 :]]
            return "::".join([path.as_posix(), *rest])
    return name


def _executed(repository: Path, nodes: Sequence[str], world: World) -> Iterator[tuple[str, int]]:
    """The lines of the library that the failing tests run, by coverage.py."""
    with tempfile.TemporaryDirectory(prefix="selfheal-healing-") as folder:
        report = Path(folder) / "coverage.json"
        try:
            covered(repository, report, SUITE_SECONDS, *nodes)
        except subprocess.TimeoutExpired:
            return
        files = json.loads(report.read_text())["files"] if report.is_file() else {}
    for name in sorted(set(files) & set(world.code)):
        yield from ((name, line) for line in files[name]["executed_lines"])
