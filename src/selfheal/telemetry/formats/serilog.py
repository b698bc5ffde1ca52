"""Logs of Serilog: the compact JSON format (CLEF), and its text templates.

Compact JSON as https://clef-json.org documents it: ``@t`` time, ``@l`` level (none is
Information), ``@m`` message or ``@mt`` its template, rendered here, ``@x`` exception,
``@i`` event id, ``@r`` renderings, ``@tr`` and ``@sp`` trace and span; other properties
are attributes, a leading ``@`` is doubled in them. Text has records like
``[2024-05-01 12:00:00.250 +02:00] [INF] Source: message`` (also without the brackets of
the time or the source), with the lines of an exception after it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from selfheal.telemetry.formats.attributes import text_or_none
from selfheal.telemetry.formats.events import (
    MALFORMED,
    NO_ERROR,
    NOBODY,
    ErrorDetails,
    Resource,
    add_log,
    exception_in,
    identifier,
    malformed,
    severity_name,
)
from selfheal.telemetry.formats.text import records
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

_LEVELS = "VRB|DBG|INF|WRN|ERR|FTL"
_RECORD = re.compile(
    r"(?:\[?(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?: ?(?:Z|[+-]\d\d:\d\d))?)\]? "
    rf"\[(?P<level>{_LEVELS})\]|\[\d\d:\d\d:\d\d (?P<timeless>{_LEVELS})\])"
    r" (?:(?P<source>[A-Za-z_][\w.+`]*): )?(?P<body>.*)$"
)
_HOLE = re.compile(r"\{\{|\}\}|\{[@$]?(?P<name>\w+)(?:,-?\d+)?(?P<format>:[^{}]*)?\}")
_TYPE_AND_MESSAGE = re.compile(r"(?P<type>[A-Za-z_][\w.+`]*)(?:: (?P<message>.*))?$", re.S)


def is_compact(document: Any) -> bool:
    """Whether a JSON value is a record of the compact format."""
    return (
        isinstance(document, dict)
        and "@t" in document
        and not document.keys().isdisjoint(("@m", "@mt", "@x", "@l", "@i"))
    )


def begins_record(text: str) -> bool:
    """Whether a line begins a record of a text template."""
    return _RECORD.match(text) is not None


def read_compact(lines: Lines, sink: Sink) -> None:
    """Read Serilog's compact JSON from `lines` into `sink`."""
    for text in lines.filled():
        try:
            record = json.loads(text)
            if not isinstance(record, dict) or "@t" not in record:
                raise ValueError("it has no @t")
            _add_compact(record, lines.read, sink)
        except MALFORMED as error:
            sink.refuse(lines.read, f"no compact JSON record: {malformed(error)}")


def _add_compact(record: dict[str, Any], line: int, sink: Sink) -> None:
    own = {name: record.pop(name, None) for name in (
        "@t", "@l", "@m", "@mt", "@x", "@i", "@r", "@tr", "@sp")}  # fmt: skip
    template = text_or_none(own["@mt"])
    body = text_or_none(own["@m"])
    if body is None and template is not None:
        renderings = own["@r"] if isinstance(own["@r"], list) else []
        body = _rendered(template, record, iter(renderings))
    properties = {name.replace("@@", "@", 1): value for name, value in record.items()}
    if template is not None and template != body:
        properties["message.template"] = template
    if own["@i"] is not None:
        properties["event.id"] = own["@i"]
    trace_id = identifier(own["@tr"], 16)
    add_log(
        sink,
        time_ns=time_ns(own["@t"]),
        severity=severity_name(own["@l"] or "Information"),
        body=body,
        logger=text_or_none(properties.pop("SourceContext", None)),
        resource=Resource(
            text_or_none(properties.pop("service.name", None)),
            text_or_none(properties.pop("service.version", None)),
            None,
            None,
            None,
        ),
        ids=(trace_id, identifier(own["@sp"], 8) if trace_id else None),
        error=_error(text_or_none(own["@x"])),
        attributes=properties,
        line=line,
    )


def _rendered(template: str, properties: dict[str, Any], renderings: Iterator[Any]) -> str:
    """A message from its template. Formatted holes have their rendering in ``@r``, in order."""

    def filled(hole: re.Match[str]) -> str:
        if hole["name"] is None:
            return hole[0][0]
        if hole["format"] and (rendering := next(renderings, None)) is not None:
            return str(rendering)
        if hole["name"] not in properties:
            return hole[0]
        return text_or_none(properties[hole["name"]]) or ""

    return _HOLE.sub(filled, template)


def _error(trace: str | None) -> ErrorDetails:
    if not trace:
        return NO_ERROR
    found = exception_in(trace)
    if any(found):
        return found
    match = _TYPE_AND_MESSAGE.match(trace)
    return ErrorDetails(match["type"], match["message"] or "", trace) if match else NO_ERROR


def read_text(lines: Lines, sink: Sink) -> None:
    """Read logs of Serilog's text templates from `lines` into `sink`."""
    for line, record in records(lines, sink, begins_record):
        match = _RECORD.match(record[0])
        if match is None:
            sink.refuse(line, "this line belongs to no log record")
            continue
        rest = "\n".join(record[1:]).strip("\n")
        error = _error_below(rest)
        add_log(
            sink,
            time_ns=time_ns(match["time"]),
            severity=severity_name(match["level"] or match["timeless"]),
            body="\n".join([match["body"], rest]).strip()
            if rest and not any(error)
            else match["body"],
            logger=match["source"],
            resource=NOBODY,
            ids=(None, None),
            error=error,
            attributes={},
            line=line,
        )


def _error_below(text: str) -> ErrorDetails:
    """The exception below a record: its first line names a type of an exception."""
    match = _TYPE_AND_MESSAGE.match(text.partition("\n")[0])
    named = match is not None and match["type"].endswith(("Exception", "Error"))
    found = exception_in(text)
    return found if any(found) else _error(text) if named else NO_ERROR
