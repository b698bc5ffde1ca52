"""What a journal says, folded: the state of the run, its phases and its beats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from selfheal.engine.journal import Event

BeatState = Literal[
    "pending",
    "ready",
    "running",
    "succeeded",
    "failed",
    "timed_out",
    "cancelled",
    "skipped",
    "waiting",
]
RunState = Literal["running", "interrupted", "succeeded", "failed", "waiting", "cancelled"]
BeatId = tuple[str, str]


@dataclass
class BeatRecord:
    """The last word on one beat.

    `key` and `parts` say what its result was computed from, `output` and `files` which
    bytes it left: ``{"file", "sha256"}`` and sha256 by path.
    """

    state: BeatState = "pending"
    attempts: int = 0
    key: str | None = None
    parts: dict[str, Any] = field(default_factory=dict)
    output: dict[str, str] | None = None
    files: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    hint: str = ""
    slug: str = ""
    summary: str = ""
    elapsed: float | None = None
    started_at: str | None = None


@dataclass
class RunRecord:
    """A run as its journal tells it; the `elapsed` of a phase is that of all its sessions."""

    state: RunState = "interrupted"
    reason: str = ""
    hint: str = ""
    beats: dict[BeatId, BeatRecord] = field(default_factory=dict)
    phases: dict[str, dict[str, Any]] = field(default_factory=dict)
    approvals: list[dict[str, Any]] = field(default_factory=list)
    finished_order: list[BeatId] = field(default_factory=list)

    def beat(self, phase: str, name: str) -> BeatRecord:
        return self.beats.setdefault((phase, name), BeatRecord())


def fold(events: Iterable[Event]) -> RunRecord:
    """The state after these events; any prefix of a journal folds to a consistent state."""
    record = RunRecord()
    for event in events:
        apply(record, event)
    return record


def apply(record: RunRecord, event: Event) -> None:
    """Take one more event into the state."""
    match event["event"]:
        case "session_started":
            record.state, record.reason, record.hint = "running", "", ""
            for beat in record.beats.values():
                if beat.state == "running":
                    beat.state = "pending"
        case "phase_started":
            record.phases.setdefault(event["phase"], {"elapsed": 0.0})["state"] = "running"
        case "phase_finished":
            phase = record.phases.setdefault(event["phase"], {"elapsed": 0.0})
            phase["state"] = event["state"]
            phase["elapsed"] += event["elapsed"]
        case "beat_started":
            _started(record, event)
        case "beat_finished":
            _finished(record, event)
        case "beat_compensated":
            beat = record.beat(event["phase"], event["beat"])
            beat.state, beat.key, beat.output = "pending", None, None
            beat.reason = f"undone by {event['by']}"
        case "approval":
            record.approvals.append(event)
        case "session_finished":
            record.state = event["state"]
            record.reason, record.hint = event["reason"], event["hint"]


def _started(record: RunRecord, event: Event) -> None:
    beat = record.beat(event["phase"], event["beat"])
    beat.state = "running"
    beat.attempts += 1
    beat.started_at = event["at"]


def _finished(record: RunRecord, event: Event) -> None:
    beat = record.beat(event["phase"], event["beat"])
    beat.state = event["state"]
    beat.key, beat.parts = event.get("key"), event.get("parts", {})
    beat.output, beat.files = event.get("output"), event.get("files", {})
    beat.reason, beat.hint = event.get("reason", ""), event.get("hint", "")
    beat.slug, beat.summary = event.get("slug", ""), event.get("summary", "")
    beat.elapsed = event.get("elapsed")
    identity = (event["phase"], event["beat"])
    if identity in record.finished_order:
        record.finished_order.remove(identity)
    record.finished_order.append(identity)
