"""Windows and freezes: when nothing is shipped, and words for what is no window."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from selfheal.delivery.rollout_windows import closed
from selfheal.errors import ConfigurationError

WORK = ["Mon-Fri 09:00-16:00"]


@pytest.mark.parametrize(
    ("moment", "windows", "is_open"),
    [
        ("2026-11-25T10:00", WORK, True),
        ("2026-11-25T08:59", WORK, False),
        ("2026-11-25T16:00", WORK, False),
        ("2026-11-28T10:00", WORK, False),
        ("2026-11-28T10:00", [*WORK, "Sat 10:00-12:00"], True),
        ("2026-11-28T03:00", ["Fri 22:00-04:00"], True),
        ("2026-11-28T23:00", ["Fri 22:00-04:00"], False),
        ("2026-11-29T10:00", ["sat-mon 09:00-16:00"], True),
        ("2026-11-25T23:30", ["22:00-04:00"], True),
        ("2026-11-25T12:00", [], True),
    ],
)
def test_windows_are_weekly_and_may_go_past_midnight(
    moment: str, windows: list[str], is_open: bool
) -> None:
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert (closed(now, windows, [], "UTC") is None) == is_open


def test_a_window_is_read_in_its_time_zone() -> None:
    now = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)
    assert closed(now, WORK, [], "Europe/Berlin") is None
    assert "windows Mon-Fri 09:00-16:00 (UTC)" in str(closed(now, WORK, [], "UTC"))


@pytest.mark.parametrize(
    ("day", "frozen"), [(19, False), (20, True), (24, True), (26, True), (27, False)]
)
def test_a_freeze_has_both_its_days(day: int, frozen: bool) -> None:
    now = datetime(2026, 12, day, 12, tzinfo=UTC)
    told = closed(now, [], ["2026-12-20/2026-12-26"], "UTC")
    assert (told is not None) == frozen
    assert closed(now, [], [f"2026-12-{day}"], "UTC") is not None


@pytest.mark.parametrize(
    ("windows", "freezes", "timezone"),
    [
        (["always"], [], "UTC"),
        (["Mon-Fry 09:00-16:00"], [], "UTC"),
        (["Mon 25:00-26:00"], [], "UTC"),
        ([], ["christmas"], "UTC"),
        ([], [], "Mars/Olympus"),
    ],
)
def test_what_is_no_window_is_refused_in_words(
    windows: list[str], freezes: list[str], timezone: str
) -> None:
    with pytest.raises(ConfigurationError) as found:
        closed(datetime.now(UTC), windows, freezes, timezone)
    assert found.value.hint
