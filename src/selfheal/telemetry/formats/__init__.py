"""The formats of telemetry, as a table of readers.

A reader recognises its format by the beginning of a file and turns lines into events.
To add a format, write a module with a ``read(lines, sink)`` and add a row to `READERS`;
the first row that recognises a file reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from selfheal.errors import TelemetryError
from selfheal.telemetry.formats import (
    coverage_report,
    json_lines,
    junit,
    otlp,
    text,
)
from selfheal.telemetry.formats.recognition import (
    is_coverage_json,
    is_empty,
    is_json_lines,
    is_otlp_json,
    is_text,
    is_xml,
)
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Head, Lines

AUTO = "auto"


class Reader(NamedTuple):
    """One format. `recognises` sees up to 64 KiB from the start of a file, decompressed."""

    name: str
    recognises: Callable[[Head], bool]
    read: Callable[[Lines, Sink], None]


def _read_nothing(lines: Lines, sink: Sink) -> None:
    """A file without content has no events."""
    del sink
    for _ in lines.filled():
        pass


READERS: tuple[Reader, ...] = (
    # A log file that nothing was written to yet.
    Reader("empty", is_empty, _read_nothing),
    Reader("otlp-json", is_otlp_json, otlp.read),
    Reader("coverage-json", is_coverage_json, coverage_report.read_json),
    Reader("junit-xml", is_xml("testsuites?"), junit.read),
    Reader("cobertura-xml", is_xml("coverage"), coverage_report.read_xml),
    Reader("json-lines", is_json_lines, json_lines.read),
    Reader("text", is_text, text.read),
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


def recognise(head: Head) -> Reader | None:
    """The reader for a file that begins with `head`; None where it is no telemetry."""
    return next((reader for reader in READERS if reader.recognises(head)), None)
