"""Measures which lines each failing and passing test of a checkout runs.

The failing tests run first and alone; then the others, measured only in the files that
failing tests ran. What did not end in its time is left out and told in the notes.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from selfheal.codebase.index import is_test
from selfheal.config import TestsConfig
from selfheal.diagnosis.spectrum import Block, Halt, Spectrum
from selfheal.sandbox import spectrum_runner
from selfheal.sandbox.process import Completed, run
from selfheal.sandbox.suite import interpreter

# Enough to see what failing tests share; more cost time and tell the same.
MOST_FAILING = 60
WITNESSES = 30
# Suites of more files than this are not run as a whole.
MOST_FILES = 25
# Of passing tests those nearest to the failing ones are run, as many as end in this time.
MOST_OTHERS = 400
OTHERS_CPU, OTHERS_SECONDS = 20.0, 45.0
# A passing test that takes longer costs more than it tells.
OTHER_SECONDS = 2.0
TEST_SECONDS = 10.0
_ARGUMENTS = (
    *("-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:flaky"),
    *("--color=no", "--tb=no", "--maxfail=0", "--continue-on-collection-errors"),
)


@dataclass(frozen=True)
class _Run:
    """What one run of the runner recorded; `found` is None where it wrote no result."""

    found: Mapping[str, Any] | None
    done: Completed

    def outcomes(self, *wanted: str) -> list[str]:
        if self.found is None:
            return []
        return sorted(name for name, state in self.found["outcomes"].items() if state in wanted)


def measure_spectrum(
    worktree: Path,
    commit: str,
    tests: TestsConfig,
    reported: Sequence[str],
    *,
    memory_megabytes: int | None = None,
    test_seconds: float = TEST_SECONDS,
) -> Spectrum:
    """Run `reported` (node ids; a file stands for all its tests) and then the other tests.

    Each run may take the configured time of the suite. Of the others those nearest to the
    failing ones come first, and none is begun after `OTHERS_CPU` or `OTHERS_SECONDS`. Of a large
    suite they are the tests of files that name the code which failing tests ran.
    """
    measurement = _Measurement(worktree, tests, memory_megabytes, test_seconds)
    chosen = sorted(set(reported))[:MOST_FAILING]
    files = sorted({name.partition("::")[0] for name in chosen})
    failing = measurement.run(files, chosen, (), None)
    if failing.found is None:
        return Spectrum(
            commit=commit,
            not_found=[] if failing.done.state == "timed_out" else chosen,
            notes=[f"the failing tests could not be measured: {measurement.why(failing.done)}"],
        )
    names = {name: _named(name, failing.found["outcomes"]) for name in chosen}
    broken = failing.outcomes("failed", "timed_out")
    notes = [] if len(chosen) == len(set(reported)) else [f"{MOST_FAILING} failing tests are run"]
    if failing.found["tracer"] != "coverage.py":
        notes.append("the interpreter of the tests has no coverage.py: lines are traced without it")
    ran = {file for block in failing.found["blocks"] for file in block["lines"]}
    others = _others(measurement, sorted(broken), files, sorted(ran), notes) if ran else None
    return Spectrum(
        commit=commit,
        failing=broken,
        timed_out=failing.outcomes("timed_out"),
        not_failing=failing.outcomes("passed", "skipped"),
        not_found=[name for name, here in names.items() if not here],
        names=names,
        import_lines=failing.found["imported"],
        halts=[Halt(**halt) for halt in failing.found["halts"]],
        notes=notes,
        **_joined(failing, others, broken),
    )


def import_roots(folder: Path) -> list[Path]:
    """Folders that a checkout's own packages are imported from, before any installed copy of them."""
    source = folder / "src"
    is_root = source.is_dir() and not (source / "__init__.py").exists()
    return [source] if is_root else []


@dataclass(frozen=True)
class _Measurement:
    worktree: Path
    tests: TestsConfig
    memory_megabytes: int | None
    test_seconds: float

    def run(
        self,
        arguments: Sequence[str],
        tests: Sequence[str] | None,
        others_than: Sequence[str],
        include: Sequence[str] | None,
    ) -> _Run:
        folder = Path(tempfile.mkdtemp(prefix="selfheal-spectrum-"))
        try:
            result = folder / "result.json"
            settings = {
                "arguments": [*_ARGUMENTS, *arguments],
                "roots": [str(root) for root in import_roots(self.worktree.absolute())],
                "tests": None if tests is None else list(tests),
                "others_than": list(others_than),
                "include": None if include is None else list(include),
                "omit": [f"{self.tests.folder}/*"],
                "seconds": self.test_seconds if tests is not None else OTHER_SECONDS,
                "most": MOST_OTHERS,
                "cpu": None if tests is not None else OTHERS_CPU,
                "wall": None if tests is not None else OTHERS_SECONDS,
                "result": str(result),
            }
            (folder / "settings.json").write_text(json.dumps(settings))
            done = run(
                [interpreter(self.tests), spectrum_runner.__file__, str(folder / "settings.json")],
                cwd=self.worktree,
                timeout_seconds=self.tests.timeout_seconds,
                memory_megabytes=self.memory_megabytes,
                writable=(folder,),
            )
            try:
                found = json.loads(result.read_text())
            except (OSError, ValueError):
                found = None
            return _Run(found, done)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def why(self, done: Completed) -> str:
        """Why a run left no result."""
        if done.state == "timed_out":
            return f"they did not end within {self.tests.timeout_seconds:g} s"
        return done.tail(3) or f"the interpreter ended with {done.exit_code}"


