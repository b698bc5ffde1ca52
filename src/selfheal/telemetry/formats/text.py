"""Plain-text logs with Python tracebacks.

A line that begins with a timestamp, or with a level and a logger as the standard
library's default format writes them, begins a record; lines up to the next one belong
to it. A traceback without a record before it is a record of its own, without a time.
"""

from __future__ import annotations

import re

from selfheal.telemetry.formats.events import Resource, add_log, exception_in, severity_name
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines
from selfheal.telemetry.tracebacks import HEADER

_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
_LEVEL = r"TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL"
_RECORD = re.compile(
    rf"\[?(?P<time>{_TIME})\]?[\s|:-]*"
    rf"(?:(?P<first>[\w.]+)[\s|:-]+(?=\[?(?:{_LEVEL})\b))?"
    rf"(?:\[?(?P<level>{_LEVEL})\]?[\s|:-]+)?"
    r"(?:(?:\[(?P<bracketed>[\w.]+)\]|(?P<logger>[\w.]+)(?=(?: -|:)\s))[\s:-]*)?"
    r"(?P<body>.*)$"
)
_LEVEL_FIRST = re.compile(rf"(?P<level>{_LEVEL}):(?P<logger>[\w.]+):(?P<body>.*)$")


def begins_record(text: str) -> bool:
    """Whether a line begins a record or a traceback."""
    return bool(_RECORD.match(text) or _LEVEL_FIRST.match(text) or HEADER in text)


def read(lines: Lines, sink: Sink) -> None:
    """Read plain-text logs from `lines` into `sink`."""
    record: list[str] = []
    began = 0
    for text in lines:
        if _RECORD.match(text) or _LEVEL_FIRST.match(text):
            _add(record, began, sink)
            record, began = [text], lines.read
        elif record:
            record.append(text)
        elif HEADER in text:
            record, began = [text], lines.read
        elif text.strip():
            sink.refuse(lines.read, "this line belongs to no log record")
    _add(record, began, sink)


def _add(record: list[str], line: int, sink: Sink) -> None:
    if not record:
        return
    text = "\n".join(record).rstrip()
    error = exception_in(text)
    match = _RECORD.match(record[0]) or _LEVEL_FIRST.match(record[0])
    parts = match.groupdict() if match else {}
    rest = [] if any(error) else record[1:]
    body = "\n".join([parts.get("body", text.rpartition("\n")[2]), *rest]).strip()
    add_log(
        sink,
        time_ns=time_ns(parts.get("time")),
        severity=severity_name(parts.get("level")) or ("error" if any(error) else None),
        body=body,
        logger=parts.get("first") or parts.get("bracketed") or parts.get("logger"),
        resource=Resource(None, None, None, None, None),
        ids=(None, None),
        error=error,
        attributes={},
        line=line,
    )
