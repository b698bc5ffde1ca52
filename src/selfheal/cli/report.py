"""``selfheal report``: what production did, from a run's telemetry, and what was learned."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from selfheal.cli.console import Console, Outcome, jsonable, output_options, table
from selfheal.cli.project import artifacts_folder, artifacts_option, run_name
from selfheal.errors import InvalidInput
from selfheal.reports.catalogue import FORMATS, REPORTS, definition

if TYPE_CHECKING:
    from selfheal.reports.model import Report
    from selfheal.reports.source import Source

BINARY = ("html", "parquet")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help=f"one of {', '.join(REPORTS)}; without one, what each answers is listed",
    )
    parser.add_argument(
        "--run", type=run_name, metavar="ID", help="the run to report on (default: latest)"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="html is one file that needs no network; csv and parquet hold the main table; which "
        "report has which form, the list says",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it to a file")
    parser.add_argument(
        "--top", type=_positive, default=20, metavar="N", help="rows of the longest lists"
    )
    parser.add_argument("--release", metavar="VERSION", help="only this release of the services")
    parser.add_argument(
        "--trace", metavar="ID", help="one trace (timeline, replay); its beginning is enough"
    )
    parser.add_argument("--start", metavar="TIME", help="not before, ISO 8601 (heatmap, timeline)")
    parser.add_argument("--end", metavar="TIME", help="not after, ISO 8601 (heatmap, timeline)")
    parser.add_argument(
        "--declared",
        action="append",
        default=[],
        metavar="PATH",
        help="sequence files, or folders of them, that say what should happen (flow)",
    )
    artifacts_option(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    if arguments.name is None:
        return _list(console)
    from selfheal.reports import build
    from selfheal.reports.model import Options
    from selfheal.reports.output import render

    form = "json" if console.as_json else arguments.format
    wanted = definition(arguments.name)
    if form not in wanted.formats:
        raise InvalidInput(
            f"the report {arguments.name} has no form {form}.",
            hint=f"It has {', '.join(wanted.formats)}.",
        )
    if form in BINARY and arguments.output is None and sys.stdout.isatty():
        raise InvalidInput(f"{form} is not for a terminal.", hint="Name a file with --output.")
    options = Options(
        top=arguments.top,
        trace=arguments.trace,
        release=arguments.release,
        start=arguments.start,
        end=arguments.end,
        declared=arguments.declared,
    )
    if arguments.name == "learning":
        report = _learning(arguments)
    else:
        with open_source(arguments) as source:
            report = build(arguments.name, source, options)
    _write(render(report, form, rows=arguments.top), report, arguments.output, console)
    return "succeeded"


def _learning(arguments: Namespace) -> Report:
    """The report over all runs; no single one is opened."""
    from selfheal.engine.folder import RunFolder, run_ids
    from selfheal.engine.times import run_times
    from selfheal.learning.report import build

    artifacts = artifacts_folder(arguments)
    runs = [run_times(RunFolder(artifacts / "runs" / name)) for name in run_ids(artifacts)]
    return build(artifacts, [each for each in runs if each is not None])


def open_source(arguments: Namespace) -> Source:
    """The run that the options name, with its repository and how its tests are written."""
    from selfheal.engine.folder import find_run, thawed_settings
    from selfheal.reports.source import Source

    folder = find_run(artifacts_folder(arguments), arguments.run)
    manifest = folder.manifest()
    return Source(
        folder.path,
        repository=Path(manifest.repository) if manifest.repository else None,
        tests=thawed_settings(manifest.settings).tests,
    )


def _write(content: bytes, report: Report, output: Path | None, console: Console) -> None:
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise InvalidInput(
            f"the report cannot be written: {error.strerror}.", where=str(output)
        ) from error
    empty = f" (nothing to show: {report.empty})" if report.empty else ""
    console.note(f"written to {output}{empty}")


def _list(console: Console) -> Outcome:
    rows = [(name, one.answers, " ".join(one.formats)) for name, one in REPORTS.items()]
    value = [
        {"name": name, "answers": one.answers, "formats": one.formats}
        for name, one in REPORTS.items()
    ]
    console.data(jsonable(value), lambda: table(rows, header=("REPORT", "ANSWERS", "FORMS")))
    return "succeeded"


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InvalidInput(f"--top takes a number from 1 on, not {text!r}.")
    return int(text)
