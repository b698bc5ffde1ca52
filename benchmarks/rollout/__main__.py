"""python -m benchmarks.rollout [--rollouts N] [--out FILE] [--live]"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rollout.judges import JUDGES, roll_out
from benchmarks.rollout.traces import CASES, EFFECTS, RATE, SAME, STEP_SECONDS, STEPS, Trace


def simulate(rollouts: int, effects: int, only: list[str]) -> list[dict[str, Any]]:
    """One row per case, effect and judge: `rollouts` A/A over all cases, `effects` for each."""
    rows: list[dict[str, Any]] = []
    for case in CASES:
        for effect in EFFECTS:
            if only and effect.name not in only:
                continue
            count = -(-rollouts // len(CASES)) if effect is SAME else effects
            endings: dict[str, list[Any]] = {name: [] for name in JUDGES}
            began = time.monotonic()
            for number in range(count):
                trace = Trace(case, effect, number)
                for name, judge in JUDGES.items():
                    endings[name].append(roll_out(trace, judge))
            for name, found in endings.items():
                states = Counter(ending.state for ending in found)
                caught = [ending for ending in found if ending.state == "fail"]
                rows.append(
                    {
                        "case": case.name,
                        "effect": effect.name,
                        "judge": name,
                        "rollouts": count,
                        "rolled_back": states["fail"] / count,
                        "promoted": states["pass"] / count,
                        "paused": states["undecided"] / count,
                        "share_when_caught": float(np.mean([e.percent for e in caught]))
                        if caught
                        else None,
                        "exposed_requests": float(np.mean([e.exposed for e in found])),
                    }
                )
                print(line(rows[-1]), flush=True)
            print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    share = row["share_when_caught"]
    return (
        f"{row['case']:<20}{row['effect']:<20}{row['judge']:<14}{row['rollouts']:>6}"
        f"{row['rolled_back']:>9.1%}{row['promoted']:>9.1%}{row['paused']:>9.1%}"
        f"{'' if share is None else f'{share:.0f} %':>8}{row['exposed_requests']:>9.0f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollout")
    parser.add_argument("--rollouts", type=int, default=2000, help="simulated A/A rollouts")
    parser.add_argument("--effects", type=int, default=100, help="rollouts a case and effect")
    parser.add_argument(
        "--only", action="append", default=[], help="an effect, such as A/A, or a live scenario"
    )
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    parser.add_argument("--live", action="store_true", help="roll out on a fleet of processes")
    options = parser.parse_args()
    if options.live:
        from benchmarks.rollout.live import live

        rows = live(options.only)
    else:
        seconds = f"{STEP_SECONDS:.0f} s"
        print(
            f"{RATE:.0f} requests a second, steps {STEPS} % of {seconds}, each looked at ten times"
        )
        print(
            f"{'case':<20}{'effect':<20}{'judge':<14}{'n':>6}{'back':>9}{'promoted':>9}"
            f"{'paused':>9}{'at':>8}{'exposed':>9}"
        )
        rows = simulate(options.rollouts, options.effects, options.only)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
