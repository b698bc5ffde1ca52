"""What a caller hears of a run while it goes on, and what it gets at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from selfheal.artifacts import Model
from selfheal.engine.record import BeatState, RunState


class Observer:
    """Told by the coordinator, in its thread, of every step; override what you need."""

    def run_started(self, run_id: str, folder: Path, phases: list[str]) -> None:
        """The run folder is there and locked."""

    def phase_started(self, phase: str, beats: int) -> None:
        """A phase with so many beats begins."""

    def beat_started(self, phase: str, beat: str, attempt: int) -> None:
        """An attempt was handed to a worker."""

    def beat_reused(self, phase: str, beat: str, summary: str) -> None:
        """The stored result still holds; nothing is done."""

    def beat_retried(self, phase: str, beat: str, reason: str, pause: float) -> None:
        """An attempt failed; the next one begins after `pause` seconds."""

    def beat_finished(
        self, phase: str, beat: str, state: BeatState, elapsed: float, summary: str, reason: str
    ) -> None:
        """The last word on the beat in this session; seconds of the last attempt."""

    def phase_finished(self, phase: str, state: str, elapsed: float) -> None:
        """The phase succeeded, failed or waits."""

    def run_finished(self, state: RunState, reason: str) -> None:
        """The session ends."""


class BeatStatus(Model):
    """One beat. `stale` says why its result would not be used again, None if it would.

    It speaks of the beat itself: what reads a stale beat runs again only if other bytes
    come out of it.
    """

    phase: str
    beat: str
    title: str = ""
    kind: str = ""
    state: BeatState
    reason: str = ""
    hint: str = ""
    slug: str = ""
    summary: str = ""
    attempts: int = 0
    elapsed_seconds: float | None = None
    output: str | None = None
    stale: str | None = None


class RunResult(Model):
    """How a session ended. `slug` names the error class where a fault or wrong input ended it."""

    run_id: str
    folder: Path
    state: RunState
    reason: str = ""
    hint: str = ""
    slug: str = ""
    beats: list[BeatStatus]


class PhaseStatus(Model):
    phase: str
    state: str
    elapsed_seconds: float | None = None
    beats: list[BeatStatus]


class RunStatus(Model):
    """A run as its journal tells it; `pid` is the process that works on it now.

    `staleness_unknown` says why no beat's `stale` could be found out, empty if it was.
    """

    run_id: str
    folder: Path
    state: RunState
    reason: str = ""
    hint: str = ""
    started_at: str
    selfheal_version: str
    pid: int | None = None
    artifacts: dict[str, str]
    imports: dict[str, str]
    approval: dict[str, str] | None = None
    staleness_unknown: str = ""
    phases: list[PhaseStatus]


class RunSummary(Model):
    """One line of the list of runs."""

    run_id: str
    folder: Path
    state: RunState
    reason: str = ""
    started_at: str
    phases: list[str]
    repository: str | None
    artifacts: list[str]


class ReplayedBeat(Model):
    """`state` different and failed carry a reason; not_replayed says why."""

    phase: str
    beat: str
    state: Literal["identical", "different", "failed", "not_replayed"]
    reason: str = ""


class ReplayReport(Model):
    """`identical` is true where every replayed beat gave the stored bytes."""

    run_id: str
    identical: bool
    beats: list[ReplayedBeat]
