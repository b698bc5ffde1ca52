"""``python -m benchmarks.engine [--rounds N] [--beats N …]``: the cost of a beat, side by side.

Every candidate runs in fresh processes, in turns, so that the noise of the machine
falls on all alike; medians over the rounds are printed. A beat reads the result of the
one before it and writes its own, so nothing can run side by side: the worst case.

"ms a beat" is the cost from the first finished beat on. What happens once before
(workers and wiring for selfheal, a database for DBOS; Luigi's cannot be told apart from
its work) stands under "start"; "all, ms a beat" counts everything. Luigi and DBOS come
with ``pip install --group bench``; one that is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

from benchmarks.engine.candidates import CANDIDATES, Timing

GOAL_MS = 1.0
RIVALS = {"Luigi": "luigi", "DBOS (SQLite)": "dbos"}


def installed(name: str) -> bool:
    """Whether what a candidate needs is there."""
    return name not in RIVALS or importlib.util.find_spec(RIVALS[name]) is not None


def measure(name: str, count: int) -> Timing:
    """One run of one candidate in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="selfheal-benchmark-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.engine.candidates", name, str(count), folder],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    timing: Timing = json.loads(done.stdout.splitlines()[-1])
    return timing


def table(count: int, rounds: int) -> None:
    found: dict[str, list[Timing]] = {name: [] for name in CANDIDATES if installed(name)}
    for _ in range(rounds):
        for name, timings in found.items():
            timings.append(measure(name, count))
    work = {n: statistics.median(t["work"] for t in ts) for n, ts in found.items()}
    start = {n: statistics.median(t["start"] for t in ts) for n, ts in found.items()}
    print(f"\n{count} beats, median of {rounds} rounds")
    print(
        f"{'':16}{'ms a beat':>11}{'min':>9}{'max':>9}{'start, ms':>11}{'all, ms a beat':>16}{'÷ selfheal':>12}"
    )
    for name, timings in found.items():
        each = [1000 * timing["work"] / count for timing in timings]
        ratio = work[name] / work["selfheal"]
        print(
            f"{name:16}{1000 * work[name] / count:11.3f}{min(each):9.3f}{max(each):9.3f}"
            f"{1000 * start[name]:11.0f}{1000 * (start[name] + work[name]) / count:16.3f}{ratio:12.2f}"
        )
    mine = 1000 * work["selfheal"] / count
    absent = [name for name in RIVALS if name not in found]
    faster = [name for name in RIVALS if name in found and work[name] <= work["selfheal"]]
    verdict = "met" if mine < GOAL_MS and not faster else "missed"
    if absent and verdict == "met":
        verdict = f"open, for {' and '.join(absent)} is not installed"
    print(f"goal: under {GOAL_MS:g} ms a beat, below Luigi and DBOS: {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--beats", type=int, nargs="+", default=[67, 1000])
    chosen = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}")
    for count in chosen.beats:
        table(count, chosen.rounds)


if __name__ == "__main__":
    main()
