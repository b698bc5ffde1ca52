"""When a rollout may go on: weekly windows and days on which nothing is shipped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from selfheal.errors import ConfigurationError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? +)?"
    r"(?P<opens>\d\d:\d\d)-(?P<closes>\d\d:\d\d)"
)


def closed(
    now: datetime, windows: Sequence[str], freezes: Sequence[str], timezone: str
) -> str | None:
    """Why nothing may be shipped at `now` (with a time zone), None if it may.

    A window is ``Mon-Fri 09:00-16:00``, ``Sat 10:00-12:00`` or ``22:00-04:00`` for every day;
    one that closes before it opens goes on past midnight. A freeze is a day or two days with a
    slash between, both included. Raises ConfigurationError where one is none.
    """
    try:
        local = now.astimezone(ZoneInfo(timezone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(
            f"{timezone!r} is no time zone.", where="deploy.timezone", hint="Write Europe/Berlin."
        ) from error
    for freeze in freezes:
        first, last = _freeze(freeze)
        if first <= local.date() <= last:
            return f"nothing is shipped in the freeze {freeze}"
    opened = [_is_open(local, window) for window in windows]
    if windows and not any(opened):
        return f"it is outside of the windows {', '.join(windows)} ({timezone})"
    return None


def _is_open(now: datetime, window: str) -> bool:
    found = _WINDOW.fullmatch(window.strip().lower())
    try:
        if found is None:
            raise ValueError(window)
        opens = time.fromisoformat(found["opens"])
        closes = time.fromisoformat(found["closes"])
        days = _days(found["first"], found["last"])
    except ValueError as error:
        raise ConfigurationError(
            f"{window!r} is no window.", where="deploy.windows", hint="Write Mon-Fri 09:00-16:00."
        ) from error
    moment, today = now.time(), now.weekday()
    if opens < closes:
        return today in days and opens <= moment < closes
    yesterday = (today - 1) % 7
    return (today in days and moment >= opens) or (yesterday in days and moment < closes)


def _days(first: str | None, last: str | None) -> set[int]:
    if first is None:
        return set(range(7))
    begin = _DAYS.index(first)
    end = _DAYS.index(last) if last else begin
    return {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}


def _freeze(text: str) -> tuple[date, date]:
    first, _, last = text.partition("/")
    try:
        return date.fromisoformat(first.strip()), date.fromisoformat((last or first).strip())
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is no freeze.", where="deploy.freezes", hint="Write 2026-12-20/2027-01-03."
        ) from error
