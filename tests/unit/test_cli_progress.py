"""Progress on stderr: lines for people where nobody looks, a living line on a terminal."""

from __future__ import annotations

import io
from pathlib import Path

from selfheal.cli.console import Console
from selfheal.cli.progress import Progress, Silent, observer_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(progress: Progress) -> None:
    with progress:
        progress.run_started("r1", Path("x"), ["detect"])
        progress.phase_started("detect", 3)
        progress.beat_started("detect", "find", 1)
        progress.beat_retried("detect", "find", "the disk\nis full", 1.5)
        progress.beat_finished("detect", "find", "succeeded", 1.234, "3 anomalies", "")
        progress.beat_reused("detect", "load", "2 tables")
        progress.beat_reused("detect", "count", "")
        progress.beat_finished("detect", "judge", "failed", 0.1, "", "no\ndata")


def test_without_a_terminal_each_step_is_a_plain_line() -> None:
    stream = io.StringIO()
    play(Progress(stream))
    lines = [" ".join(line.split()) for line in stream.getvalue().splitlines()]
    assert lines == [
        "run r1 detect",
        "detect ↻ find again in 1.5s: the disk is full",
        "detect ✓ find 1.23s 3 anomalies",
        "detect = 2 beats done before 2 tables",
        "detect ✗ judge 0.10s no data",
    ]
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_colour_unless_no_color(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    play(Progress(stream))
    assert "\x1b[32m✓\x1b[0m" in stream.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    play(Progress(stream))
    assert "\x1b[32m" not in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_quiet_is_silent() -> None:
    assert type(observer_for(Console(quiet=True))) is Silent
