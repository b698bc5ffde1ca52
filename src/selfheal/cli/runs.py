"""``selfheal runs``: the runs, newest first."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from selfheal.cli.console import Console, Outcome, output_options, table
from selfheal.cli.project import artifacts_folder, artifacts_option


def configure(parser: ArgumentParser) -> None:
    artifacts_option(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.engine.api import list_runs

    found = list_runs(artifacts_folder(arguments))
    console.data(
        found,
        lambda: (
            table(
                [
                    (run.run_id, run.state, run.started_at, _span(run.phases), run.reason)
                    for run in found
                ],
                header=("RUN", "STATE", "STARTED", "PHASES", ""),
            )
            if found
            else "no runs yet; make one with: selfheal run"
        ),
    )
    return "succeeded"


def _span(phases: list[str]) -> str:
    return phases[0] if len(phases) == 1 else f"{phases[0]}–{phases[-1]}"
