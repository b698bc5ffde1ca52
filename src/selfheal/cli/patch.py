"""``selfheal patch``: the chosen patch, or a named candidate's, as a unified diff."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from selfheal.cli.console import Console, Outcome, output_options
from selfheal.cli.project import artifacts_folder, artifacts_option, run_name
from selfheal.cli.show import artifact_path
from selfheal.errors import NotFound

if TYPE_CHECKING:
    from selfheal.artifacts import Patch, Validation


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--run", type=run_name, metavar="ID", help="the run to look into (default: latest)"
    )
    parser.add_argument(
        "--candidate", metavar="C", help="a candidate's id or its beginning, chosen or not"
    )
    artifacts_option(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    artifacts = artifacts_folder(arguments)
    if arguments.candidate:
        id, text = _named(artifacts, arguments.run, arguments.candidate)
    else:
        id, text = _chosen(artifacts, arguments.run)
    console.data({"candidate_id": id, "patch": text}, lambda: text)
    return "succeeded"


def _chosen(artifacts: Path, run_id: str | None) -> tuple[str, str]:
    from selfheal.artifacts.envelope import read_artifact

    path = artifact_path(artifacts, run_id, "validation")
    validation = cast("Validation", read_artifact(path, "validation"))
    if validation.selected is None:
        raise NotFound(
            f"no patch was chosen: {validation.reason}",
            hint="See: selfheal show validation; one candidate: selfheal patch --candidate ID",
        )
    return validation.selected, dict(_patches(artifacts, run_id))[validation.selected]


def _named(artifacts: Path, run_id: str | None, wanted: str) -> tuple[str, str]:
    patches = dict(_patches(artifacts, run_id))
    matching = [id for id in patches if id.startswith(wanted)]
    if wanted in matching:
        matching = [wanted]
    if len(matching) != 1:
        what = "no candidate is" if not matching else f"{len(matching)} candidates are"
        raise NotFound(f"{what} called {wanted}.", hint="See: selfheal show patch")
    return matching[0], patches[matching[0]]


def _patches(artifacts: Path, run_id: str | None) -> list[tuple[str, str]]:
    """Every candidate of the run by id, and the composition where there is one."""
    from selfheal.artifacts.envelope import read_artifact

    path = artifact_path(artifacts, run_id, "patch")
    found = [(c.id, c.patch) for c in cast("Patch", read_artifact(path, "patch")).candidates]
    proven = path.with_name("validation.json")
    if proven.is_file():
        composition = cast("Validation", read_artifact(proven, "validation")).composition
        if composition:
            found.append((composition.id, composition.patch))
    return found
