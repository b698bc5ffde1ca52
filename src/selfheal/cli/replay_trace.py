"""``selfheal replay-trace``: a captured trace as a runnable pytest file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from selfheal.cli.console import Console, Outcome, output_options
from selfheal.cli.project import artifacts_option, run_name
from selfheal.errors import InvalidInput, NotFound


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help="a trace id; its beginning is enough")
    parser.add_argument(
        "--run", type=run_name, metavar="ID", help="the run that captured it (default: latest)"
    )
    parser.add_argument(
        "--fixture",
        metavar="NAME",
        help="the pytest fixture that answers requests (default: tests.client_fixture, else the "
        "likeliest of conftest.py)",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it to a file")
    artifacts_option(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    from selfheal.cli.report import open_source
    from selfheal.reports.model import Options
    from selfheal.reports.reproducer import Repository, trace_test

    with open_source(arguments) as source:
        trace = source.trace_id(Options(trace=arguments.trace)) or arguments.trace
        repository = Repository(source, fixture=arguments.fixture)
        test = trace_test(source, trace, repository)
    if test.text is None and not console.as_json:
        raise NotFound(
            f"the trace {trace} cannot be replayed: {test.unavailable}.",
            hint="See: selfheal report replay",
        )
    text = test.text or ""
    if arguments.output is not None and text:
        try:
            arguments.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InvalidInput(
                f"the test cannot be written: {error.strerror}.", where=str(arguments.output)
            ) from error
        console.note(f"written to {arguments.output}")
        return "succeeded"
    console.data(test, lambda: text)
    console.note(f"save it as {repository.folder}/{test.name} and run it with pytest")
    return "succeeded" if test.text else "failed"
