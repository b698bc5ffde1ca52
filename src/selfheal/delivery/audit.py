"""The audit log: who let what through, append-only, each entry bound to the one before.

``audit.jsonl`` of the artifacts folder holds one canonical JSON object a line. `sha256`
is the hash of the entry without it, and `previous` that of the entry before (Haber and
Stornetta, "How to time-stamp a digital document", 1991): an entry that was changed,
taken out or put in breaks the chain there. What was cut off at the end is seen by who
knows a later hash; `selfheal audit` prints the last one for that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from selfheal.artifacts.canonical import canonical_bytes, sha256_of
from selfheal.artifacts.locking import exclusive
from selfheal.artifacts.model import Model
from selfheal.contract import Effects
from selfheal.errors import InvalidInput

FILE = "audit.jsonl"
BEGINNING = "0" * 64


class Entry(Model):
    """One thing that happened: `event` to `subject` by `by`, at `at` (ISO 8601, UTC)."""

    number: int
    at: str
    event: str
    by: str
    run_id: str | None
    subject: str
    details: dict[str, Any]
    previous: str
    sha256: str

    @property
    def expected(self) -> str:
        """The hash that this entry must have."""
        return sha256_of(canonical_bytes(self.model_dump(mode="json", exclude={"sha256"})))


class Verified(Model):
    """What verifying found. `broken` is the line and what is wrong there, None if nothing is."""

    entries: int
    head: str
    broken: str | None = None


def record(
    artifacts: Path,
    event: str,
    *,
    by: str,
    subject: str,
    run_id: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Entry:
    """Append an entry; it is on disk when this returns. Raises InvalidInput on a broken log."""
    artifacts.mkdir(parents=True, exist_ok=True)
    with exclusive(artifacts / FILE) as file:
        last = _last(file, artifacts / FILE)
        draft = Entry(
            number=last.number + 1 if last else 1,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            event=event,
            by=by,
            run_id=run_id,
            subject=subject,
            details=dict(details or {}),
            previous=last.sha256 if last else BEGINNING,
            sha256="",
        )
        entry = draft.model_copy(update={"sha256": draft.expected})
        os.write(file, canonical_bytes(entry.model_dump(mode="json")))
        os.fsync(file)
    return entry


def record_once(
    effects: Effects,
    artifacts: Path,
    event: str,
    *,
    by: str,
    subject: str,
    run_id: str,
    **details: Any,
) -> None:
    """`record`, once in a run for the same event and subject, over crashes and resumes."""

    def perform() -> int:
        return record(
            artifacts, event, by=by, subject=subject, run_id=run_id, details=details
        ).number

    def probe() -> int | None:
        for entry in read(artifacts):
            if (entry.event, entry.subject, entry.run_id) == (event, subject, run_id):
                return entry.number
        return None

    effects.once(f"audit:{event}:{subject}", perform, probe)


def read(artifacts: Path) -> list[Entry]:
    """The whole entries, oldest first. Raises InvalidInput where a line is no entry."""
    return [entry for entry, _ in _lines(artifacts / FILE)]


def verify(artifacts: Path, *, known: str | None = None) -> Verified:
    """Check the chain from its beginning; `known` is a hash that must be in it."""
    previous, count, seen = BEGINNING, 0, known is None
    try:
        for entry, line in _lines(artifacts / FILE):
            broken = _broken(entry, previous, count + 1)
            if broken is not None:
                return Verified(entries=count, head=previous, broken=f"line {line}: {broken}")
            previous, count = entry.sha256, count + 1
            seen = seen or entry.sha256 == known
    except InvalidInput as error:
        return Verified(entries=count, head=previous, broken=f"{error.where}: {error.message}")
    broken = None if seen else f"no entry has the hash {known}: the log was cut or replaced"
    return Verified(entries=count, head=previous, broken=broken)


def _broken(entry: Entry, previous: str, number: int) -> str | None:
    if entry.sha256 != entry.expected:
        return "the entry was changed: its hash does not fit"
    if entry.previous != previous:
        return "an entry before it was taken out, put in or changed"
    if entry.number != number:
        return f"it has the number {entry.number}, and {number} is due"
    return None


def _lines(path: Path) -> Iterator[tuple[Entry, int]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    # A last line without an end was never committed: its writer was killed.
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        yield _entry(line, f"line {number}"), number


def _entry(line: bytes, where: str) -> Entry:
    try:
        return Entry.model_validate(json.loads(line))
    except (ValueError, ValidationError) as error:
        raise InvalidInput(
            "this is no entry of an audit log.",
            where=where,
            hint="Keep the file as it is for whoever looks into it, and move it away to go on.",
        ) from error


def _last(file: int, path: Path) -> Entry | None:
    """The last whole entry; what a killed writer left behind it is cut off."""
    content = os.pread(file, os.fstat(file).st_size, 0)
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.ftruncate(file, len(whole))
    lines = whole.splitlines()
    return _entry(lines[-1], f"{path}:{len(lines)}") if lines else None
