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
    access_log,
    beat_log,
    clickhouse,
    coverage_report,
    json_lines,
    junit,
    lcov,
    otlp,
    otlp_binary,
    pytest_output,
    recorded_calls,
    serilog,
    span_lines,
    text,
    value_rows,
)
from selfheal.telemetry.formats.recognition import (
    has_json_line,
    has_line,
    is_beat_frames,
    is_coverage_json,
    is_empty,
    is_otlp_json,
    is_xml,
    starts_with,
)
from selfheal.telemetry.plan import Divide, divided_at
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Head, Lines

ANYWHERE = divided_at(lambda _: True)
AUTO = "auto"
EMPTY = "empty"


class Reader(NamedTuple):
    """One format. `recognises` sees up to 64 KiB from the start of a file, decompressed.

    `divide` tells where a file may be divided into ranges that are read side by side;
    without it a file is read from its start to its end.
    """

    name: str
    recognises: Callable[[Head], bool]
    read: Callable[[Lines, Sink], None]
    divide: Divide | None = None


def _read_nothing(lines: Lines, sink: Sink) -> None:
    """A file without content has no events."""
    del sink
    for _ in lines.filled():
        pass


READERS: tuple[Reader, ...] = (
    # A log file that nothing was written to yet.
    Reader(EMPTY, is_empty, _read_nothing),
    Reader("otlp-protobuf", otlp_binary.is_otlp_protobuf, otlp_binary.read, otlp_binary.divide),
    Reader("otlp-json", is_otlp_json, otlp.read, otlp.divide),
    Reader("coverage-json", is_coverage_json, coverage_report.read_json),
    Reader("beat-frames", is_beat_frames, beat_log.read_frames),
    Reader("junit-xml", is_xml("testsuites?"), junit.read),
    Reader("cobertura-xml", is_xml("coverage"), coverage_report.read_xml),
    Reader("lcov", starts_with(lcov.begins_tracefile), lcov.read),
    Reader("clickhouse-json", has_json_line(clickhouse.is_row), clickhouse.read_json, ANYWHERE),
    Reader("recorded-calls", has_json_line(recorded_calls.is_call), recorded_calls.read, ANYWHERE),
    Reader("serilog-compact", has_json_line(serilog.is_compact), serilog.read_compact, ANYWHERE),
    Reader("span-lines", has_json_line(span_lines.is_span), span_lines.read, span_lines.DIVIDE),
    Reader("json-lines", has_json_line(json_lines.is_record), json_lines.read, json_lines.DIVIDE),
    Reader("clickhouse-tsv", starts_with(clickhouse.begins_table), clickhouse.read_tsv),
    Reader("value-rows", value_rows.is_series, value_rows.read),
    Reader("beat-log", has_line(beat_log.is_beat_line), beat_log.read),
    Reader("pytest", has_line(pytest_output.is_output), pytest_output.read),
    Reader("access-log", has_line(access_log.is_request), access_log.read, ANYWHERE),
    Reader("serilog-text", has_line(serilog.begins_record), serilog.read_text),
    Reader("text", has_line(text.begins_record), text.read, text.DIVIDE),
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
