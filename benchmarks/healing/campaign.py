"""Drawing faults that the shown half of a suite notices, and running every case."""

from __future__ import annotations

import ast
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.healing.baselines import cold_search, revert_only
from benchmarks.healing.fault_classes import ERRORS
from benchmarks.healing.faults import Fault, FaultClass, compiles, faults_of
from benchmarks.healing.libraries import Library, Unavailable, fetch
from benchmarks.healing.loop import Outcome, grade, run_loop, tests_of
from benchmarks.healing.other_kinds import UNNOTICED, OtherCase, run_other
from benchmarks.healing.services import run_shop, shop_cases
from benchmarks.healing.worlds import World, commit_history, write

DRAWS = 12
MOST_FAILING = 0.25


@dataclass(frozen=True)
class Settings:
    """`faults` in all, `seconds` for one run of the loop, `suite` for one of a suite."""

    faults: int
    seed: int
    seconds: float
    cache: Path
    suite: float = 240.0
    histories: tuple[bool, ...] = (False, True)
    only: frozenset[str] = frozenset()
    baselines: bool = False


@dataclass(frozen=True)
class Case:
    """A fault that the shown half notices, by a report of pytest; `known` fail without it."""

    world: World
    fault: Fault
    telling: bool
    known: frozenset[str]
    seen_by_hidden: bool
    report: str


def worlds_of(
    libraries: Sequence[Library], settings: Settings
) -> Iterator[tuple[World, frozenset[str]]]:
    """Each library with the tests that fail in it without any fault."""
    for library in libraries:
        try:
            tree = fetch(library, settings.cache)
        except Unavailable as error:
            print(f"{library.name}: unavailable: {error}", file=sys.stderr)
            continue
        world = World.of(library, tree, settings.seed)
        with tempfile.TemporaryDirectory(prefix="selfheal-healing-") as folder:
            place = Path(folder) / "clean"
            world.lay_out(place)
            # A test that calls one of the other half fails without any fault.
            halved = tests_of(place, Path(folder) / "halved.xml", settings.suite)
            write(place, world.graded)
            begun = time.monotonic()
            known = tests_of(place, Path(folder) / "clean.xml", settings.suite)
            world.seconds = 20 + 5 * (time.monotonic() - begun)
        if known is None or halved is None:
            print(f"{library.name}: its suite does not run here", file=sys.stderr)
            continue
        yield world, known | halved