def _others(
    measurement: _Measurement,
    broken: Sequence[str],
    files: Sequence[str],
    include: Sequence[str],
    notes: list[str],
) -> _Run | None:
    """The run of tests that were not reported, in files that tell something of the same code."""
    telling = _telling(measurement.worktree, files, include)
    wide = measurement.run(telling, None, broken, include)
    if wide.found is not None:
        if wide.found["left"]:
            notes.append("of the passing tests only those nearest to the failing ones were run")
        return wide
    near = measurement.run(files, None, broken, include)
    if near.found is None:
        notes.append(f"passing tests could not be measured: {measurement.why(near.done)}")
        return None
    those = f"{len(telling)} files" if telling else "all"
    why = measurement.why(wide.done)
    notes.append(f"passing tests are those of {', '.join(files)}: of {those}, {why}")
    return near


def _telling(worktree: Path, files: Sequence[str], ran: Sequence[str]) -> list[str]:
    """The test files to be measured: none named for all, else those that name the code that ran.

    Those of the failing tests come first, then those that name most of the modules.
    """
    every = sorted(
        path.relative_to(worktree).as_posix()
        for path in worktree.rglob("*.py")
        if path.name.startswith("test_") or path.name.endswith("_test.py")
    )
    every = [file for file in every if file not in files and is_test(file)]
    if len(every) + len(files) <= MOST_FILES:
        return []
    modules = {PurePosixPath(file).stem for file in ran if not is_test(file)} - {"__init__"}
    named: dict[str, int] = {}
    for file in every:
        words = set(re.findall(r"\w+", (worktree / file).read_text("utf-8", "replace")))
        named[file] = len(words & modules)
    ranked = sorted(every, key=lambda file: (-named[file], file))
    return [*files, *(file for file in ranked[: MOST_FILES - len(files)] if named[file])]


def _joined(failing: _Run, others: _Run | None, broken: Sequence[str]) -> dict[str, Any]:
    """The fields of a spectrum that both runs fill: lines by which tests ran them."""
    place_of = {name: number for number, name in enumerate(broken)}
    passing = others.outcomes("passed") if others else []
    number_of = {name: number for number, name in enumerate(passing)}
    ran_by = _by_line(others, number_of)
    groups: dict[tuple[tuple[int, ...], tuple[int, ...]], dict[str, list[int]]] = {}
    for (file, line), tests in sorted(_by_line(failing, place_of).items()):
        key = (tests, ran_by.get((file, line), ()))
        groups.setdefault(key, {}).setdefault(file, []).append(line)
    blocks = [
        Block(lines=lines, failing=list(red), passing=len(green), witnesses=list(green[:WITNESSES]))
        for (red, green), lines in groups.items()
        if red
    ]
    named = sorted({number for block in blocks for number in block.witnesses})
    renumbered = {number: place for place, number in enumerate(named)}
    blocks = [
        block.model_copy(update={"witnesses": [renumbered[number] for number in block.witnesses]})
        for block in blocks
    ]
    return {
        "blocks": sorted(blocks, key=lambda block: sorted(block.lines.items())),
        "passing": [passing[number] for number in named],
        "passing_count": len(passing),
        "other_failures": [
            name for name in (others.outcomes("failed") if others else ()) if name not in place_of
        ],
    }


def _by_line(
    measured: _Run | None, number_of: Mapping[str, int]
) -> dict[tuple[str, int], tuple[int, ...]]:
    """(file, line) → the numbers of the known tests that ran it, in order."""
    if measured is None or measured.found is None:
        return {}
    order = measured.found["order"]
    found: dict[tuple[str, int], set[int]] = {}
    for block in measured.found["blocks"]:
        known = {number_of[order[test]] for test in block["tests"] if order[test] in number_of}
        for file, lines in block["lines"].items():
            for line in lines:
                found.setdefault((file, line), set()).update(known)
    return {place: tuple(sorted(tests)) for place, tests in found.items()}


def _named(name: str, outcomes: Mapping[str, str]) -> list[str]:
    """What a reported test is called here: itself, else its parametrisations, else all of its file."""
    if name in outcomes:
        return [name]
    plain = name.partition("[")[0]
    inside = (f"{plain}[", f"{name}::")
    return sorted(node for node in outcomes if node == plain or node.startswith(inside))
