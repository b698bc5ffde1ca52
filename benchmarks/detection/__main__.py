"""``python -m benchmarks.detection [PART …] [--scale 1]``: prints scores and which goals are met."""

from __future__ import annotations

import argparse
import time

from benchmarks.detection import change_points, orders, releases, roots, streams

PARTS = {
    "change-points": lambda scale: change_points.run(round(200 * scale)),
    "releases": lambda scale: releases.run(round(200 * scale)),
    "orders": lambda scale: orders.run(round(50 * scale)),
    "roots": lambda scale: roots.run(round(8 * scale)),
    "streams": lambda scale: streams.run(round(10 * scale)),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer runs of each case")
    chosen = parser.parse_args()
    goals = []
    for name in chosen.parts or PARTS:
        begun = time.process_time()
        goals += PARTS[name](chosen.scale)
        print(f"\n{name}: {time.process_time() - begun:.0f} s of CPU time")
    print("\nGoals")
    for goal in goals:
        print(f"  {goal}")
    return 0 if all(goal.met for goal in goals) else 1


if __name__ == "__main__":
    raise SystemExit(main())
