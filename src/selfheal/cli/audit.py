"""``selfheal audit``: who let what through, and whether the log is whole."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from selfheal.cli.console import Console, Outcome, output_options, table
from selfheal.cli.project import artifacts_folder, artifacts_option


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--run", metavar="ID", help="only entries of this run")
    parser.add_argument(
        "--head",
        metavar="SHA256",
        help="a hash noted earlier; the log fails where it does not hold it (any more)",
    )
    artifacts_option(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.delivery.audit import read, verify
    from selfheal.errors import InvalidInput

    artifacts = artifacts_folder(arguments)
    verified = verify(artifacts, known=arguments.head)
    try:
        entries = read(artifacts)
    except InvalidInput:
        entries = []
    shown = [entry for entry in entries if arguments.run in (None, entry.run_id)]
    rows = [
        [entry.at, entry.run_id or "-", entry.event, entry.by, entry.subject[:40]]
        for entry in shown
    ]
    console.data(
        {"entries": shown, "verified": verified},
        lambda: table(rows, header=("at", "run", "event", "by", "subject")) if rows else "",
    )
    if verified.broken is not None:
        console.note(f"the log is broken: {verified.broken}")
        return "failed"
    if not verified.entries:
        console.note("the log is empty")
        return "succeeded"
    console.note(f"{verified.entries} entries, the chain holds; its head is {verified.head}")
    return "succeeded"
