"""``selfheal demo``: a real service gets sick and is healed, start to end."""

from __future__ import annotations

import contextlib
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from selfheal.cli.console import Console, Outcome, output_options

OUTCOMES: dict[int, Outcome] = {0: "succeeded", 2: "unusable", 3: "waiting", 130: "cancelled"}


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("selfheal-demo"),
        metavar="FOLDER",
        help="where the service, its history and the run are made (default: selfheal-demo)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="which operations get sick, and of what (default: 0)",
    )
    parser.add_argument(
        "--approve",
        choices=("auto", "ask"),
        default="ask" if sys.stdin.isatty() and sys.stderr.isatty() else "auto",
        help="who approves the fix: a person at the terminal, or the demo in a person's place",
    )

    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.demo import run_demo

    told = contextlib.redirect_stdout(sys.stderr) if console.as_json else contextlib.nullcontext()
    with told:
        code = run_demo(arguments.folder, seed=arguments.seed, approve=arguments.approve)
    if console.as_json:
        from selfheal.engine.api import status

        console.data(status(arguments.folder / "artifacts"), lambda: "")
    return OUTCOMES.get(code, "failed")
