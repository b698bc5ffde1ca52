"""Timestamps as logs write them, as nanoseconds since 1970 UTC."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)
_INT64_MAX = 2**63 - 1
# Seconds, milliseconds, microseconds and nanoseconds are told apart by their size:
# each limit is the year 5138 in its unit and 1973 in the next finer one.
_UNITS = ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3), (float("inf"), 1))
_TO_SECONDS = len("2024-05-01T12:00:00")
_TO_THE_SECOND = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", re.ASCII)
_BEHIND = re.compile(r"(?:[.,](\d{1,9})\d*)? ?(Z|UTC|[+-]\d\d:?\d\d)?", re.ASCII)
_ACCESS = re.compile(
    r"(\d\d)/(\w{3})/(\d{4})[: ](\d\d):(\d\d):(\d\d)(?: ([+-])(\d\d)(\d\d))?", re.ASCII
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def time_ns(value: Any) -> int | None:
    """A time as nanoseconds; None where it is missing or cannot be read.

    Numbers are seconds to nanoseconds since 1970 by their size; texts are ISO 8601 with
    ``T`` or a space, a point or a comma. A text without an offset is taken as UTC.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return _from_text(value.strip())
    if not isinstance(value, (int, float)):
        return None
    try:
        if not math.isfinite(value) or value <= 0:
            return None
        factor = next(factor for limit, factor in _UNITS if value < limit)
        whole = int(value)
        return _in_range(whole * factor + round((value - whole) * factor))
    except OverflowError:
        return None


@lru_cache(maxsize=4096)
def access_time_ns(text: str) -> int | None:
    """The time of an access log, as ``01/May/2024:12:00:00 +0200``.

    Python's own servers write a space before the hour and no offset: taken as UTC.
    """
    match = _ACCESS.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        return None
    day, _, year, hour, minute, second, sign, hours, minutes = match.groups()
    try:
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        moment = datetime(
            int(year), _MONTHS.index(match[2]) + 1, int(day), int(hour), int(minute), int(second),
            tzinfo=timezone(-offset if sign == "-" else offset),
        )  # fmt: skip
        return _in_range((moment - _EPOCH) // _SECOND * 10**9)
    except (ValueError, OverflowError):
        return None


def _from_text(text: str) -> int | None:
    try:
        behind = _behind_seconds(text[_TO_SECONDS:])
        seconds = None if behind is None else _seconds(text[:_TO_SECONDS], behind[1])
        if behind is not None and seconds is not None:
            # datetime holds microseconds; what is finer is added by hand.
            return _in_range(seconds * 10**9 + behind[0])
        moment = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return _in_range((moment - _EPOCH) // _MICROSECOND * 1000)
    except (ValueError, OverflowError):
        return _from_number(text)


@lru_cache(maxsize=4096)
def _behind_seconds(text: str) -> tuple[int, str | None] | None:
    """Nanoseconds and zone, as they stand behind day and clock; None where it is something else."""
    match = _BEHIND.fullmatch(text)
    return match and (int(match[1].ljust(9, "0")) if match[1] else 0, match[2])


@lru_cache(maxsize=4096)
def _seconds(text: str, zone: str | None) -> int | None:
    """Day and clock as seconds since 1970; None where it is something else."""
    if not _TO_THE_SECOND.fullmatch(text):
        return None
    hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:])
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("no time of a day")
    return _midnight(text[:10], zone) + 3600 * hour + 60 * minute + second


@lru_cache(maxsize=256)
def _midnight(day: str, zone: str | None) -> int:
    offset = "+00:00" if zone in (None, "Z", "UTC") else zone
    return (datetime.fromisoformat(f"{day}T00:00:00{offset}") - _EPOCH) // _SECOND


def _from_number(text: str) -> int | None:
    for kind in (int, float):
        try:
            return time_ns(kind(text))
        except ValueError:
            continue
    return None


def _in_range(nanoseconds: int) -> int | None:
    return nanoseconds if 0 < nanoseconds <= _INT64_MAX else None
