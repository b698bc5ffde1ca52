"""Progress of a run on stderr: phase, beat, elapsed, what it found."""

# ruff: noqa: ARG002  an observer is told more than it prints

from __future__ import annotations

import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self, TextIO

from selfheal.cli.console import STYLES, Console, coloured
from selfheal.engine.observer import Observer

MARKS = {
    "succeeded": ("✓", "green"),
    "failed": ("✗", "red"),
    "timed_out": ("✗", "red"),
    "cancelled": ("✗", "yellow"),
    "skipped": ("–", "dim"),
    "waiting": ("…", "yellow"),
    "reused": ("=", "dim"),
}
BEAT_WIDTH = 32
BAR_WIDTH = 20
REFRESH_SECONDS = 0.2


def observer_for(console: Console) -> Progress | JsonProgress | Silent:
    """The observer that the output options ask for; use it as a context manager."""
    if console.log_format == "json":
        return JsonProgress()
    return Silent() if console.quiet else Progress(sys.stderr)


class Silent(Observer):
    """Says nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class JsonProgress(Silent):
    """One log event per step, as JSON, by structlog."""

    def __init__(self) -> None:
        import structlog

        self._log: Any = structlog.get_logger("selfheal.run")

    def run_started(self, run_id: str, folder: Path, phases: list[str]) -> None:
        self._log.info("run_started", run_id=run_id, folder=str(folder), phases=phases)

    def phase_started(self, phase: str, beats: int) -> None:
        self._log.info("phase_started", phase=phase, beats=beats)

    def beat_started(self, phase: str, beat: str, attempt: int) -> None:
        self._log.info("beat_started", phase=phase, beat=beat, attempt=attempt)

    def beat_reused(self, phase: str, beat: str, summary: str) -> None:
        self._log.info("beat_reused", phase=phase, beat=beat, summary=summary)

    def beat_retried(self, phase: str, beat: str, reason: str, pause: float) -> None:
        self._log.warning("beat_retried", phase=phase, beat=beat, reason=reason, pause=pause)

    def beat_finished(
        self, phase: str, beat: str, state: str, elapsed: float, summary: str, reason: str
    ) -> None:
        self._log.info(
            "beat_finished",
            phase=phase,
            beat=beat,
            state=state,
            elapsed_seconds=round(elapsed, 3),
            summary=summary,
            reason=reason,
        )

    def phase_finished(self, phase: str, state: str, elapsed: float) -> None:
        self._log.info("phase_finished", phase=phase, state=state, elapsed_seconds=elapsed)

    def run_finished(self, state: str, reason: str) -> None:
        self._log.info("run_finished", state=state, reason=reason)


class Progress(Silent):
    """A line for each finished beat; on a terminal, a last line with what runs now."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = coloured(stream)
        self._live = stream.isatty()
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}
        self._phase, self._total, self._done = "", 0, 0
        self._reused, self._reused_summary = 0, ""
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        if self._live:
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._live:
            self._ticker.join()
            self._write("\r\x1b[K")

    def run_started(self, run_id: str, folder: Path, phases: list[str]) -> None:
        self._line(f"run {self._styled(run_id, 'bold')}  {' → '.join(phases)}")

    def phase_started(self, phase: str, beats: int) -> None:
        self._phase, self._total, self._done = phase, beats, 0

    def phase_finished(self, phase: str, state: str, elapsed: float) -> None:
        self._tell_reused(phase)

    def beat_started(self, phase: str, beat: str, attempt: int) -> None:
        self._tell_reused(phase)
        with self._lock:
            self._running[beat] = time.monotonic()

    def beat_reused(self, phase: str, beat: str, summary: str) -> None:
        with self._lock:
            self._done += 1
        self._reused += 1
        self._reused_summary = summary or self._reused_summary

    def beat_retried(self, phase: str, beat: str, reason: str, pause: float) -> None:
        self._line(f"{phase:<9} ↻ {beat:<{BEAT_WIDTH}} again in {pause:.1f}s: {_one_line(reason)}")

    def beat_finished(
        self, phase: str, beat: str, state: str, elapsed: float, summary: str, reason: str
    ) -> None:
        told = summary if state == "succeeded" else reason or summary
        self._finished(phase, beat, state, elapsed, told)

    def _finished(self, phase: str, beat: str, state: str, elapsed: float, told: str) -> None:
        self._tell_reused(phase)
        with self._lock:
            self._running.pop(beat, None)
            self._done += 1
        self._beat_line(phase, state, beat, f"{elapsed:.2f}s", told)

    def _tell_reused(self, phase: str) -> None:
        """One line for all beats that stand from before, so that a resume shows what is new."""
        if self._reused:
            beats = f"{self._reused} beat{'s' * (self._reused > 1)} done before"
            self._beat_line(phase, "reused", beats, "", self._reused_summary)
        self._reused, self._reused_summary = 0, ""

    def _beat_line(self, phase: str, state: str, beat: str, took: str, told: str) -> None:
        mark, style = MARKS[state]
        self._line(
            f"{phase:<9} {self._styled(mark, style)} {beat:<{BEAT_WIDTH}} {took:>8}  "
            f"{_one_line(told)}".rstrip()
        )

    def _line(self, text: str) -> None:
        self._write(("\r\x1b[K" if self._live else "") + text + "\n")

    def _write(self, text: str) -> None:
        with self._lock:
            self._stream.write(text)
            self._stream.flush()

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self._colour else text

    def _tick(self) -> None:
        while not self._stop.wait(REFRESH_SECONDS):
            with self._lock:
                now = time.monotonic()
                running = [f"{beat} {now - begun:.0f}s" for beat, begun in self._running.items()]
            if running:
                width = shutil.get_terminal_size().columns - 1
                self._write(f"\r\x1b[K{self._bar()} {', '.join(running)}"[: width + 4])

    def _bar(self) -> str:
        full = BAR_WIDTH * self._done // max(self._total, 1)
        bar = "█" * full + "░" * (BAR_WIDTH - full)
        return f"{self._phase:<9} {bar} {self._done}/{self._total}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
