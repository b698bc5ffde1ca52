"""``selfheal search``: where in the repository something is, and what belongs to it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from selfheal.cli.console import Console, Outcome, output_options
from selfheal.cli.project import git_top, open_project, project_options

if TYPE_CHECKING:
    from selfheal.codebase.search import SearchResult


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("query", nargs="+", metavar="QUERY", help="words, or a regular expression")
    parser.add_argument(
        "--at", metavar="REVISION", default="HEAD", help="the commit (default: HEAD)"
    )
    parser.add_argument(
        "--limit", type=int, default=10, metavar="N", help="how many places are told (default: 10)"
    )
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="static embeddings (model2vec) for meaning"
    )
    project_options(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.codebase.history import History
    from selfheal.codebase.index_cache import StoredFacts
    from selfheal.codebase.search import search

    project = open_project(arguments)
    history = History(arguments.repo or git_top(Path.cwd()) or Path.cwd())
    found = search(
        history,
        " ".join(arguments.query),
        revision=arguments.at,
        limit=max(arguments.limit, 1),
        vendored=project.settings.diagnose.vendored,
        cache=StoredFacts(project.artifacts / "cache" / "code-index.sqlite"),
        model=arguments.model,
    )
    console.data(found, lambda: _text(found, console))
    for stage in found.stages:
        if stage.reason:
            console.note(f"{stage.name}: {stage.state}: {stage.reason}")
    return "succeeded" if found.hits else "failed"


def _text(found: SearchResult, console: Console) -> str:
    lines = []
    for hit in found.hits:
        place = console.style(f"{hit.file}:{hit.line}", "bold")
        lines.append(f"{hit.score:.2f}  {place}  {hit.function}".rstrip())
        lines += [f"      {reason}" for reason in hit.reasons]
    if not lines:
        lines.append(f"nothing in {found.commit[:10]} is about that")
    lines += ["", *(f"next: {action}" for action in found.actions)]
    return "\n".join(lines)
