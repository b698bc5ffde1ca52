"""How long a run took, phase by phase, and how long it waited for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from selfheal.artifacts.times import RunTimes
from selfheal.engine.folder import RunFolder
from selfheal.engine.journal import Event, read_journal


def run_times(folder: RunFolder) -> RunTimes | None:
    """The times of a run; None where nothing of it was begun."""
    events = read_journal(folder.journal)
    started = [event["at"] for event in events if event["event"] == "session_started"]
    if not started:
        return None
    phases: dict[str, float] = {}
    for event in events:
        if event["event"] == "phase_finished":
            phases[event["phase"]] = phases.get(event["phase"], 0.0) + float(event["elapsed"])
    return RunTimes(
        run_id=folder.run_id,
        started_at=started[0],
        phases={phase: round(seconds, 3) for phase, seconds in phases.items()},
        waited=round(_waited(events), 3),
    )


def _waited(events: Sequence[Event]) -> float:
    total, since = 0.0, None
    for event in events:
        if event["event"] == "session_finished":
            since = _moment(event) if event.get("state") == "waiting" else None
        elif event["event"] == "session_started" and since is not None:
            total, since = total + (_moment(event) - since).total_seconds(), None
    return total


def _moment(event: Event) -> datetime:
    return datetime.fromisoformat(event["at"])
