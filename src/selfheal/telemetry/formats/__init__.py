"""The formats of telemetry, as a table of readers.

A reader recognises its format by the beginning of a file and turns lines into events.
To add a format, write a module with a ``read(lines, sink)`` and add a row to `READERS`;
the first row that recognises a file reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NamedTuple

from selfheal.errors import TelemetryError
from selfheal.telemetry.formats import coverage_report, json_lines, junit, otlp, text
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

AUTO = "auto"
_EXPORT_REQUEST = re.compile(r'"resource(Spans|Logs|Metrics)"\s*:')
_COVERAGE = re.compile(r'\s*\{\s*"meta"\s*:\s*\{[^}]*"(show_contexts|branch_coverage)"')
_ROWS_LOOKED_AT = 50


class Reader(NamedTuple):
    """One format. `recognises` sees up to 64 KiB of text from the start of a file."""

    name: str
    recognises: Callable[[str], bool]
    read: Callable[[Lines, Sink], None]


def _read_nothing(lines: Lines, sink: Sink) -> None:
    """A file without content has no events."""
    del sink
    for _ in lines:
        pass


def _is_otlp(head: str) -> bool:
    return head.lstrip()[:1] in ("{", "[") and _EXPORT_REQUEST.search(head) is not None


def _is_xml(element: str) -> Callable[[str], bool]:
    pattern = re.compile(
        rf"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<{element}\b", re.S
    )
    return lambda head: pattern.match(head) is not None


def _is_json_lines(head: str) -> bool:
    rows = [row for row in head.splitlines()[:_ROWS_LOOKED_AT] if row.strip()]
    return any(json_lines.is_record(_json_or_none(row)) for row in rows)


def _is_text(head: str) -> bool:
    return any(text.begins_record(row) for row in head.splitlines()[:_ROWS_LOOKED_AT])


def _json_or_none(row: str) -> object:
    try:
        return json.loads(row) if row.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        return None


READERS: tuple[Reader, ...] = (
    # A log file that nothing was written to yet.
    Reader("empty", lambda head: not head.strip(), _read_nothing),
    Reader("otlp-json", _is_otlp, otlp.read),
    Reader(
        "coverage-json", lambda head: _COVERAGE.match(head) is not None, coverage_report.read_json
    ),
    Reader("junit-xml", _is_xml("testsuites?"), junit.read),
    Reader("cobertura-xml", _is_xml("coverage"), coverage_report.read_xml),
    Reader("json-lines", _is_json_lines, json_lines.read),
    Reader("text", _is_text, text.read),
)
_BY_NAME = {reader.name: reader for reader in READERS}


def reader_named(name: str) -> Reader:
    """The reader of a format. Raises TelemetryError with the known names."""
    if name not in _BY_NAME:
        raise TelemetryError(
            f"there is no telemetry format {name!r}.",
            hint=f"The formats are {AUTO}, {', '.join(_BY_NAME)}.",
        )
    return _BY_NAME[name]


def recognise(head: str) -> Reader | None:
    """The reader for a file that begins with `head`; None where it is no telemetry."""
    return next((reader for reader in READERS if reader.recognises(head)), None)
