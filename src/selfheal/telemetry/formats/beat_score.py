"""What a beat log plays: sequences, movements and beats, put together from its lines.

A conductor tells of one thing in several lines, and prints a duration up to three times.
Here each thing is one span. Which line is about which span follows from the order: a
line belongs to what plays unless it says another number or name, or what plays has had
such a line already. Of several durations the one with decimals counts. Names, events
and handlers are added where a later line knows them; state changes may come when the
next beats play already and find theirs by request, event and sequence.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from selfheal.telemetry.formats.attributes import json_text
from selfheal.telemetry.formats.beat_parts import (
    Part,
    Sequence,
    Statement,
    attributes_of_part,
    error_of_part,
)
from selfheal.telemetry.formats.events import NOBODY, add_exception
from selfheal.telemetry.sink import Sink

Ids = tuple[str | None, str | None]

# So many sequences are kept after their end, for state changes that come late.
_KEPT = 8
_QUEUED = 1000
_LONGEST_STACK = 200
# A sequence that never ends keeps so many parts.
_LONGEST = 10_000


class Score:
    """Follows the statements of a log and writes spans. `play` gives the ids of the span."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._played: deque[Sequence] = deque()
        self._sequence: Sequence | None = None
        self._queued: dict[str, int | None] = {}
        self._failure: Part | None = None
        self._statements: dict[str, Callable[[Statement], Part | None]] = {
            "sequence_started": self._sequence_started,
            "requested": self._requested,
            "movement_started": self._movement_started,
            "movement_completed": self._movement_ended,
            "movement_failed": self._movement_ended,
            "beat_started": self._beat_started,
            "beat_emitted": self._beat_started,
            "beat_event": self._beat_event,
            "beat_completed": self._beat_ended,
            "beat_failed": self._beat_ended,
            "sequence_completed": self._sequence_ended,
            "sequence_failed": self._sequence_ended,
        }

    def play(self, told: Statement, attributes: dict[str, Any]) -> Ids:
        """Take in a statement; `attributes` are those of its record."""
        self._failure = None
        if told.name == "state":
            return self._state(attributes)
        if told.name == "queued":
            if len(self._queued) < _QUEUED:
                self._queued[told.said["sequence"]] = told.time_ns
            return None, None
        known = self._statements.get(told.name)
        part = known(told) if known else None
        if part is None or self._sequence is None:
            return None, None
        if told.name.endswith("_failed"):
            part.failed = True
            part.error = [told.said["error"]] if "error" in told.said else part.error
            self._failure = part
        return self._ids(self._sequence, part)

    def add_frame(self, text: str) -> bool:
        """A line of a stack trace: belongs to what failed in the line before it, if anything."""
        if self._failure is None or len(self._failure.error) > _LONGEST_STACK:
            return False
        self._failure.error.append(text)
        return True

    def end(self) -> None:
        """Write what is left."""
        self._put_away()
        while self._played:
            self._write(self._played.popleft())

    # Statements. Each gives the part that it is about.

    def _sequence_started(self, told: Statement) -> Part:
        return self._new_sequence(told.said["sequence"], told.time_ns, told.line)

    def _requested(self, told: Statement) -> Part | None:
        if self._sequence and not self._sequence.ended and self._sequence.request is None:
            self._sequence.request = told.said["request"]
            return self._sequence
        return None

    def _movement_started(self, told: Statement) -> Part:
        sequence = self._playing(told)
        title = told.said["movement"]
        part = sequence.playing
        if part is None or part.ended or part.name != title or told.key in part.seen:
            part = Part("movement", told.line, name=title)
            sequence.playing, sequence.beat = part, None
            sequence.parts.append(part)
        part.begin(told)
        return part

    def _movement_ended(self, told: Statement) -> Part | None:
        sequence, title = self._sequence, told.said.get("movement")
        if sequence is None:
            return None
        part = sequence.playing
        if part is None or (title and part.name not in (None, title)):
            if title is None:
                return None
            part = Part("movement", told.line, name=title)
            sequence.playing = part
            sequence.parts.append(part)
        part.end(told)
        return part

    def _beat_started(self, told: Statement) -> Part:
        sequence = self._playing(told)
        beat = sequence.beat
        if beat is None or beat.ended or told.key in beat.seen or not beat.may_be(told):
            beat = self._new_beat(sequence, told)
        beat.begin(told)
        return beat

    def _beat_event(self, told: Statement) -> Part | None:
        beat = self._sequence.beat if self._sequence else None
        if beat is None or beat.ended or not beat.may_be(told):
            return None
        beat.event = told.event
        return beat

    def _beat_ended(self, told: Statement) -> Part | None:
        sequence = self._playing(told)
        beat = sequence.beat
        if beat is None or told.key in beat.seen or not beat.may_be(told):
            if told.beat is None:
                return None
            beat = self._new_beat(sequence, told)
        beat.end(told)
        return beat

    def _sequence_ended(self, told: Statement) -> Part:
        sequence, title = self._sequence, told.said["sequence"]
        if sequence is None or sequence.name not in (None, title) or told.key in sequence.seen:
            sequence = self._new_sequence(title, None, told.line)
        sequence.name = title
        sequence.end(told)
        return sequence

    def _state(self, attributes: dict[str, Any]) -> Ids:
        """A handler changed the state, or did not: told to the beat of its event."""
        event, number = attributes.get("beat.event"), attributes.get("beat.number")
        for sequence in self._matching(attributes):
            beat = sequence.latest(event, number)
            if beat is None:
                continue
            for name in ("beat.handler", "beat.plugin"):
                if name in attributes:
                    beat.attributes[name] = attributes[name]
            for name in ("state.added", "state.changed", "state.removed"):
                keys = beat.attributes.setdefault(name, []) if name in attributes else []
                keys.extend(key for key in attributes.get(name, ()) if key not in keys)
            return self._ids(sequence, beat)
        return None, None

    def _matching(self, attributes: dict[str, Any]) -> Iterator[Sequence]:
        """Sequences that a state change may be of, the likeliest first."""
        recent = [*([self._sequence] if self._sequence else []), *reversed(self._played)]
        request, name = attributes.get("beat.request_id"), attributes.get("beat.sequence")
        yield from (one for one in recent if request and one.request == request)
        yield from (one for one in recent if name and one.name == name)
        # A handler that serves several beats at once names its sequence with a remark.
        yield from (one for one in recent if name and one.name and name.startswith(one.name))

    # What plays.

    def _playing(self, told: Statement) -> Sequence:
        """The sequence that a statement on a part is about.

        A new one where it names another, or begins again; a nameless one where the log
        has not told of any.
        """
        sequence, title = self._sequence, told.said.get("sequence")
        if sequence is None:
            return self._new_sequence(title, told.time_ns if title else None, told.line)
        if title is not None:
            if sequence.ended or sequence.name not in (None, title):
                return self._new_sequence(title, told.time_ns, told.line)
            sequence.name = title
            return sequence
        beat = sequence.beat
        another = beat is None or not beat.may_be(told) or told.key in beat.seen
        if sequence.ended and another:
            return self._new_sequence(None, None, told.line)
        if sequence.name is None and another and beat and told.beat is not None:
            begins_again = told.beat <= (beat.number or 0)
            if begins_again or len(sequence.parts) > _LONGEST:
                return self._new_sequence(None, None, told.line)
        return sequence

    def _new_sequence(self, title: str | None, at: int | None, line: int) -> Sequence:
        self._put_away()
        sequence = Sequence("sequence", line, name=title, start_ns=at)
        queued = self._queued.pop(title, None) if title else None
        if queued is not None and at is not None:
            sequence.attributes["queue.wait_ms"] = (at - queued) / 1e6
        self._sequence = sequence
        return sequence

    def _new_beat(self, sequence: Sequence, told: Statement) -> Part:
        beat = Part("beat", told.line, movement=sequence.playing)
        sequence.beat = beat
        if len(sequence.parts) <= _LONGEST:
            sequence.parts.append(beat)
        return beat

    def _put_away(self) -> None:
        if self._sequence is not None:
            self._played.append(self._sequence)
            self._sequence = None
        if len(self._played) > _KEPT:
            self._write(self._played.popleft())

    # Spans.

    def _ids(self, sequence: Sequence, part: Part) -> tuple[str, str]:
        trace = f"{self._sink.name}\x00{sequence.line}"
        own = f"{self._sink.name}\x00{part.kind}\x00{part.line}"
        return _digest(trace, 32), _digest(own, 16)

    def _write(self, sequence: Sequence) -> None:
        if sequence.name is not None:
            if sequence.start_ns is None and sequence.ended_ns is None:
                # Without a time of its own it began with the first of its parts.
                starts = [part.start_ns for part in sequence.parts if part.start_ns is not None]
                sequence.start_ns = min(starts, default=None)
            self._write_span(sequence, sequence, None, sequence.name)
        for part in sequence.parts:
            if part.kind == "movement":
                if sequence.name is not None:
                    name = f"{sequence.name}/{part.name}"
                    self._write_span(sequence, part, sequence, name)
            elif part.ended or any(key[0] != "beat_emitted" for key in part.seen):
                parent = part.movement or sequence
                name = part.event or f"{sequence.name or 'unknown sequence'}/beat {part.number}"
                self._write_span(sequence, part, parent if sequence.name else None, name)

    def _write_span(
        self, sequence: Sequence, part: Part, parent: Part | None, operation: str
    ) -> None:
        sink = self._sink
        trace_id, span_id = self._ids(sequence, part)
        start, end, duration = part.times()
        sink.without_timestamp += start is None
        status = "error" if part.failed else "ok" if part.ended else "unset"
        sink.spans.add(
            (
                sink.spans.written,
                trace_id,
                span_id,
                self._ids(sequence, parent)[1] if parent else None,
                *NOBODY,
                operation,
                "internal",
                start,
                end,
                duration,
                status,
                part.attributes.get("beat.handler"),
                *[None] * 11,
                None,
                json_text(attributes_of_part(sequence, part)),
                sink.source,
                part.line,
            )
        )
        below = any(one.failed for one in sequence.parts if one is not part)
        if part.failed and not (below and part.kind != "beat"):
            add_exception(
                sink,
                origin="span",
                time_ns=part.ended_ns or end,
                resource=NOBODY,
                operation=operation,
                logger=None,
                ids=(trace_id, span_id),
                error=error_of_part(part),
                escaped=True,
                line=part.line,
            )


@lru_cache(maxsize=1024)
def _digest(text: str, size: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:size]
