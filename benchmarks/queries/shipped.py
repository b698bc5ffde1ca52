"""Each shipped query through the store beside the same SQL run bare."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.queries.bare import seconds_of
from benchmarks.queries.tables import row
from selfheal.artifacts import Telemetry
from selfheal.artifacts.envelope import read_artifact
from selfheal.store.catalogue import catalogue
from selfheal.store.local import LocalStore


def run(folder: Path, repetitions: int) -> None:
    """Print for each query the store's time, that of its statement alone, and the ratio."""
    telemetry = read_artifact(folder / "telemetry.json", "telemetry")
    assert isinstance(telemetry, Telemetry)
    dataset = telemetry.dataset.located(folder)
    row("query", "store s", "SQL s", "ratio", "rows")
    for name, query in catalogue().items():
        values = query.values({})
        through, bare, rows = [], [], 0
        for _ in range(repetitions):
            begun = time.perf_counter()
            store = LocalStore(dataset)
            rows = len(store.query(query.sql, values).rows)
            through.append(time.perf_counter() - begun)
            store.close()
            bare.append(seconds_of([(1, query.sql, values)], folder / "dataset"))
        ratio = min(through) / min(bare)
        row(name, f"{min(through):.3f}", f"{min(bare):.3f}", f"{ratio:.2f}", str(rows))
