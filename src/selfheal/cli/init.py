"""``selfheal init``: write selfheal.yaml for a repository, from what is found there."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfheal.cli.console import Console, Outcome, output_options
from selfheal.cli.project import git_top
from selfheal.errors import ConfigurationError, RepositoryError

if TYPE_CHECKING:
    from selfheal.cli.discovery import Discovered

HEADER = """\
# selfheal: what to heal and how to prove it.
# Every key, its default and its meaning: selfheal config show, docs/configuration.md.
# Completion in editors: selfheal config schema > selfheal.schema.json, then add the line
#   yaml-language-server: $schema=selfheal.schema.json
# as a comment to the top of this file.
"""
SECTIONS = {
    "service": "The service under care, and how to start one process of it.",
    "tests": "The suite of this repository.",
    "fix": "The changelog that a fix writes into.",
    "deploy": "Where a proven fix goes. approval: review asks a person, auto does not.",
}


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--repo", type=Path, metavar="FOLDER", help="the git repository (default: the one here)"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing selfheal.yaml")
    parser.add_argument(
        "--print", action="store_true", dest="only_print", help="print it, write nothing"
    )
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.cli.discovery import discover
    from selfheal.configuration import FILE_NAME, find_configuration

    folder = arguments.repo or Path.cwd()
    repository = git_top(folder) if folder.is_dir() else None
    if repository is None:
        raise RepositoryError(
            "this is no git repository.",
            where=str(folder),
            hint="Run selfheal init inside your project, or name it: --repo FOLDER",
        )
    existing = find_configuration(repository)
    if existing and not (arguments.force or arguments.only_print):
        raise ConfigurationError(
            "there is a configuration already.",
            where=str(existing),
            hint="Edit it, or let it be replaced: selfheal init --force",
        )
    discovered = discover(repository)
    text = render(discovered)
    path = repository / FILE_NAME
    if not arguments.only_print:
        path.write_text(text, encoding="utf-8")
    console.data(
        {
            "file": None if arguments.only_print else path,
            "found": discovered.findings,
            "missing": discovered.missing,
        },
        lambda: text,
    )
    if not arguments.only_print:
        console.note(f"\nWrote {path}. Look through it, then give it telemetry:")
        console.note("  selfheal run --telemetry FOLDER-OR-FILES --to diagnose")
    return "succeeded"


def render(discovered: Discovered) -> str:
    """The text of selfheal.yaml: every finding with the place it was found at."""
    lines = [HEADER]
    for section, title in SECTIONS.items():
        if not any(key.startswith(f"{section}.") for key in discovered.findings):
            continue
        lines += [f"# {title}", f"{section}:"]
        for key, finding in discovered.findings.items():
            if key.startswith(f"{section}."):
                name = key.split(".")[1]
                lines.append(f"  {name}: {_yaml(finding.value)}  # {finding.found_in}")
        for key, why in discovered.missing.items():
            if key.startswith(f"{section}."):
                lines.append(f"  # {key.split('.')[1]}:  # {why}")
        if section == "deploy":
            lines.append("  approval: review")
        lines.append("")
    lines += ["# Files and folders of telemetry; --telemetry replaces them.", "telemetry:"]
    lines += ["  paths: []", ""]
    return "\n".join(lines)


def _yaml(value: Any) -> str:
    """JSON is YAML, and quotes what YAML would read as something else."""
    return json.dumps(value, ensure_ascii=False)