def draw_cases(
    worlds: Sequence[tuple[World, frozenset[str]]], settings: Settings
) -> Iterator[Case]:
    """Cases by fixed seeds: class by class, and library by library."""
    classes = [each for each in ERRORS if not settings.only or each.name in settings.only]
    drawn = random.Random(settings.seed)
    order = drawn.sample(classes, len(classes))
    for number in range(settings.faults):
        each = order[number % len(order)]
        telling = settings.histories[number % len(settings.histories)]
        for turn in range(len(worlds)):
            world, known = worlds[(number + number // len(order) + turn) % len(worlds)]
            found = draw(world, each, known, telling, number, settings)
            if found is not None:
                yield found
                break


def draw(
    world: World,
    each: FaultClass,
    known: frozenset[str],
    telling: bool,
    number: int,
    settings: Settings,
) -> Case | None:
    """A fault of a class that some shown tests notice, few of them; None after some draws."""
    drawn = random.Random(f"{settings.seed}:{world.library.name}:{each.name}:{number}")
    pool = [
        fault
        for path, text in sorted(world.code.items())
        for fault in faults_of(path, text, [each])[each.name]
    ]
    for fault in drawn.sample(pool, min(DRAWS, len(pool))):
        if not compiles(fault, world.code[fault.file]):
            continue
        with tempfile.TemporaryDirectory(prefix="selfheal-healing-") as folder:
            place, report = Path(folder) / "draw", Path(folder) / "junit.xml"
            world.lay_out(place)
            write(place, {fault.file: fault.text})
            shown = tests_of(place, report, world.seconds)
            text = report.read_text() if shown else ""
            if not shown or not shown - known:
                continue
            if len(shown - known) > max(MOST_FAILING * text.count("<testcase"), 1):
                continue
            write(place, world.graded)
            everything = tests_of(place, report, world.seconds) or frozenset()
        return Case(world, fault, telling, known, bool(everything - known - shown), text)
    return None


def run_case(case: Case, settings: Settings, folder: Path) -> Outcome:
    fault = case.fault
    outcome = Outcome(
        library=case.world.library.name,
        kind=fault.kind,
        fault=fault.name,
        file=fault.file,
        function=fault.function,
        line=fault.line,
        telling=case.telling,
        seen_by_hidden=case.seen_by_hidden,
    )
    repository, artifacts, report = (
        folder / "repository",
        folder / "artifacts",
        folder / "junit.xml",
    )
    commit_history(case.world, fault, repository, telling=case.telling)
    report.write_text(case.report)
    run_loop(repository, report, artifacts, outcome, settings.seconds)
    if outcome.patch:
        grade(case.world, repository, case.known, outcome, case.world.seconds)
        outcome.identical = same_code(repository / fault.file, case.world.code[fault.file])
    if settings.baselines:
        compare(case, folder, outcome)
    return outcome


def compare(case: Case, folder: Path, outcome: Outcome) -> None:
    """The simple means on repositories of their own."""
    report = folder / "baseline.xml"
    for name in ("revert only", "cold search"):
        repository = folder / name.replace(" ", "-")
        commit_history(case.world, case.fault, repository, telling=case.telling)
        if name == "revert only":
            outcome.baselines[name] = revert_only(case.world, repository, report, case.known)[0]
        else:
            outcome.baselines[name] = cold_search(
                case.world, repository, report, case.known, max(outcome.seconds, 10.0)
            )[0]


def same_code(file: Path, original: str) -> bool:
    """Whether the healed file is the original one but for innocent changes and layout."""
    try:
        healed = ast.dump(ast.parse(file.read_text().replace("if bool(", "if (")))
    except SyntaxError:
        return False
    return healed == ast.dump(ast.parse(original))


def run_shops(
    names: Sequence[str], settings: Settings, keep: Path | None, told: Callable[[Outcome], None]
) -> None:
    for number, fault in enumerate(shop_cases(names)):
        with _folder(keep, f"shop-{fault.name}") as folder:
            told(run_shop(fault, number, folder, settings.seconds))


@contextmanager
def _folder(keep: Path | None, name: str) -> Iterator[Path]:
    """A folder for one case, kept under a name if wanted."""
    folder = Path(tempfile.mkdtemp(prefix="selfheal-healing-"))
    try:
        yield folder
        if keep is not None:
            sockets = shutil.ignore_patterns("*.sock")
            shutil.copytree(folder, keep / name, symlinks=True, dirs_exist_ok=True, ignore=sockets)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_all(
    cases: Iterator[Case], settings: Settings, keep: Path | None, told: Callable[[Outcome], None]
) -> None:
    for number, case in enumerate(cases, 1):
        with _folder(keep, f"{number:03d}") as folder:
            told(run_case(case, settings, folder))


def run_others(
    cases: Iterable[OtherCase],
    settings: Settings,
    keep: Path | None,
    told: Callable[[Outcome], None],
) -> None:
    for number, case in enumerate(cases, 1):
        with _folder(keep, f"{case.kind}-{number:02d}") as folder:
            outcome = run_other(case, folder, settings.seconds)
            if outcome.result != UNNOTICED:
                told(outcome)


def by_name(names: Sequence[str], known: Mapping[str, Library]) -> list[Library]:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SystemExit(f"no such library: {', '.join(unknown)}; known are {', '.join(known)}")
    return [known[name] for name in names]
