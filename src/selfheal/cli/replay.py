"""``selfheal replay``: compute the pure beats of a run again and compare bytes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from selfheal.cli.console import Console, Outcome, output_options, table
from selfheal.cli.project import artifacts_folder, run_argument

if TYPE_CHECKING:
    from selfheal.engine.observer import ReplayReport


def configure(parser: ArgumentParser) -> None:
    run_argument(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.engine.api import replay_run

    report = replay_run(artifacts_folder(arguments), arguments.run)
    console.data(report, lambda: render(report))
    return "succeeded" if report.identical else "failed"


def render(report: ReplayReport) -> str:
    """What was replayed, and every beat that gave other bytes."""
    rows = [(beat.state, beat.phase, beat.beat, beat.reason) for beat in report.beats]
    replayed = [beat for beat in report.beats if beat.state != "not_replayed"]
    verdict = "identical to the byte" if report.identical else "NOT identical"
    return f"{table(rows)}\n\n{len(replayed)} beats replayed, {verdict}"
