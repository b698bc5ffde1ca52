"""The journal of a run: append-only JSON lines, each with a checksum.

    {"checksum":"1c2d3e4f","event":{"at":"…","event":"beat_finished",…,"seq":17}}

A line counts once it is whole: the newline is there and the CRC-32 of the event's
bytes is right. What a crash left behind the last whole line is cut before anything
is appended; a broken line anywhere else is a contradiction, not an accident.
"""

from __future__ import annotations

import json
import os
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from selfheal.errors import JournalError

Event = dict[str, Any]

_BEFORE, _BETWEEN, _AFTER = b'{"checksum":"', b'","event":', b"}\n"
_BODY = len(_BEFORE) + 8 + len(_BETWEEN)


def encode(event: Event) -> bytes:
    """One line of the journal."""
    body = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    raw = body.encode("utf-8", "surrogatepass")
    return _BEFORE + b"%08x" % zlib.crc32(raw) + _BETWEEN + raw + _AFTER


def decode(line: bytes) -> Event | None:
    """The event of a line with its newline, None where the line is not whole."""
    if not line.endswith(_AFTER):
        return None
    raw = line[_BODY : -len(_AFTER)]
    if line[:_BODY] != _BEFORE + b"%08x" % zlib.crc32(raw) + _BETWEEN:
        return None
    try:
        event = json.loads(raw.decode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def parse(content: bytes, where: str = "journal") -> tuple[list[Event], int]:
    """The whole events and the length of the bytes that hold them.

    Raises JournalError where a broken line is followed by a whole one, or where the
    events do not count 0, 1, 2, …
    """
    events: list[Event] = []
    length = 0
    lines = _lines(content)
    for number, line in enumerate(lines, 1):
        event = decode(line)
        if event is None:
            if any(decode(later) is not None for later in lines[number:]):
                raise JournalError("a line in the middle is broken.", where=f"{where}:{number}")
            break
        if event.get("seq") != len(events):
            raise JournalError(
                f"event {event.get('seq')} stands where {len(events)} belongs.",
                where=f"{where}:{number}",
            )
        events.append(event)
        length += len(line)
    return events, length


def _lines(content: bytes) -> list[bytes]:
    pieces = content.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def read_journal(path: Path) -> list[Event]:
    """The whole events of a journal that somebody else may be writing."""
    try:
        return parse(path.read_bytes(), str(path))[0]
    except FileNotFoundError:
        return []


class Journal:
    """A journal open for appending; the caller holds the run's lock."""

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        """Open or make the journal and cut a torn tail. `durable` syncs every event to disk."""
        self.path = path
        self.durable = durable
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        content = path.read_bytes()
        self.events, length = parse(content, str(path))
        if length < len(content):
            os.ftruncate(self._file, length)

    def append(self, kind: str, **fields: Any) -> Event:
        """Append one event; when this returns, it survives the death of the process."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {"seq": len(self.events), "at": now, "event": kind, **fields}
        line = encode(event)
        written = os.write(self._file, line)
        if written != len(line):
            raise JournalError("the disk took only a part of an event.", where=str(self.path))
        if self.durable:
            os.fsync(self._file)
        self.events.append(event)
        return event

    def close(self) -> None:
        os.close(self._file)
