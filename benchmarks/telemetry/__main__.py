"""``python -m benchmarks.telemetry [--spans N] [--lines N] [--rounds N] [--plot] [--most N] [--svg FILE]``.

What it costs to read telemetry into a store, beside other tools, on the same files in the
same run. Every candidate runs in fresh processes, in turns; the least time over the
rounds is printed, start of the process included, and the largest memory (the sum of
the proportional set sizes of all its processes). What a candidate finds is checked:
rows, and the sum of all durations. Tools that are not installed are left out and named:
``pip install --group bench``, ``make clickhouse``, ``apt-get install lnav``.

``--plot`` measures selfheal from 100,000 spans up to ``--most`` and draws the cost, as text
and, with ``--svg FILE``, into a file.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.telemetry import data
from benchmarks.telemetry.candidates import CANDIDATES, CLICKHOUSE
from benchmarks.telemetry.chart import Point, svg

MEMORY_GOAL = 1e9
WRITERS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "flat-json": ("flat.jsonl", data.write_flat_json),
    "otlp-json": ("traces.jsonl", data.write_otlp_json),
    "otlp-protobuf": ("traces.pb", data.write_otlp_protobuf),
}
FILES = 87


class Measured(NamedTuple):
    seconds: float
    cpu: float
    memory: int


def available(name: str) -> bool:
    """Whether what a candidate needs is there."""
    match name:
        case "chDB":
            return any(CLICKHOUSE.glob("*/libchdb.so"))
        case "lnav":
            return shutil.which("lnav") is not None
        case "Polars" | "Drain3":
            return importlib.util.find_spec(name.lower()) is not None
    return True


class _Memory(threading.Thread):
    """Watches the memory of a process and all below it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.most, self.over = pid, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.03):
            self.most = max(self.most, sum(map(_proportional, _with_children(self.pid))))


def _with_children(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _with_children(int(child))
    return found


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


def measure(kind: str, name: str, source: Path, expected: data.Sums) -> Measured:
    """One run of one candidate. Raises AssertionError where it found something else."""
    with tempfile.TemporaryDirectory(prefix="selfheal-benchmark-") as out:
        before, begun = os.times(), time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.telemetry.candidates", kind, name, str(source), out],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        memory = _Memory(process.pid)
        memory.start()
        answer, complaint = process.communicate()
        seconds, after = time.perf_counter() - begun, os.times()
        memory.over.set()
    if process.returncode:
        raise AssertionError(f"{name} failed on {kind}: {complaint.strip()[-400:]}")
    found = json.loads(answer)
    if name != "lnav" and (found["rows"], found["nanoseconds"]) != expected:
        raise AssertionError(f"{name} found {found} on {kind}, not {expected}")
    cpu = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return Measured(seconds, cpu, memory.most)


def compared(kind: str, source: Path, expected: data.Sums, rounds: int) -> dict[str, Measured]:
    """The best of some rounds of every candidate that is there, in turns; prints a table."""
    names = [name for name in CANDIDATES[kind] if available(name)]
    runs: dict[str, list[Measured]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            runs[name].append(measure(kind, name, source, expected))
    best = {
        name: Measured(*(min(values) for values in list(zip(*found, strict=True))[:2]),
                       max(one.memory for one in found))
        for name, found in runs.items()
    }  # fmt: skip
    size = sum(file.stat().st_size for file in ([source] if source.is_file() else source.iterdir()))
    print(f"\n{kind}: {expected.rows:,} rows, {size / 1e6:,.0f} MB")
    print(f"  {'':10} {'seconds':>8} {'CPU':>8} {'memory':>9}   selfheal takes")
    for name, one in best.items():
        ratio = "" if name == "selfheal" else f"{best['selfheal'].seconds / one.seconds:8.2f} ×"
        print(f"  {name:10} {one.seconds:8.2f} {one.cpu:8.2f} {one.memory / 1e6:6,.0f} MB {ratio}")
    for name in set(CANDIDATES[kind]) - set(names):
        print(f"  {name:10} is not installed")
    return best


def goals(found: dict[str, dict[str, Measured]]) -> list[tuple[str, bool | None]]:
    """Each goal, and whether it was met; None where the other tool is not there."""

    def ratio(kind: str, rival: str, limit: float) -> bool | None:
        best = found[kind]
        if rival not in best:
            return None
        return best["selfheal"].seconds <= limit * best[rival].seconds

    most = max(best["selfheal"].memory for best in found.values())
    faster = found["otlp-protobuf"]["selfheal"].seconds < found["otlp-json"]["selfheal"].seconds
    return [
        ("logs: at most 2.5 × lnav's count", ratio("logs", "lnav", 2.5)),
        ("flat JSON: at most 1.2 × DuckDB", ratio("flat-json", "DuckDB", 1.2)),
        ("OTLP JSON: no slower than chDB", ratio("otlp-json", "chDB", 1.0)),
        ("OTLP protobuf: faster than OTLP JSON", faster),
        (f"memory under 1 GB: {most / 1e6:,.0f} MB", most < MEMORY_GOAL),
    ]


def plot(folder: Path, most: int, drawing: Path | None) -> None:
    """The cost of OTLP JSON, from 100,000 spans on."""
    print("\nOTLP JSON, microseconds a span")
    count = 100_000
    points: list[Point] = []
    while count <= most:
        source = folder / "traces.jsonl"
        data.write_otlp_json(source, count)
        one = measure("otlp-json", "selfheal", source, data.sums(count))
        points.append(Point(count, one.seconds, one.memory))
        cost = one.seconds / count * 1e6
        bar = "█" * round(4 * cost)
        print(f"  {count:>11,} {cost:6.2f} {one.memory / 1e6:6,.0f} MB {bar}", flush=True)
        source.unlink()
        count = count * 3 if str(count).startswith("1") else count * 10 // 3
    if drawing is not None and points:
        drawing.write_text(svg("Reading spans of OTLP JSON: seconds over spans", points))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry")
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--lines", type=int, default=120_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", action="store_true")
    parser.add_argument("--most", type=int, default=10_000_000, help="the largest of --plot")
    parser.add_argument("--svg", type=Path, help="where --plot draws to")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="selfheal-benchmark-") as name:
        folder = Path(name)
        if chosen.plot:
            plot(folder, chosen.most, chosen.svg)
            return 0
        found = {}
        expected = data.sums(chosen.spans)
        for kind, (file, write) in WRITERS.items():
            write(folder / file, chosen.spans)
            found[kind] = compared(kind, folder / file, expected, chosen.rounds)
            (folder / file).unlink()
        data.write_logs(folder / "logs", chosen.lines, FILES)
        lines = data.Sums(chosen.lines, 0)
        found["logs"] = compared("logs", folder / "logs", lines, chosen.rounds)
    print("\nGoals")
    answers = {True: "met", False: "NOT met", None: "not measured"}
    for goal, met in goals(found):
        print(f"  {answers[met]:13} {goal}")
    return 0 if all(met is not False for _, met in goals(found)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
