"""Columns of time of a width that people can read."""

from __future__ import annotations

from typing import NamedTuple

from selfheal.reports.model import Options
from selfheal.reports.source import Source, ns_of

_MS, _SECOND = 1_000_000, 1_000_000_000
_MINUTE, _HOUR, _DAY = 60 * _SECOND, 3600 * _SECOND, 86_400 * _SECOND
WIDTHS: dict[int, str] = {
    **{number * _MS: f"{number} ms" for number in (1, 2, 5, 10, 20, 50, 100, 200, 500)},
    **{number * _SECOND: f"{number} s" for number in (1, 2, 5, 10, 15, 30)},
    **{number * _MINUTE: f"{number} min" for number in (1, 2, 5, 10, 15, 30)},
    **{number * _HOUR: f"{number} h" for number in (1, 2, 3, 6, 12)},
    **{number * _DAY: f"{number} d" for number in (1, 2, 7, 14, 30, 90, 365)},
}


class Buckets(NamedTuple):
    """`origin` is a multiple of the width; `start` and `end` are the first and last start (ns)."""

    origin: int
    width_ns: int
    number: int
    start: int
    end: int

    @property
    def width(self) -> str:
        return WIDTHS[self.width_ns]

    @property
    def starts(self) -> list[int]:
        return [self.origin + index * self.width_ns for index in range(self.number)]


def buckets(source: Source, options: Options, most: int) -> Buckets | None:
    """The finest columns of which at most `most` cover all spans; None where there are none."""
    found = source.rows("SELECT min(start_ns) AS first, max(start_ns) AS last FROM spans")[0]
    if found["first"] is None:
        return None
    start = max(ns_of(options.start) or found["first"], found["first"])
    end = min(ns_of(options.end) or found["last"], found["last"])
    if end < start:
        return None
    for width in WIDTHS:
        origin = start // width * width
        count = (end - origin) // width + 1
        if count <= most:
            return Buckets(origin, width, count, start, end)
    width = max(WIDTHS)
    origin = start // width * width
    return Buckets(origin, width, (end - origin) // width + 1, start, end)
