"""What a beat log tells of: statements, and the sequences, movements and beats they are about."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from selfheal.telemetry.formats.events import ErrorDetails
from selfheal.telemetry.formats.times import time_ns

_TYPED = re.compile(r"(?:Uncaught )?(?P<type>[A-Z]\w*(?:Error|Exception))(?:: (?P<message>.*))?$")


class Statement(NamedTuple):
    """What a line says: `said` holds its words, `printer` who prints such lines."""

    name: str
    said: dict[str, str]
    printer: str
    time_ns: int | None
    line: int

    @property
    def key(self) -> tuple[str, str]:
        """Two lines with the same key are about two things."""
        return self.name, self.printer

    @property
    def beat(self) -> int | None:
        """The number of the beat that it names."""
        return int(self.said["beat"]) if "beat" in self.said else None

    @property
    def event(self) -> str | None:
        return self.said.get("event")


@dataclass
class Part:
    """A sequence, a movement or a beat that plays or has played."""

    kind: Literal["sequence", "movement", "beat"]
    line: int
    name: str | None = None
    number: int | None = None
    event: str | None = None
    start_ns: int | None = None
    ended_ns: int | None = None
    duration_ms: float | None = None
    precise: bool = False
    ended: bool = False
    failed: bool = False
    error: list[str] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    attributes: dict[str, Any] = field(default_factory=dict)
    movement: Part | None = None

    def begin(self, told: Statement) -> None:
        """It begins. Of several lines that say so, the last stands at the start of its clock."""
        self.seen.add(told.key)
        self._know(told)
        emitted = time_ns(told.said.get("at"))
        at = told.time_ns if emitted is None else emitted
        self.start_ns = self.start_ns if at is None else at
        if "perf" in told.said:
            self.attributes["beat.emitted_perf_ms"] = float(told.said["perf"])

    def end(self, told: Statement) -> None:
        """It is over. A duration counts once: the one with decimals."""
        self.seen.add(told.key)
        self._know(told)
        self.ended = True
        self.ended_ns = told.time_ns if self.ended_ns is None else self.ended_ns
        text = told.said.get("ms")
        if text and (self.duration_ms is None or ("." in text and not self.precise)):
            self.duration_ms, self.precise = float(text), "." in text

    def may_be(self, told: Statement) -> bool:
        """Whether a statement may be about this beat: neither number nor event contradict."""
        return (told.beat is None or self.number in (None, told.beat)) and (
            told.event is None or self.event in (None, told.event)
        )

    def _know(self, told: Statement) -> None:
        if self.kind == "beat":
            self.number = self.number if told.beat is None else told.beat
            self.event = self.event if told.event is None else told.event

    def times(self) -> tuple[int | None, int | None, float | None]:
        """Start, end and duration as far as they are known."""
        start, end, duration = self.start_ns, self.ended_ns, self.duration_ms
        if duration is None:
            known = start is not None and end is not None and end >= start
            return start, end, (end - start) / 1e6 if known else None  # type: ignore[operator]
        nanoseconds = round(duration * 1e6)
        if start is not None:
            end = start + nanoseconds
        elif end is not None:
            start = end - nanoseconds
        return start, end, duration


@dataclass
class Sequence(Part):
    """A sequence with what it played."""

    parts: list[Part] = field(default_factory=list)
    request: str | None = None
    playing: Part | None = None
    beat: Part | None = None

    def latest(self, event: str | None, number: int | None) -> Part | None:
        """The latest beat of an event, or with a number."""
        beats = (part for part in reversed(self.parts) if part.kind == "beat")
        return next(
            (
                beat
                for beat in beats
                if (event is not None and beat.event == event)
                or (event is None and number is not None and beat.number == number)
            ),
            None,
        )


def attributes_of_part(sequence: Sequence, part: Part) -> dict[str, Any]:
    """What a part's span says in its attributes."""
    movement = part if part.kind == "movement" else part.movement
    values = {
        "beat.part": part.kind,
        "beat.sequence": sequence.name,
        "beat.movement": movement.name if movement else None,
        "beat.number": part.number,
        "beat.event": part.event,
        "beat.request_id": sequence.request,
        **part.attributes,
    }
    return {name: value for name, value in values.items() if value is not None}


def error_of_part(part: Part) -> ErrorDetails:
    """What a failed part says of its error; its first line may name a type."""
    first = part.error[0] if part.error else ""
    match = _TYPED.match(first)
    kind = match["type"] if match else f"{part.kind} failed"
    message = (match["message"] or "") if match else first
    stack = "\n".join([f"{kind}: {message}", *part.error[1:]]) if len(part.error) > 1 else None
    return ErrorDetails(kind, message, stack)
