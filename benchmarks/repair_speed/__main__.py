"""``python -m benchmarks.repair_speed [--edits N] [--cold N]``: candidates a second, side by side.

The same edits (`selfheal.repair.edits`, in their order) are judged in two ways by one
process on one core, in turns: in forks of a process that has the tests collected, and by
writing the file and starting pytest on the failing test, both in the sandbox. Cold runs
are few, as they are slow: those edits are spread over all. The start of the fork server,
with its survey of the failing test, stands by itself. "agree" counts the edits of the
cold runs on which both ways give one verdict.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.repair_speed.projects import Project, middling, small
from selfheal.config import TestsConfig
from selfheal.repair.edits import CodeEdit, Suspect, propose_edits
from selfheal.sandbox.forkserver import ForkServer, started
from selfheal.sandbox.search_plan import Planner
from selfheal.sandbox.suite import run_suite

GOALS = {"small": 50.0, "middling": 30.0}
CPU_SECONDS = 2.0


@dataclass
class Timing:
    """Seconds of each way over the edits that it judged, and on how many both agree."""

    start: float = 0.0
    forked: float = 0.0
    forks: int = 0
    cold: float = 0.0
    runs: int = 0
    agree: int = 0

    @property
    def ratio(self) -> float:
        return (self.cold / self.runs) / (self.forked / self.forks)


def measure(project: Project, count: int, cold: int) -> Timing:
    """Judge the first `count` edits in forks, `cold` of them also by pytest from the start."""
    text = (project.folder / project.file).read_text()
    sources = {project.file: text}
    suspects = [Suspect(project.file, line, 1.0) for line in project.lines]
    edits = [edit for edit in islice(propose_edits(sources, suspects), count) if edit.body_only]
    planner = Planner(dict(sources))
    every = max(len(edits) // cold, 1)
    timing, begun = Timing(), time.perf_counter()
    with started(ForkServer(project.folder, TestsConfig()), [project.test]) as server:
        server.ask([(project.test, CPU_SECONDS)], survey=True)
        timing.start = time.perf_counter() - begun
        for number, edit in enumerate(edits):
            begun = time.perf_counter()
            functions = planner.plan(edit.as_edit()).functions or ()
            reply = server.ask([(project.test, CPU_SECONDS)], functions)
            timing.forked += time.perf_counter() - begun
            timing.forks += 1
            if number % every == 0:
                passed = bool(reply.results) and reply.results[-1].outcome == "passed"
                timing.agree += passed == run_cold(project, edit, text, timing)
    return timing


def run_cold(project: Project, edit: CodeEdit, text: str, timing: Timing) -> bool:
    """Whether pytest, started on the changed file, lets the test pass."""
    file = project.folder / project.file
    begun = time.perf_counter()
    try:
        file.write_text(edit.apply(text))
        result = run_suite(project.folder, TestsConfig(), select=[project.test], timeout_seconds=30)
    finally:
        file.write_text(text)
    timing.cold += time.perf_counter() - begun
    timing.runs += 1
    return result.outcome(project.test) == "passed"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.repair_speed", description=__doc__)
    parser.add_argument("--edits", type=int, default=400, help="edits for the forks (default 400)")
    parser.add_argument("--cold", type=int, default=12, help="edits for cold runs (default 12)")
    parser.add_argument("--only", choices=sorted(GOALS), help="one project alone")
    given = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    head = f"{'':24}{'forks/s':>9}{'start, s':>10}{'cold/s':>9}{'÷ cold':>9}{'goal':>7}{'agree':>9}"
    print(head)
    for name, make in (("small", small), ("middling", middling)):
        if given.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory(prefix="selfheal-benchmark-") as folder:
            project = make(Path(folder) / "project") if name == "small" else make(Path(folder))
            timing = measure(project, given.edits, given.cold)
        print(
            f"{project.name:24}{timing.forks / timing.forked:9.1f}{timing.start:10.2f}"
            f"{timing.runs / timing.cold:9.2f}{timing.ratio:9.1f}{GOALS[name]:7.0f}"
            f"{timing.agree:6d}/{timing.runs}"
        )


if __name__ == "__main__":
    main()
