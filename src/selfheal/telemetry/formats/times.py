"""Timestamps as logs write them, as nanoseconds since 1970 UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Seconds, milliseconds, microseconds and nanoseconds are told apart by their size:
# each limit is the year 5138 in its unit and 1973 in the next finer one.
_UNITS = ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3), (float("inf"), 1))


def time_ns(value: Any) -> int | None:
    """A time as nanoseconds; None where it is missing or cannot be read.

    Numbers are seconds to nanoseconds since 1970 by their size; texts are ISO 8601 with
    ``T`` or a space, a point or a comma. A text without an offset is taken as UTC.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, (int, float)) and math.isfinite(value) and value > 0:
        factor = next(factor for limit, factor in _UNITS if value < limit)
        whole = int(value)
        nanoseconds = whole * factor + round((value - whole) * factor)
        return nanoseconds if nanoseconds < 2**63 else None
    return None


def _from_text(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    except ValueError:
        return _from_number(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    nanoseconds = (moment - _EPOCH) // _MICROSECOND * 1000
    return nanoseconds if 0 < nanoseconds < 2**63 else None


def _from_number(text: str) -> int | None:
    for kind in (int, float):
        try:
            return time_ns(kind(text))
        except ValueError:
            continue
    return None
