"""``selfheal approve|reject``: the decision on the change that a run is waiting with."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Literal

from selfheal.cli.console import Console, Outcome, output_options
from selfheal.cli.project import artifacts_folder, artifacts_option, run_name


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "run",
        type=run_name,
        metavar="RUN",
        help="the run's id (its beginning is enough), or latest",
    )
    parser.add_argument("--by", required=True, metavar="NAME", help="who decides")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why")
    artifacts_option(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.artifacts.canonical import sha256_of_file
    from selfheal.delivery.audit import record
    from selfheal.engine.api import record_approval

    decision: Literal["approved", "rejected"] = (
        "approved" if arguments.verb == "approve" else "rejected"
    )
    artifacts = artifacts_folder(arguments)
    folder = record_approval(
        artifacts, arguments.run, decision, by=arguments.by, reason=arguments.reason
    )
    decided_on = folder.path / "validation.json"
    entry = record(
        artifacts,
        f"decision: {decision}",
        by=arguments.by,
        subject=sha256_of_file(decided_on) if decided_on.exists() else folder.run_id,
        run_id=folder.run_id,
        details={"reason": arguments.reason},
    )
    console.data(
        {
            "run_id": folder.run_id,
            "decision": decision,
            "by": arguments.by,
            "reason": arguments.reason,
            "audit": entry.sha256,
        },
        lambda: f"{decision} by {arguments.by}: run {folder.run_id}",
    )
    console.note(f"go on with: selfheal resume {folder.run_id}")
    return "succeeded"
