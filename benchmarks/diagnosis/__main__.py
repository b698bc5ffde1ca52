"""``python -m benchmarks.diagnosis [PART …] [--scale 1]``: prints scores and which goals are met."""

from __future__ import annotations

import argparse
import time

from benchmarks.diagnosis import no_culprit, planted

PARTS = {
    "no-culprit": no_culprit.run,
    "planted": planted.run,
    "failing-tests": planted.by_tests,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer runs of each case")
    chosen = parser.parse_args()
    goals = []
    for name in chosen.parts or PARTS:
        begun = time.perf_counter()
        goals += PARTS[name](chosen.scale)
        print(f"\n{name}: {time.perf_counter() - begun:.0f} s")
    print("\nGoals")
    for goal in goals:
        print(f"  {goal}")
    return 0 if all(goal.met for goal in goals) else 1


if __name__ == "__main__":
    raise SystemExit(main())
