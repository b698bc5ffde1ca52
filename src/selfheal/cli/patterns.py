"""``selfheal patterns``: what the library knows; recall, retire and share it."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfheal.cli.console import Console, Outcome, output_options, table
from selfheal.cli.project import Project, git_top, open_project, project_options

if TYPE_CHECKING:
    from selfheal.artifacts import Pattern
    from selfheal.delivery.workshop import Workshop
    from selfheal.learning.recall import Recall


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _action(actions, "list", "every pattern with its record")
    _action(actions, "show", "one pattern: templates, provenance, record", pattern=True)
    recall = _action(
        actions, "recall", "every change built from it, and the reverts prepared", pattern=True
    )
    recall.add_argument(
        "--open", action="store_true", help="push the reverts and open a pull request"
    )
    _decision(recall, required=False)
    for name, told in (
        ("retire", "let it propose nothing any more"),
        ("reinstate", "take it back into service"),
    ):
        _decision(_action(actions, name, told, pattern=True), required=True)
    key = _action(actions, "key", "print the public key that exports are signed with; make it once")
    export = _action(actions, "export", "write the library's own patterns, signed")
    export.add_argument("file", type=Path, metavar="FILE")
    export.add_argument("--only", nargs="+", default=[], metavar="ID", help="only these patterns")
    export.add_argument(
        "--name", metavar="NAME", help="the repository's name (default: its folder)"
    )
    for each in (key, export):
        each.add_argument(
            "--key", type=Path, metavar="FILE", help="the key (default: ~/.config/selfheal)"
        )
    _action(actions, "import", "take over patterns of another repository, if their key is trusted")
    actions.choices["import"].add_argument("file", type=Path, metavar="FILE")


def _action(actions: Any, name: str, told: str, *, pattern: bool = False) -> ArgumentParser:
    parser: ArgumentParser = actions.add_parser(name, help=told, description=told)
    if pattern:
        parser.add_argument("pattern", metavar="ID", help="the id (its beginning is enough)")
    project_options(parser)
    output_options(parser)
    return parser


def _decision(parser: ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--by", required=required, metavar="NAME", help="who decides")
    parser.add_argument("--because", required=required, default="", metavar="TEXT", help="why")


def run(arguments: Namespace, console: Console) -> Outcome:
    project = open_project(arguments)
    actions = {
        "list": _list,
        "show": _show,
        "recall": _recall,
        "retire": _decide,
        "reinstate": _decide,
        "key": _key,
        "export": _export,
        "import": _import,
    }
    return actions[arguments.action](arguments, console, project)


def _list(_arguments: Namespace, console: Console, project: Project) -> Outcome:
    from selfheal.learning.library import read_library

    library = read_library(project.artifacts)
    console.data(library.patterns, lambda: _table(library.patterns))
    if not library.patterns:
        console.note(f"no pattern is known yet in {project.artifacts}")
    return "succeeded"


def _table(patterns: list[Pattern]) -> str:
    if not patterns:
        return ""
    rows = [
        [
            each.id,
            f"{each.confidence_interval[0]:.0%}-{each.confidence_interval[1]:.0%}",
            str(each.outcomes.tried),
            str(each.outcomes.merged),
            str(each.outcomes.rolled_back),
            "retired" if each.retired else each.origin or ("history" if each.mined else "own"),
            each.name,
        ]
        for each in patterns
    ]
    return table(rows, header=("id", "success", "tried", "merged", "back", "from", "name"))


def _show(arguments: Namespace, console: Console, project: Project) -> Outcome:
    from selfheal.learning.library import read_library
    from selfheal.learning.recall import pattern_named

    pattern = pattern_named(read_library(project.artifacts), arguments.pattern)
    console.data(pattern, lambda: _text(pattern))
    return "succeeded"


def _text(pattern: Pattern) -> str:
    low, high = pattern.confidence_interval
    counts = pattern.outcomes
    lines = [
        f"{pattern.id}  {pattern.name}",
        f"success {pattern.confidence:.0%} (95 % interval {low:.0%} to {high:.0%}): "
        f"tried {counts.tried}, validated {counts.validated}, merged {counts.merged}, "
        f"taken back {counts.rolled_back}",
    ]
    if pattern.retired:
        lines.append(f"retired by {pattern.retired.by}: {pattern.retired.reason}")
    if pattern.mined:
        measured = pattern.mined.matched is not None
        told = f"{pattern.mined.right} of {pattern.mined.matched} places right later"
        lines.append(
            f"from {len(pattern.mined.commits)} commits of the history; "
            f"{told if measured else 'precision not measured'}"
        )
    for template in pattern.templates:
        lines += ["", f"template of {template.support} changes, holes {template.holes}:"]
        lines += [f"- {line}" for line in template.before.splitlines()]
        lines += [f"+ {line}" for line in template.after.splitlines()]
    rows = [
        [each.run_id, each.candidate_id, each.outcome, (each.commit or "-")[:12], each.operation]
        for each in pattern.provenance
    ]
    if rows:
        header = ("run", "candidate", "outcome", "commit", "operation")
        lines += ["", table(rows, header=header)]
    return "\n".join(lines)


def _recall(arguments: Namespace, console: Console, project: Project) -> Outcome:
    from selfheal.delivery.audit import record
    from selfheal.delivery.forge import forge_for
    from selfheal.errors import InvalidInput
    from selfheal.learning.library import read_library
    from selfheal.learning.recall import pattern_named, propose_recall, recalled

    if arguments.open and not arguments.by:
        raise InvalidInput(
            "who opens the pull request is not told.", where="--open", hint="Add --by NAME."
        )
    pattern = pattern_named(read_library(project.artifacts), arguments.pattern)
    repository = arguments.repo or git_top(Path.cwd()) or Path.cwd()
    config = project.settings.deploy
    folder = project.artifacts / "recalls" / pattern.id
    workshop, tip = _workshop(repository, folder, project)
    found = recalled(pattern, workshop, tip)
    told: dict[str, Any] = found.model_dump(mode="json")
    if found.reverts:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recall.patch").write_text(found.patch, "utf-8", "surrogateescape")
        console.note(f"the reverts as one diff: git apply {folder / 'recall.patch'}")
    if arguments.open and found.reverts:
        forge = forge_for(repository, config)
        pull = propose_recall(found, forge, workshop, base=config.base, prefix=config.branch_prefix)
        told["pull_request"] = pull.model_dump(mode="json")
        record(
            project.artifacts,
            "recall: pull request",
            by=arguments.by,
            subject=pattern.id,
            details={"because": arguments.because, "pull_request": pull.number},
        )
        console.note(f"pull request {pull.number}: {pull.url}")
    elif found.reverts:
        console.note("open a pull request with them: add --open --by NAME")
    console.data(told, lambda: _recall_text(found))
    return "succeeded"


def _workshop(repository: Path, folder: Path, project: Project) -> tuple[Workshop, str]:
    """A scratch repository, and the head of the base: of the remote, else of this clone."""
    from datetime import UTC, datetime

    from selfheal.codebase.history import History
    from selfheal.delivery.access import workshop_for
    from selfheal.delivery.forge import remote_address

    config = project.settings.deploy
    history = History(repository)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    workshop = workshop_for(repository, config, folder / "scratch.git", date)
    address = remote_address(repository, config.remote)
    tip = workshop.fetch(address, config.base) if address else None
    return workshop, tip or history.resolve("HEAD")


def _recall_text(found: Recall) -> str:
    rows = [
        [
            use.run_id,
            use.outcome,
            (use.commit or "-")[:12],
            "-" if use.pull_request is None else str(use.pull_request),
            f"{use.standing}{': ' + use.note if use.note else ''}",
        ]
        for use in found.uses
    ]
    lines = [f"{found.pattern_id}  {found.name}", f"looked at {found.tip[:12]}"]
    if rows:
        lines.append(table(rows, header=("run", "outcome", "commit", "pull", "now")))
    lines.append(f"{len(found.reverts)} reverts are prepared")
    return "\n".join(lines)


def _decide(arguments: Namespace, console: Console, project: Project) -> Outcome:
    from selfheal.delivery.audit import record
    from selfheal.learning.library import change_library
    from selfheal.learning.recall import pattern_named, reinstated, retired_by

    change = (
        retired_by(arguments.pattern, arguments.by, arguments.because)
        if arguments.action == "retire"
        else reinstated(arguments.pattern)
    )
    library = change_library(
        project.artifacts, change, run_id="library", produced_by="selfheal patterns"
    )
    pattern = pattern_named(library, arguments.pattern)
    record(
        project.artifacts,
        f"pattern: {arguments.action}",
        by=arguments.by,
        subject=pattern.id,
        details={"because": arguments.because},
    )
    console.data(pattern, lambda: _text(pattern))
    return "succeeded"


def _key(arguments: Namespace, console: Console, _project: Project) -> Outcome:
    from selfheal.learning.sharing import default_key_file, public_text, signing_key

    file = arguments.key or default_key_file(os.environ)
    public = public_text(signing_key(file, make=True))
    console.data({"key": public, "file": str(file)}, lambda: public)
    console.note(f"signed with {file}; who imports adds the key to learn.trusted_keys")
    return "succeeded"


def _export(arguments: Namespace, console: Console, project: Project) -> Outcome:
    from selfheal.learning.library import read_library
    from selfheal.learning.recall import pattern_named
    from selfheal.learning.sharing import default_key_file, exported, signing_key

    library = read_library(project.artifacts)
    only = [pattern_named(library, name).id for name in arguments.only]
    name = arguments.name or (git_top(Path.cwd()) or Path.cwd()).name
    key = signing_key(arguments.key or default_key_file(os.environ))
    made = exported(library, name, key, only)
    arguments.file.write_bytes(made.to_bytes())
    told = {"file": str(arguments.file), "patterns": len(made.patterns), "key": made.key}
    console.data(told, lambda: f"{len(made.patterns)} patterns of {name} in {arguments.file}")
    return "succeeded"


def _import(arguments: Namespace, console: Console, project: Project) -> Outcome:
    from selfheal.delivery.audit import record
    from selfheal.learning.library import change_library
    from selfheal.learning.sharing import imported, read_export

    found = read_export(arguments.file, project.settings.learn.trusted_keys)
    change_library(
        project.artifacts,
        lambda library: imported(library, found),
        run_id="library",
        produced_by="selfheal patterns",
    )
    record(
        project.artifacts,
        "patterns: imported",
        by=found.key,
        subject=found.repository,
        details={"patterns": len(found.patterns)},
    )
    told = {"repository": found.repository, "patterns": len(found.patterns)}
    console.data(told, lambda: f"{len(found.patterns)} patterns from {found.repository}")
    return "succeeded"
