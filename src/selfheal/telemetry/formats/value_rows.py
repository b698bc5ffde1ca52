"""Series as comma-separated rows: ``timestamp,value``, or a time and several named values.

The first column is the time (ISO 8601, or a number since 1970 from seconds to
nanoseconds), each other one a gauge that is named by the head; without a head there are
two columns and the gauge has the name of the file. An empty or not finite value is a
missing one.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import PurePosixPath

from selfheal.telemetry.formats.events import NOBODY
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Head, Lines

_TIMES = frozenset(("time", "timestamp", "timestamps", "ts", "date", "datetime", "date_time"))
_VALUES = frozenset(("value", "values", "y"))
# Smaller numbers are no times since 1970 but counts of something.
_EARLIEST_NS = 10**8 * 10**9


def is_series(head: Head) -> bool:
    """Recognises rows of a time and numbers, by the head or by the first two rows."""
    rows = [row for row in (head.text or "").splitlines()[:3] if row.strip()]
    if len(rows) < 2 or "," not in rows[0]:
        return False
    first, second = _fields(rows[0]), _fields(rows[1])
    if _is_head(first):
        return len(second) == len(first) > 1 and _is_row(second)
    return len(first) == len(second) == 2 and _is_row(first) and _is_row(second)


def read(lines: Lines, sink: Sink) -> None:
    """Read rows of values from `lines` into `sink`."""
    stem = PurePosixPath(sink.name).name.partition(".")[0]
    names: list[str] | None = None
    for text in lines.filled():
        fields = _fields(text)
        if names is None:
            if _is_head(fields):
                names = [stem if name.lower() in _VALUES else name for name in fields[1:]]
                lines.passed_over += 1
                continue
            names = [stem]
        moment = _moment(fields[0])
        if moment is None or len(fields) != len(names) + 1:
            sink.refuse(lines.read, f"no row of a time and {len(names)} values")
        elif not _add(moment, names, fields[1:], lines.read, sink):
            sink.refuse(lines.read, "a value of the row is no number")


def _fields(text: str) -> list[str]:
    try:
        return [field.strip() for field in next(csv.reader([text]), [""])]
    except csv.Error:  # a return inside of a row, which then has no fields
        return [""]


def _is_head(fields: Sequence[str]) -> bool:
    return fields[0].lower() in _TIMES and all(_number(field) is None for field in fields[1:])


def _is_row(fields: Sequence[str]) -> bool:
    told = [field for field in fields[1:] if field]
    return _moment(fields[0]) is not None and all(_number(field) is not None for field in told)


def _moment(text: str) -> int | None:
    moment = time_ns(text)
    return moment if moment is not None and moment >= _EARLIEST_NS else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _add(moment: int, names: Sequence[str], fields: Sequence[str], line: int, sink: Sink) -> bool:
    """Add the values of a row; nothing of a row with a field that is no number."""
    values = [_number(field) if field else math.nan for field in fields]
    if None in values:
        return False
    service, release, _, instance, *_ = NOBODY
    for name, value in zip(names, values, strict=True):
        if value is not None and math.isfinite(value):
            sink.metrics.add(
                (
                    moment, None, service, release, instance, name, "gauge", None, None, value,
                    None, None, None, None, None, None, None, sink.source, line,
                )
            )  # fmt: skip
    return True
