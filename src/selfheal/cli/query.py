"""``selfheal query``: a shipped analysis by its name, or SQL, over telemetry."""

from __future__ import annotations

import csv
import io
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from selfheal.cli.console import Console, Outcome, output_options, table
from selfheal.cli.project import open_project, project_options, run_name
from selfheal.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from selfheal.artifacts import Dataset, Telemetry
    from selfheal.store import Answer, Query, Store
    from selfheal.store.model import Period

FORMATS = ("table", "json", "csv")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="a shipped query; see --list")
    parser.add_argument(
        "--sql",
        metavar="TEXT",
        help="one SELECT in DuckDB's dialect over spans, logs, errors, metrics and coverage",
    )
    parser.add_argument("--list", action="store_true", help="list the shipped queries")
    parser.add_argument("--show", action="store_true", help="print the query instead of running it")
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="the value of a parameter, $KEY in the statement",
    )
    parser.add_argument(
        "--since", metavar="TIME", help="only events from then on: 2026-11-21, or 7d ago"
    )
    parser.add_argument("--until", metavar="TIME", help="only events before then")
    parser.add_argument("--run", metavar="ID", help="the run whose dataset is asked (or: latest)")
    parser.add_argument(
        "--store",
        metavar="URL",
        help="ask clickhouse://host:port/database or a folder instead (default: store.url, "
        "else the latest run)",
    )
    parser.add_argument("--format", choices=FORMATS, help="how rows are printed (default: table)")
    project_options(parser)
    output_options(parser)


def run(arguments: Namespace, console: Console) -> Outcome:
    console.as_json = console.as_json or arguments.format == "json"
    if arguments.list:
        return _list(console)
    if (arguments.name is None) == (arguments.sql is None):
        raise InvalidInput(
            "give the name of a query, or --sql with a statement.",
            hint="The names: selfheal query --list",
        )
    sql, values = _statement(arguments)
    if arguments.show:
        console.data({"sql": sql, "parameters": values}, lambda: sql)
        return "succeeded"
    period = _period(arguments)
    store = _store(arguments)
    try:
        answer = store.query(sql, values, period)
    finally:
        store.close()
    text = as_csv if arguments.format == "csv" else as_table
    console.data(answer.records, lambda: text(answer))
    return "succeeded"


def _list(console: Console) -> Outcome:
    from selfheal.store import catalogue

    queries = list(catalogue().values())
    console.data(
        queries,
        lambda: table(
            [(query.name, query.title, _parameters(query)) for query in queries],
            header=("QUERY", "WHAT IT ANSWERS", "PARAMETERS"),
        ),
    )
    return "succeeded"


def _parameters(query: Query) -> str:
    return " ".join(
        p.name if p.default is None else f"{p.name}={p.default}" for p in query.parameters
    )


def _statement(arguments: Namespace) -> tuple[str, dict[str, Any]]:
    from selfheal.store import query_named

    given: dict[str, str] = {}
    for text in arguments.param:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidInput(
                f"--param takes KEY=VALUE, not {text!r}.", hint="For example: --param limit=5"
            )
        given[key] = value
    if arguments.sql is not None:
        return arguments.sql, {key: _guessed(value) for key, value in given.items()}
    query = query_named(arguments.name)
    return query.sql, query.values(given)


def _guessed(text: str) -> str | int | float:
    """The value of a parameter that nothing declares: a number where it reads as one."""
    readers: tuple[Callable[[str], int | float], ...] = (int, float)
    for reader in readers:
        try:
            return reader(text)
        except ValueError:
            continue
    return text


def _period(arguments: Namespace) -> Period:
    from selfheal.store.model import Period, moment

    now = datetime.now(UTC)
    since, until = (
        moment(text, now) if text is not None else None
        for text in (arguments.since, arguments.until)
    )
    return Period(since, until)


def _store(arguments: Namespace) -> Store:
    """What was named on the command line, else what the configuration names, else the latest run."""
    from selfheal.store.local import LocalStore
    from selfheal.store.opening import open_store

    if arguments.run is not None and arguments.store is not None:
        raise InvalidInput("--run and --store exclude each other.", hint="Give one of them.")
    project = open_project(arguments, {"store.url": arguments.store})
    if arguments.run is None and project.settings.store.url:
        return open_store(project.settings.store.url)

    return LocalStore(_dataset(project.artifacts, arguments.run))


def _dataset(artifacts: Path, run: str | None) -> Dataset:
    from selfheal.artifacts.envelope import read_artifact
    from selfheal.engine.folder import find_run

    folder = find_run(artifacts, run_name(run or "latest"))
    path = folder.artifact("telemetry")
    if not path.is_file():
        raise NotFound(
            f"the run {folder.run_id} has no dataset.",
            hint="Make it with: selfheal run --phase parse",
        )
    telemetry = cast("Telemetry", read_artifact(path, "telemetry"))
    return telemetry.dataset.located(folder.path)


def as_table(answer: Answer) -> str:
    """Rows for people, numbers to six significant digits."""
    if not answer.rows:
        return "no rows"
    rows = [[_cell(value) for value in row] for row in answer.rows]
    return table(rows, header=[column.upper() for column in answer.columns])


def as_csv(answer: Answer) -> str:
    """RFC 4180; NULL is empty, lists and objects are JSON."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(answer.columns)
    for row in answer.rows:
        writer.writerow([_exact(value) for value in row])
    return out.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value)
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e15 else f"{value:g}"
    return " ".join(_exact(value).split()) if value is not None else "–"


def _exact(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | dict | Sequence) and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
