"""``python -m benchmarks.healing [--libraries NAME…] [--faults N] [--seconds S] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.healing.campaign import (
    Settings,
    by_name,
    draw_cases,
    run_all,
    run_others,
    run_shops,
    worlds_of,
)
from benchmarks.healing.libraries import LIBRARIES
from benchmarks.healing.loop import Outcome
from benchmarks.healing.other_kinds import other_cases
from benchmarks.healing.report import print_report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.healing", description=__doc__)
    parser.add_argument("--libraries", nargs="+", help="names (default: all)")
    parser.add_argument("--faults", type=int, default=50, help="planted faults (default 50)")
    parser.add_argument("--seed", type=int, default=1, help="the draw (default 1)")
    parser.add_argument("--seconds", type=float, default=600, help="for one run (default 600)")
    parser.add_argument("--json", type=Path, help="every outcome, as a file")
    parser.add_argument("--keep", type=Path, help="a folder for repositories and artifacts")
    parser.add_argument("--classes", nargs="+", default=[], help="only these classes of faults")
    parser.add_argument("--shop", nargs="*", help="the example shop's faults as well, or these")
    parser.add_argument(
        "--others", type=int, default=0, metavar="N",
        help="N cases of each class of coverage, documentation and dependencies as well",
    )  # fmt: skip
    parser.add_argument("--baselines", action="store_true", help="beside simple means")
    parser.add_argument("--history", choices=("none", "telling", "both"), default="both")
    cache = Path.home() / ".cache" / "selfheal" / "benchmarks"
    parser.add_argument("--cache", type=Path, default=cache, help=f"downloads (default {cache})")
    given = parser.parse_args()
    histories = {"none": (False,), "telling": (True,), "both": (False, True)}[given.history]
    settings = Settings(
        faults=given.faults,
        seed=given.seed,
        seconds=given.seconds,
        cache=given.cache,
        histories=histories,
        only=frozenset(given.classes),
        baselines=given.baselines,
    )
    known = {each.name: each for each in LIBRARIES}
    libraries = by_name(given.libraries or list(known), known)
    outcomes: list[Outcome] = []

    def told(outcome: Outcome) -> None:
        outcomes.append(outcome)
        print(
            f"{outcome.result:10}{outcome.seconds:6.0f} s {outcome.tried:5d} tried  "
            f"{outcome.library} {outcome.file}:{outcome.line} {outcome.fault} "
            f"[{outcome.strategy}] {outcome.reason[:300]}",
            file=sys.stderr,
            flush=True,
        )
        if given.json:
            given.json.write_text(json.dumps([each.as_json() for each in outcomes], indent=1))

    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    if given.shop is not None:
        run_shops(given.shop, settings, given.keep, told)
    worlds = list(worlds_of(libraries, settings)) if settings.faults or given.others else []
    if given.others:
        run_others(
            other_cases(worlds, settings.seed, given.others, settings.only),
            settings,
            given.keep,
            told,
        )
    if worlds:
        run_all(draw_cases(worlds, settings), settings, given.keep, told)
    if not outcomes:
        raise SystemExit("No fault was planted: no library could be had, or no suite noticed one.")
    print_report(outcomes)


if __name__ == "__main__":
    main()
