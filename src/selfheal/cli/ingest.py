"""``selfheal ingest``: add what is new of some files to a store."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from selfheal.cli.console import Console, Outcome, output_options, table
from selfheal.cli.project import open_project, project_options
from selfheal.errors import InvalidInput

if TYPE_CHECKING:
    from selfheal.store.growing import Addition


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        type=Path,
        help="files and folders of telemetry (default: telemetry.paths of the configuration)",
    )
    parser.add_argument(
        "--store",
        metavar="FOLDER",
        help="the folder that is added to, made if need be (default: store.url)",
    )
    parser.add_argument("--format", metavar="FORMAT", help="read every file as this format")
    project_options(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.store.growing import add

    flags = {"store.url": arguments.store, "telemetry.format": arguments.format}
    settings = open_project(arguments, flags).settings
    folder = settings.store.url
    if folder is None or "://" in folder:
        raise InvalidInput(
            "telemetry is added to a folder.", hint="Name it with --store FOLDER, or in store.url."
        )
    paths = arguments.paths or [Path(path) for path in settings.telemetry.paths]
    added = add(
        paths,
        Path(folder),
        format=settings.telemetry.format,
        refused_listed=settings.telemetry.refused_listed,
    )
    console.data(added, lambda: _text(added))
    for line in added.refused:
        console.note(f"refused: {line.file}:{line.line}: {line.reason}")
    if added.refused_total > len(added.refused):
        console.note(f"refused: {added.refused_total - len(added.refused)} more")
    return "succeeded"


def _text(added: Addition) -> str:
    rows = [
        (
            file.path,
            file.state,
            str(file.lines_read),
            str(file.events_kept),
            str(file.lines_refused),
        )
        for file in added.files
        if file.state != "unchanged"
    ]
    unchanged = len(added.files) - len(rows)
    held = ", ".join(f"{count} {name}" for name, count in added.rows.items())
    lines = [table(rows, header=("FILE", "STATE", "LINES", "EVENTS", "REFUSED"))] if rows else []
    if unchanged:
        lines.append(f"{unchanged} files brought nothing new")
    return "\n".join([*lines, f"the store holds {held}"])
