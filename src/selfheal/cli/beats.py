"""``selfheal beats`` lists the beats; ``selfheal beats new NAME`` writes one into the project."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from selfheal.cli.console import Console, Outcome, output_options, table
from selfheal.cli.project import Project, open_project, project_options
from selfheal.errors import ConfigurationError, InvalidInput


@dataclass(frozen=True)
class BeatRow:
    """One beat for people: `origin` is the package or the file that its handler comes from."""

    phase: str
    beat: str
    kind: str
    title: str
    event: str
    writes: str | None
    origin: str


def configure(parser: ArgumentParser) -> None:
    project_options(parser)
    output_options(parser)
    parser.add_argument("--phase", dest="only", metavar="PHASE", help="only the beats of one phase")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    new = actions.add_parser("new", help="write a handler, its sequence entry and its test")
    new.add_argument("name", metavar="NAME", help="in snake_case, such as check_licence")
    new.add_argument("--phase", required=True, metavar="PHASE", help="the phase that it joins")
    new.add_argument(
        "--contributes",
        action="store_true",
        help="make it a detector: its anomalies are judged and healed like the built-in ones",
    )
    new.add_argument("--force", action="store_true", help="replace files that are there")
    project_options(new)
    output_options(new)


def run(arguments: Namespace, console: Console) -> Outcome:
    project = open_project(arguments)
    if arguments.action == "new":
        return _new(arguments, project, console)
    rows = list(beat_rows(project, arguments.only))
    header = ("PHASE", "BEAT", "KIND", "WRITES", "FROM")
    console.data(
        rows,
        lambda: table(
            [(row.phase, row.beat, row.kind, row.writes or "", row.origin) for row in rows],
            header=header,
        ),
    )
    return "succeeded"


def beat_rows(project: Project, phase: str | None = None) -> Iterator[BeatRow]:
    """Every beat of the catalogue in the order of the sequences."""
    from selfheal.registry import Registry
    from selfheal.sequences import load_catalogue

    registry = Registry(project.beats)
    catalogue = load_catalogue(overlays=project.beats / "sequences")
    entries = catalogue.span(phase, phase) if phase else catalogue.entries
    for entry in entries:
        for beat in entry.sequence.all_beats:
            known = beat.handler in registry
            handler = registry.get(beat.handler) if known else None
            yield BeatRow(
                entry.phase,
                beat.id,
                handler.kind if handler else beat.kind or "",
                beat.title,
                beat.event,
                handler.writes if handler else None,
                registry.origin(beat.handler) if known else f"no handler {beat.handler}",
            )


def _new(arguments: Namespace, project: Project, console: Console) -> Outcome:
    from selfheal.cli.scaffold import files
    from selfheal.registry import Registry
    from selfheal.sequences import load_catalogue

    sequence = load_catalogue()[arguments.phase].file.removesuffix(".json")
    written = {
        project.beats / path: text
        for path, text in files(
            arguments.name, arguments.phase, sequence, contributes=arguments.contributes
        ).items()
    }
    present = [path for path in written if path.exists()]
    if present and not arguments.force:
        raise ConfigurationError(
            "there is such a beat already.",
            where=str(present[0]),
            hint="Take another name, or replace it with --force.",
        )
    registry = Registry(project.beats)
    if not present and arguments.name in registry:
        raise InvalidInput(
            f"{arguments.name} is the name of a beat from {registry.origin(arguments.name)}.",
            hint="Take another name.",
        )
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    console.data(
        {"beat": arguments.name, "phase": arguments.phase, "files": list(written)},
        lambda: "\n".join(_shown(path) for path in written),
    )
    test = next(path for path in written if path.parent.name == "tests")
    console.note("\nEdit the handler, then:")
    console.note(f"  python -m pytest {_shown(test)}")
    console.note(f"  selfheal run --phase {arguments.phase}")
    return "succeeded"


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
