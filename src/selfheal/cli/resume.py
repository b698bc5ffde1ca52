"""``selfheal resume``: go on with a run that waited, failed or was killed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from selfheal.cli.console import Console, Outcome, output_options
from selfheal.cli.outcome import report
from selfheal.cli.project import artifacts_folder, run_argument


def configure(parser: ArgumentParser) -> None:
    run_argument(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.cli.logs import configure_logging
    from selfheal.cli.progress import observer_for
    from selfheal.engine.api import resume_run

    configure_logging(console.log_format, quiet=console.quiet)
    with observer_for(console) as observer:
        result = resume_run(artifacts_folder(arguments), arguments.run, observer=observer)
    return report(result, console)
