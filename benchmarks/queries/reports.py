"""Each report beside its own statements."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.queries.bare import recording, seconds_of
from benchmarks.queries.tables import row
from selfheal.reports.catalogue import REPORTS, build
from selfheal.reports.source import Source


def run(folder: Path, repetitions: int) -> None:
    """Print for each report its time, that of its statements alone, and the ratio."""
    row("report", "built s", "SQL s", "ratio", "statements")
    for name in REPORTS:
        built, bare, asked = [], [], 0
        for _ in range(repetitions):
            with recording() as statements, Source(folder) as source:
                begun = time.perf_counter()
                build(name, source)
                built.append(time.perf_counter() - begun)
            asked = len(statements)
            bare.append(seconds_of(statements, folder / "dataset"))
        ratio = min(built) / min(bare) if min(bare) else float("nan")
        row(name, f"{min(built):.3f}", f"{min(bare):.3f}", f"{ratio:.2f}", str(asked))
