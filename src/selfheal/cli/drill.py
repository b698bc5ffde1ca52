"""``selfheal drill``: faults seeded into a clone, healed or not, and the ledger that counts it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from selfheal.cli.console import Console, Outcome, output_options, table
from selfheal.cli.project import open_project, project_options


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--faults", type=int, default=10, metavar="N", help="how many (default: 10)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another one draws other faults"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep the clones and runs below drills/ of the artifacts",
    )
    project_options(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.cli.run import find_repository
    from selfheal.drill.campaign import drill
    from selfheal.errors import InvalidInput

    if arguments.faults < 1:
        raise InvalidInput("--faults takes a number of at least 1.")
    project = open_project(arguments)
    repository = find_repository(arguments.repo, "diagnose", "validate")
    assert repository is not None
    done = drill(
        repository,
        project.settings,
        project=project.folder,
        artifacts=project.artifacts,
        faults=arguments.faults,
        seed=arguments.seed,
        keep=arguments.keep,
        said=console.note,
    )
    rows = [
        [
            f"{each.fault.file}:{each.fault.line}",
            each.fault.what,
            f"{each.shown}+{each.hidden}",
            each.grade,
            ", ".join(each.strategies) or each.reason,
        ]
        for each in done.exercises
    ]
    header = ("fault", "what", "tests shown+hidden", "grade", "by")
    ledger = "\n".join(each.summary for each in done.earned)
    console.data(
        done,
        lambda: (
            f"{table(rows, header=header)}\n\n"
            f"{done.healed} of {len(rows)} faults healed; {done.unnoticed} more made no test fail\n"
            f"the ledger now, with what is in it from elsewhere:\n{ledger}"
        ),
    )
    return "succeeded"
