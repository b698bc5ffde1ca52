"""``selfheal status``: what each beat of a run did, and what a resume would do again."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from selfheal.cli.console import Console, Outcome, output_options, table
from selfheal.cli.project import artifacts_folder, run_argument

if TYPE_CHECKING:
    from selfheal.engine.observer import BeatStatus, RunStatus


def configure(parser: ArgumentParser) -> None:
    run_argument(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.engine.api import status

    found = status(artifacts_folder(arguments), arguments.run)
    console.data(found, lambda: render(found))
    return "succeeded"


def render(found: RunStatus) -> str:
    """The run's state, its beats by phase, and what a resume would do again."""
    lines = [
        f"run {found.run_id}: {found.state}" + (f", {found.reason}" if found.reason else ""),
        f"started {found.started_at}, {found.folder}",
    ]
    if found.pid is not None:
        lines.append(f"process {found.pid} is working on it")
    if found.approval:
        lines.append("approval: " + ", ".join(f"{k} {v}" for k, v in found.approval.items() if v))
    beats = [row for phase in found.phases for row in _rows(phase.phase, phase.beats)]
    lines += ["", table(beats, header=("PHASE", "BEAT", "STATE", "SECONDS", ""))]
    stale = [
        (f"  {beat.phase} {beat.beat}", beat.stale)
        for phase in found.phases
        for beat in phase.beats
        if beat.stale
    ]
    if stale:
        lines += ["", "a resume would do again:", table(stale)]
    if found.staleness_unknown:
        lines += ["", f"what a resume would do again is unknown: {found.staleness_unknown}"]
    if found.hint:
        lines += ["", found.hint]
    return "\n".join(lines)


def _rows(phase: str, beats: list[BeatStatus]) -> Iterator[tuple[str, ...]]:
    for beat in beats:
        seconds = "" if beat.elapsed_seconds is None else f"{beat.elapsed_seconds:.2f}"
        told = beat.summary if beat.state == "succeeded" else beat.reason
        yield phase, beat.beat, beat.state, seconds, " ".join(told.split())
