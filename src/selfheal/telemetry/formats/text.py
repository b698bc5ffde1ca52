"""Plain-text logs with tracebacks.

A line that begins with a timestamp, or with a level and a logger as the standard
library's default format writes them, begins a record; lines up to the next one belong
to it. A traceback without a record before it is a record of its own, without a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from selfheal.telemetry.formats.events import (
    NOBODY,
    add_log,
    exception_in,
    severity_name,
)
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.plan import divided_at
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines
from selfheal.telemetry.tracebacks import HEADER

_TIME = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
_LEVEL = r"TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL"
# In brackets, levels are padded and in any case: structlog's console, nginx's error log.
_IN_BRACKETS = rf"\[\s*(?P<boxed>(?i:{_LEVEL}|EMERG|ALERT|CRIT))\s*\]"
_RECORD = re.compile(
    rf"\[?(?P<time>{_TIME})\]?[\s|:-]*"
    rf"(?:(?P<first>[\w.]+)[\s|:-]+(?=\[?(?:{_LEVEL})\b))?"
    rf"(?:(?:{_IN_BRACKETS}|(?P<level>{_LEVEL}))(?:[\s|:-]+|$))?"
    r"(?:(?:\[(?P<bracketed>[\w.]+)\]|(?P<logger>[\w.]+)(?=(?: -|:)\s))[\s:-]*)?"
    r"(?P<body>.*)$"
)
_LEVEL_FIRST = re.compile(rf"(?P<level>{_LEVEL}):(?P<logger>[\w.]+):(?P<body>.*)$")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

Record = tuple[int, list[str]]


def begins_record(text: str) -> bool:
    """Whether a line begins a record or a traceback."""
    text = uncoloured(text)
    return _matched(text) is not None or _begins_traceback(text)


def _begins_traceback(text: str) -> bool:
    return text.lstrip().startswith((HEADER, "+ Exception Group " + HEADER))


def uncoloured(text: str) -> str:
    """A line without the escape sequences that colour it in a terminal."""
    return _COLOUR.sub("", text) if "\x1b" in text else text


def read(lines: Lines, sink: Sink) -> None:
    """Read plain-text logs from `lines` into `sink`."""
    for line, record in records(lines, sink, lambda text: _matched(text) is not None):
        _add(record, line, sink)


def records(lines: Lines, sink: Sink, begins: Callable[[str], bool]) -> Iterator[Record]:
    """The records of a log with the line where each begins.

    A record goes on to the next line that `begins` one; a Python traceback begins one
    where there is none before it. Lines that belong to none are refused.
    """
    record: list[str] = []
    began = 0
    for coloured in lines:
        text = uncoloured(coloured)
        if begins(text) or (not record and _begins_traceback(text)):
            if record:
                yield began, record
            record, began = [text], lines.read
        elif record:
            record.append(text)
        elif text.strip():
            sink.refuse(lines.read, "this line belongs to no log record")
        else:
            lines.passed_over += 1
    if record:
        yield began, record


@lru_cache(maxsize=16)  # the line that began a record is looked at again when it is added
def _matched(text: str) -> re.Match[str] | None:
    return _RECORD.match(text) or _LEVEL_FIRST.match(text)


DIVIDE = divided_at(lambda line: _matched(uncoloured(line.decode("utf-8", "replace"))) is not None)


def _add(record: list[str], line: int, sink: Sink) -> None:
    text = "\n".join(record).rstrip()
    error = exception_in(text)
    match = _matched(record[0])
    parts = match.groupdict() if match else {}
    rest = [] if any(error) else record[1:]
    body = "\n".join([parts.get("body", text.rpartition("\n")[2]), *rest]).strip()
    level = parts.get("level") or parts.get("boxed")
    add_log(
        sink,
        time_ns=time_ns((parts.get("time") or "").replace("/", "-")),
        severity=severity_name(level) or ("error" if any(error) else None),
        body=body,
        logger=parts.get("first") or parts.get("bracketed") or parts.get("logger"),
        resource=NOBODY,
        ids=(None, None),
        error=error,
        attributes={},
        line=line,
    )
