"""``selfheal run``: run phases on a repository and its telemetry."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from selfheal.cli.console import Console, Outcome, output_options
from selfheal.cli.outcome import report
from selfheal.cli.project import PHASES, Project, git_top, open_project, project_options, run_name
from selfheal.errors import InvalidInput, RepositoryError

if TYPE_CHECKING:
    from selfheal.artifacts import Diagnoses, Validation
    from selfheal.engine.observer import RunResult

NEED_REPOSITORY = ("diagnose", "fix", "validate", "deploy")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--telemetry",
        nargs="+",
        metavar="PATH",
        help="files and folders of telemetry, gzip too; a folder of selfheal ingest; or "
        "clickhouse://user@host:8123/database, where the rows are asked and left",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--phase", choices=PHASES, metavar="PHASE", help="run one phase only")
    which.add_argument("--from", choices=PHASES, metavar="PHASE", dest="first", help="start here")
    parser.add_argument("--to", choices=PHASES, metavar="PHASE", dest="last", help="end here")
    parser.add_argument(
        "--run",
        type=run_name,
        metavar="ID",
        help="the new run's id; with --phase and --from, the run that inputs are taken from "
        "(default: the latest)",
    )
    parser.add_argument("--executor", metavar="E", help="processes (default), or dask://host:port")
    parser.add_argument(
        "--approve",
        choices=("review", "auto", "never"),
        metavar="POLICY",
        help="review (default) asks a person before the merge, auto does not, never ships nothing",
    )
    project_options(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    first, last = span(arguments)
    flags = {
        "telemetry.paths": arguments.telemetry,
        "run.executor": arguments.executor,
        "deploy.approval": arguments.approve,
        # Whoever types auto agrees to this run; it need not be earned.
        "deploy.level": 0 if arguments.approve == "auto" else None,
    }
    project = open_project(arguments, flags)
    if project.settings.store.url and not project.settings.telemetry.paths:
        project = open_project(
            arguments, {**flags, "telemetry.paths": [project.settings.store.url]}
        )
    repository = find_repository(arguments.repo, first, last)
    if first == "parse":
        check_telemetry(project)
    result = _start(arguments, project, repository, (first, last), console)
    outcome = report(result, console)
    unhealed = _unhealed(result.folder)
    if outcome == "succeeded" and PHASES.index(last) >= PHASES.index("validate") and unhealed:
        console.note(unhealed)
    return outcome


def _unhealed(folder: Path) -> str | None:
    """What a person can do where no fix was proven: the diagnosis stands by itself."""
    from selfheal.artifacts.envelope import read_artifact

    path, diagnosis = folder / "validation.json", folder / "diagnosis.json"
    if not path.is_file() or not diagnosis.is_file():
        return None
    validation = cast("Validation", read_artifact(path, "validation"))
    if validation.selected is not None:
        return None
    found = cast("Diagnoses", read_artifact(diagnosis, "diagnosis"))
    if not found.diagnoses:
        return None
    return (
        f"no fix was proven: {validation.reason}\n"
        f"the diagnosis is for people: {found.summary}\n"
        "read it with: selfheal show diagnosis; what was tried: selfheal show validation"
    )


def _start(
    arguments: Namespace,
    project: Project,
    repository: Path | None,
    phases: tuple[str, str],
    console: Console,
) -> RunResult:
    from selfheal.cli.logs import configure_logging
    from selfheal.cli.progress import observer_for
    from selfheal.engine.api import start_run

    configure_logging(console.log_format, quiet=console.quiet)
    fresh = phases[0] == PHASES[0]
    with observer_for(console) as observer:
        return start_run(
            project.settings,
            repository=repository,
            artifacts=project.artifacts,
            phases=phases,
            run_id=arguments.run if fresh else None,
            source_run=None if fresh else arguments.run,
            project=project.folder,
            observer=observer,
        )


def span(arguments: Namespace) -> tuple[str, str]:
    """The first and the last phase that the flags name. Raises InvalidInput."""
    if arguments.phase:
        if arguments.last:
            raise InvalidInput(
                "--phase runs one phase, so --to has no meaning beside it.",
                hint=f"Use --from {arguments.phase} --to {arguments.last}.",
            )
        return arguments.phase, arguments.phase
    first, last = arguments.first or PHASES[0], arguments.last or PHASES[-1]
    if PHASES.index(first) > PHASES.index(last):
        raise InvalidInput(
            f"--from {first} comes after --to {last}.", hint=f"The order is {', '.join(PHASES)}."
        )
    return first, last


def find_repository(named: Path | None, first: str, last: str) -> Path | None:
    """The repository under repair, checked; None where none is needed and none is here.

    Raises RepositoryError for a named folder that is no repository, and where phases are
    asked for that need one.
    """
    from selfheal.codebase.history import History

    if named is not None:
        return History(named).path.absolute()
    here = git_top(Path.cwd())
    if here is not None:
        return History(here).path
    asked = PHASES[PHASES.index(first) : PHASES.index(last) + 1]
    needing = [phase for phase in asked if phase in NEED_REPOSITORY]
    if needing:
        earlier = "" if first in NEED_REPOSITORY else ", or end before it with --to detect"
        raise RepositoryError(
            f"this is no git repository, and the phase {needing[0]} needs the service's.",
            where=str(Path.cwd()),
            hint=f"Name it with --repo FOLDER{earlier}.",
        )
    return None


def check_telemetry(project: Project) -> None:
    """Raises TelemetryError where a path is missing or a named file is no telemetry.

    Databases and folders that grow are asked when they are read.
    """
    from selfheal.store.pinning import is_address
    from selfheal.store.places import is_growing
    from selfheal.telemetry.extract import find

    settings = project.settings.telemetry
    files = [path for path in settings.paths if not (is_address(path) or is_growing(path))]
    if files or not settings.paths:
        find([Path(path) for path in files], format=settings.format)
