"""``selfheal show``: an artifact, or one thing of it by its id."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selfheal.cli.console import Console, Outcome, output_options
from selfheal.cli.project import PHASES, artifacts_folder, artifacts_option, run_name
from selfheal.contract import ARTIFACT_NAMES
from selfheal.errors import NotFound

LISTS = {
    "anomalies": ("anomalies", "id"),
    "diagnosis": ("diagnoses", "id"),
    "patch": ("candidates", "id"),
    "validation": ("results", "candidate_id"),
    "patterns": ("patterns", "id"),
}


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="ARTIFACT|ID",
        help=f"one of {', '.join(ARTIFACT_NAMES)}; or the id of an anomaly, a diagnosis, a "
        "candidate, a pattern or a run (its beginning is enough)",
    )
    parser.add_argument(
        "--run", type=run_name, metavar="ID", help="the run to look into (default: latest)"
    )
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of the artifact instead"
    )
    artifacts_option(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    if arguments.schema:
        return _schema(arguments.what, console)
    artifacts = artifacts_folder(arguments)
    if arguments.what in ARTIFACT_NAMES:
        return _artifact(artifacts, arguments.run, arguments.what, console)
    return _thing(artifacts, arguments.run, arguments.what, console)


def artifact_path(artifacts: Path, run_id: str | None, name: str) -> Path:
    """The file of an artifact of a run. Raises NotFound naming the command that makes it."""
    from selfheal.engine.folder import find_run

    folder = find_run(artifacts, run_id)
    path = folder.artifact(name)
    if not path.is_file():
        phase = PHASES[ARTIFACT_NAMES.index(name)]
        raise NotFound(
            f"the run {folder.run_id} has no {name}.json.",
            hint=f"Make it with: selfheal run --phase {phase}",
        )
    return path


def _schema(name: str, console: Console) -> Outcome:
    from selfheal.artifacts.envelope import artifact_schema

    schema = artifact_schema(name)
    console.data(schema, lambda: json.dumps(schema, indent=2))
    return "succeeded"


def _artifact(artifacts: Path, run_id: str | None, name: str, console: Console) -> Outcome:
    from selfheal.artifacts.envelope import read_artifact, read_envelope
    from selfheal.cli.render import render

    path = artifact_path(artifacts, run_id, name)
    console.data(read_envelope(path), lambda: render(name, read_artifact(path, name)))
    return "succeeded"


def _thing(artifacts: Path, run_id: str | None, wanted: str, console: Console) -> Outcome:
    from selfheal.cli.render import detail
    from selfheal.engine.folder import find_run, run_ids

    things: dict[str, Any] = {}
    if run_ids(artifacts):
        things = dict(_things(find_run(artifacts, run_id).path))
    matching = {id: value for id, value in things.items() if id == wanted or id.startswith(wanted)}
    if wanted in matching:
        matching = {wanted: matching[wanted]}
    if len(matching) == 1:
        value = next(iter(matching.values()))
        console.data(value, lambda: detail(value))
        return "succeeded"
    if matching:
        raise NotFound(
            f"{len(matching)} ids begin with {wanted}: {', '.join(sorted(matching)[:5])}.",
            hint="Give more of it.",
        )
    if any(run.startswith(wanted) for run in run_ids(artifacts)):
        return _run(artifacts, wanted, console)
    raise NotFound(
        f"nothing is called {wanted}.",
        hint=f"Artifacts are {', '.join(ARTIFACT_NAMES)}; for runs see: selfheal runs",
    )


def _run(artifacts: Path, run_id: str, console: Console) -> Outcome:
    from selfheal.cli.status import render
    from selfheal.engine.api import status

    found = status(artifacts, run_id)
    console.data(found, lambda: render(found))
    return "succeeded"


def _things(folder: Path) -> Iterator[tuple[str, Any]]:
    """Everything in a run that has an id. A candidate comes with what was proven of it."""
    from selfheal.artifacts.envelope import read_envelope

    payloads = {
        name: read_envelope(folder / f"{name}.json").payload
        for name in LISTS
        if (folder / f"{name}.json").is_file()
    }
    proven = {r["candidate_id"]: r for r in payloads.get("validation", {}).get("results", ())}
    for name, payload in payloads.items():
        field, key = LISTS[name]
        for thing in payload[field]:
            if name == "patch":
                yield thing[key], thing | {"validation": proven.get(thing[key])}
            elif name != "validation" or "patch" not in payloads:
                yield thing[key], thing
    composition = payloads.get("validation", {}).get("composition")
    if composition:
        yield composition["id"], composition
