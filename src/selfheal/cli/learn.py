"""``selfheal learn --from-history``: edit templates from the repository's own fixes."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfheal.cli.console import Console, Outcome, output_options, table
from selfheal.cli.project import git_top, open_project, project_options

if TYPE_CHECKING:
    from selfheal.learning.mining import Mining


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--from-history",
        action="store_true",
        required=True,
        help="mine the repository's own fix commits",
    )
    parser.add_argument("--since", metavar="REVISION", help="only commits after this one")
    parser.add_argument(
        "--until", metavar="REVISION", default="HEAD", help="up to this commit (default: HEAD)"
    )
    parser.add_argument(
        "--split",
        type=_share,
        default=0.7,
        metavar="SHARE",
        help="the share of the fixes, oldest first, that teaches; the rest tests (default: 0.7)",
    )
    parser.add_argument(
        "--support",
        type=int,
        default=2,
        metavar="N",
        help="how many commits a template needs (default: 2)",
    )
    parser.add_argument(
        "--limit", type=int, default=2000, metavar="N", help="commits looked at (default: 2000)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the table and leave the library as it is"
    )
    project_options(parser)
    output_options(parser)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share above 0 and up to 1")
    return share


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.codebase.history import History
    from selfheal.learning.commits import fix_commits
    from selfheal.learning.library import change_library
    from selfheal.learning.mining import mine, with_mined

    project = open_project(arguments)
    history = History(arguments.repo or git_top(Path.cwd()) or Path.cwd())
    fixes = fix_commits(
        history,
        arguments.until,
        since=arguments.since,
        most=arguments.limit,
        vendored=project.settings.diagnose.vendored,
    )
    mining = mine(fixes, split=arguments.split, support=max(arguments.support, 1))
    console.data(_told(mining), lambda: _text(mining))
    left = history.count(arguments.since, arguments.until) - arguments.limit
    if left > 0:
        console.note(f"{left} older commits were left out (--limit {arguments.limit})")
    if not mining.trained:
        console.note(
            f"no commit of the last {arguments.limit} says that it fixes Python code: "
            "nothing was learned"
        )
        return "failed"
    if not arguments.dry_run and mining.kept:
        change_library(
            project.artifacts,
            lambda library: with_mined(library, mining),
            run_id="history",
            produced_by="selfheal learn",
        )
        console.note(f"{len(mining.kept)} templates are in {project.artifacts / 'patterns.json'}")
    return "succeeded"


def _told(mining: Mining) -> dict[str, Any]:
    return {
        **mining.model_dump(mode="json", exclude={"templates"}),
        "templates": [
            {
                **each.model_dump(mode="json"),
                "support": each.support,
                "precision": each.precision,
                "kept": each.is_kept,
            }
            for each in mining.templates
        ],
    }


def _text(mining: Mining) -> str:
    lines = [
        f"{mining.trained} fixes taught ({mining.changes} changes), {mining.tested} later ones test"
    ]
    rows = [
        [
            str(each.support),
            "not measured" if each.matched is None else f"{each.right} of {each.matched}",
            "-" if each.precision is None else f"{each.precision:.0%}",
            "yes" if each.is_kept else "no",
            _line(each.template.before),
            _line(each.template.after),
        ]
        for each in mining.templates
    ]
    if rows:
        header = ("support", "right later", "precision", "kept", "before", "after")
        lines.append(table(rows, header=header))
    else:
        lines.append("no two fixes have an edit in common")
    if mining.covered is not None:
        lines.append(f"{mining.covered} of {mining.tested} later fixes hold a change as taught")
    else:
        lines.append("precision was not measured: there are no later fixes")
    return "\n".join(lines)


def _line(text: str) -> str:
    shown = " ; ".join(line.strip() for line in text.splitlines())
    return shown if len(shown) <= 48 else f"{shown[:46]} …"
