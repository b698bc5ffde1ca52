"""``selfheal sequences validate|graph``: what is wrong with sequence files; their picture."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from selfheal.cli.console import Console, Outcome, output_options
from selfheal.cli.project import open_project, project_options
from selfheal.errors import SequenceError


@dataclass(frozen=True)
class FileProblem:
    """One thing that is wrong: the file, the JSON pointer in it, and what."""

    file: Path
    pointer: str
    message: str


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    validate = actions.add_parser("validate", help="list everything that is wrong in the files")
    validate.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="files and folders (default: the built-in sequences and the project's own)",
    )
    validate.add_argument(
        "--handlers",
        action="store_true",
        help="also report handlers that are not registered here",
    )
    graph = actions.add_parser("graph", help="draw which beat waits for which, as text")
    graph.add_argument("phase", metavar="PHASE", help="a phase, or the file of a sequence")
    graph.add_argument("--format", choices=("mermaid", "dot"), default="mermaid")
    for below in (validate, graph):
        project_options(below)
        output_options(below)


def run(arguments: Namespace, console: Console) -> Outcome:
    return (_validate if arguments.action == "validate" else _graph)(arguments, console)


def _validate(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.registry import Registry
    from selfheal.sequences import builtin_folder, sequence_files

    paths: list[Path] = arguments.paths
    knows = None
    if arguments.handlers or not paths:
        project = open_project(arguments)
        registry = Registry(project.beats)
        knows = registry.__contains__
        own = project.beats / "sequences"
        paths = paths or [builtin_folder(), *([own] if own.is_dir() else [])]
    files = list(dict.fromkeys(file for path in paths for file in sequence_files(path)))
    if not files:
        raise SequenceError("there is no sequence file.", where=", ".join(map(str, paths)))
    problems = [problem for file in files for problem in _problems(file, knows)]
    console.data(
        {"files": files, "problems": problems},
        lambda: "\n".join(
            [f"{found.file} {found.pointer or '/'}: {found.message}" for found in problems]
            or [f"{len(files)} files, no problems"]
        ),
    )
    return "unusable" if problems else "succeeded"


def _problems(file: Path, knows: Callable[[str], bool] | None) -> list[FileProblem]:
    """What is wrong with a file; that it cannot be read is a problem like the others."""
    from selfheal.sequences import validate_file

    try:
        found = validate_file(file, knows)
    except SequenceError as error:
        return [FileProblem(file, "", error.message)]
    return [FileProblem(file, problem.pointer, problem.message) for problem in found]


def _graph(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.registry import Registry
    from selfheal.sequences import graph, load_catalogue, load_sequence

    project = open_project(arguments)
    path = Path(arguments.phase)
    if path.suffix == ".json":
        sequence = load_sequence(path)
    else:
        sequence = load_catalogue(overlays=project.beats / "sequences")[arguments.phase].sequence
    text = graph(sequence, Registry(project.beats).get, arguments.format)
    console.data({"sequence": sequence.id, "format": arguments.format, "graph": text}, lambda: text)
    return "succeeded"
