"""A drill: as many exercises as were asked for, and their outcomes in the ledger."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.model import Model
from selfheal.codebase.git import git, git_bytes
from selfheal.config import Settings
from selfheal.delivery.autonomy import Earned, earned
from selfheal.delivery.library import FILE, read_patterns
from selfheal.drill.exercise import Exercise, Ground, exercise
from selfheal.drill.faults import Fault, faults_of
from selfheal.errors import InvalidInput
from selfheal.learning.library import update_library
from selfheal.sandbox.suite import is_pytest
from selfheal.sandbox.worktree import resolve

ATTEMPTS_PER_FAULT = 6


class Drill(Model):
    """`exercises` in their order; `unnoticed` faults made no test fail. `earned` is the ledger now."""

    id: str
    commit: str
    exercises: list[Exercise]
    unnoticed: int
    earned: list[Earned]

    @property
    def healed(self) -> int:
        return sum(each.grade == "healed" for each in self.exercises)


def drill(
    repository: Path,
    settings: Settings,
    *,
    project: Path,
    artifacts: Path,
    faults: int,
    seed: int,
    keep: bool = False,
    said: Callable[[str], None] = lambda _: None,
) -> Drill:
    """Seed up to `faults` faults one after the other, each into a clone of its own.

    The outcomes are put into the pattern library of `artifacts`. Raises InvalidInput where
    the suite is not pytest, is not green, or notices none of the faults that were tried.
    """
    if not is_pytest(settings.tests):
        raise InvalidInput(
            "a drill reads pytest's report, and the suite is another command.",
            where="tests.command",
        )
    commit = resolve(repository, "HEAD")
    name = short_id("drill", commit, seed).removeprefix("drill-")
    folder = artifacts / "drills" / f"{name}-{os.getpid()}"
    folder.mkdir(parents=True)
    library = artifacts / FILE
    ground = Ground(repository.absolute(), commit, folder, settings, project, library)
    try:
        made, unnoticed = _exercises(ground, name, faults, seed, said)
        used = [use for each in made for use in each.uses]
        update_library(artifacts, used, run_id=f"drill-{name}", produced_by="selfheal drill")
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    pairs = {(use.pattern.applicability.kind, use.pattern.edit["strategy"]) for use in used}
    ledger = earned(read_patterns(artifacts), pairs, settings.deploy.level)
    return Drill(id=name, commit=commit, exercises=made, unnoticed=unnoticed, earned=ledger)


def _exercises(
    ground: Ground, name: str, count: int, seed: int, said: Callable[[str], None]
) -> tuple[list[Exercise], int]:
    texts = _texts(ground.repository, ground.commit)
    before = ground.suite("green", {}, [])
    if before.state != "passed":
        raise InvalidInput(
            f"the suite of the repository does not pass ({before.state}: "
            f"{', '.join(sorted(before.broken)[:3]) or before.note or 'no test ran'}).",
            where="tests.command",
            hint="A drill needs a green suite to see its faults by.",
        )
    found: list[Exercise] = []
    unnoticed = 0
    for fault, failing in _noticed(ground, texts, seed, count * ATTEMPTS_PER_FAULT):
        if not failing:
            unnoticed += 1
            continue
        number = len(found) + 1
        said(f"{number}/{count}  {fault.file}:{fault.line} {fault.what}: {len(failing)} tests fail")
        made = exercise(
            ground,
            fault,
            failing,
            texts,
            seed=seed,
            run_id=f"drill-{name}-{number}",
            history=number % 2 == 1,
        )
        said(
            f"{number}/{count}  {made.grade}"
            + (f" by {', '.join(made.strategies)}" if made.strategies else f": {made.reason}")
        )
        found.append(made)
        if len(found) == count:
            break
    if not found:
        raise InvalidInput(
            f"the suite noticed none of {unnoticed} seeded faults.",
            where=str(ground.repository),
            hint="A drill needs tests that cover the code; selfheal report coverage shows where.",
        )
    return found, unnoticed


def _noticed(
    ground: Ground, texts: dict[str, str], seed: int, attempts: int
) -> Iterator[tuple[Fault, list[str]]]:
    """Faults with the tests that fail by them, none where the suite says nothing of use."""
    for number, fault in enumerate(faults_of(texts, seed)[:attempts]):
        result = ground.suite(f"try-{number}", {fault.file: fault.text}, [])
        # A suite that hangs or cannot be collected is no report that a team would act on.
        noticed = result.state == "failed" and not result.errors
        yield fault, sorted(result.failed) if noticed else []


def _texts(repository: Path, commit: str) -> dict[str, str]:
    """The files of Python in a commit, by path; those that are no UTF-8 are left out."""
    listed = git(repository, "ls-tree", "-r", "-z", "--name-only", commit).stdout.split("\0")
    found = {}
    for path in sorted(name for name in listed if name.endswith(".py")):
        raw = git_bytes(repository, "show", f"{commit}:{path}").stdout
        with contextlib.suppress(UnicodeDecodeError):
            found[path] = raw.decode("utf-8")
    return found
