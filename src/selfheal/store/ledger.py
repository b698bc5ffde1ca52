"""What of which file has been read, so that nothing is read twice and nothing is missed.

A file is known by its content, not by its name: by hashes of the first and the last bytes
of what was seen of it. So a file that has grown is continued, one that was rotated away
(renamed, compressed, or copied and truncated) is recognised where it lies now, and one
that only has an old name is new. Reports (coverage, test results) are the exception: a
report at the same path is the next version of it.

Of what was seen, the first `offset` bytes are settled: nothing that is appended can change
what they say. The rest, such as a line without its end or a record that may go on, is read
too, and read again with what follows. How much is settled depends on the format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from selfheal.artifacts.model import Model
from selfheal.telemetry.formats import serilog, text
from selfheal.telemetry.sources import opened, utf16_encoding
from selfheal.telemetry.tracebacks import HEADER

EDGE_BYTES = 4096
_BLOCK = 1024 * 1024
REPORTS = frozenset(("coverage-json", "cobertura-xml", "junit-xml", "lcov", "pytest"))


class Entry(Model):
    """One file.

    `path` is where it was seen last, `source` its number in the store, `seen` how many
    decompressed bytes of it were read, `offset`, `lines` and `rows` (by table) how much of
    it is settled; `rest` is the part of the store that holds what is not. `head` and `tail` are SHA-256 of
    the first and last 4 KiB of what was seen, `sha256` of the file as it lay there.
    """

    path: str
    format: str
    source: int
    seen: int
    offset: int
    lines: int
    rows: dict[str, int]
    head: str
    tail: str
    sha256: str
    rest: str | None = None


@dataclass(frozen=True)
class Content:
    """The decompressed content of a file, of which `size` bytes on disk are looked at."""

    path: Path
    size: int

    def copy(self, offset: int, target: Path) -> None:
        """Write what follows after `offset` bytes to a file."""
        with opened(self.path, self.size) as file, target.open("wb") as out:
            _skip(file, offset)
            while block := file.read(_BLOCK):
                out.write(block)

    def edges(self, length: int) -> tuple[str, str] | None:
        """The hashes of the first and last bytes of the first `length`; None where it is shorter."""
        head = hashlib.sha256()
        with opened(self.path, self.size) as file:
            first = _read(file, min(EDGE_BYTES, length))
            head.update(first)
            start = max(0, length - EDGE_BYTES)
            last = first[start:]
            if start > len(first):
                _skip(file, start - len(first))
                last = b""
            last += _read(file, length - start - len(last))
        if len(first) < min(EDGE_BYTES, length) or len(last) < length - start:
            return None
        return head.hexdigest(), hashlib.sha256(last).hexdigest()

    def begins_with(self, entry: Entry) -> bool:
        """Whether it is the file of an entry, perhaps grown."""
        return self.edges(entry.seen) == (entry.head, entry.tail)


class Ledger:
    """The entries of a store, and the search among them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = list(entries)

    def find(self, path: Path, size: int, sha256: str, format: str) -> Entry | None:
        """The entry of a file that lies at `path` now; None where it is new."""
        here = [entry for entry in self.entries if entry.path == str(path)]
        elsewhere = [entry for entry in self.entries if entry.path != str(path)]
        known = next((e for e in (*here, *elsewhere) if e.sha256 == sha256), None)
        if known is not None:
            return known
        if format in REPORTS:
            return next((entry for entry in reversed(here) if entry.format == format), None)
        content = Content(path, size)
        for entry in sorted(here, key=lambda entry: -entry.seen):
            if _continuable(entry) and content.begins_with(entry):
                return entry
        for entry in sorted(elsewhere, key=lambda entry: -entry.seen):
            if _continuable(entry) and content.begins_with(entry) and _gone(entry):
                return entry
        return None

    def put(self, entry: Entry) -> None:
        """Add an entry, or put it in the place of the one of its source."""
        others = (e for e in self.entries if e.source != entry.source)
        self.entries = sorted((*others, entry), key=lambda e: e.source)


def settled(format: str, rest: Path, *, at_start: bool) -> int:
    """How many of the bytes in the file `rest` are settled, which follow on settled ones.

    `at_start` says that they are the beginning of the file.
    """
    ends = SETTLED.get(format)
    with rest.open("rb") as file:
        beginning = file.read(EDGE_BYTES)
        # Lines of UTF-16 do not end in a byte; a document over many lines is one event.
        over_lines = at_start and beginning.lstrip().split(b"\n")[0].strip() in (b"{", b"[")
        if ends is None or over_lines or (at_start and utf16_encoding(beginning)):
            return 0
        return ends(file, rest.stat().st_size)


def counted_lines(file: IO[bytes], length: int) -> int:
    """How many lines end within the next `length` bytes."""
    lines = 0
    while length and (block := file.read(min(_BLOCK, length))):
        lines += block.count(b"\n")
        length -= len(block)
    return lines


def _continuable(entry: Entry) -> bool:
    return entry.seen > 0 and entry.format not in REPORTS


def _gone(entry: Entry) -> bool:
    """Whether the file no longer lies where it was seen last."""
    path = Path(entry.path)
    try:
        return not Content(path, path.stat().st_size).begins_with(entry)
    except (OSError, EOFError):
        return True


def _last_line(file: IO[bytes], size: int, wanted: Callable[[str], bool] | None) -> int:
    """Where the last line begins that is `wanted`; where lines end, if all are."""
    end = size
    following = b""
    while end:
        start = max(0, end - _BLOCK)
        file.seek(start)
        block = file.read(end - start) + following
        first = 0 if start == 0 else block.find(b"\n") + 1 or len(block)
        if wanted is None and (last := block.rfind(b"\n")) >= 0:
            return start + last + 1
        if wanted is not None and (place := _last_wanted(block, first, wanted)) is not None:
            return start + place
        following = block[:first] if start else b""
        end = start
    return 0


def _last_wanted(block: bytes, first: int, wanted: Callable[[str], bool]) -> int | None:
    end = len(block)
    while end > first:
        begin = block.rfind(b"\n", first, end - 1) + 1 or first
        if wanted(block[begin:end].decode("utf-8", "replace").rstrip("\r\n")):
            return begin
        end = begin
    return None


def _after_last_line(file: IO[bytes], size: int) -> int:
    return _last_line(file, size, None)


def _at_last_record(begins: Callable[[str], bool]) -> Callable[[IO[bytes], int], int]:
    # A traceback belongs to the record before it, where there is one.
    def wanted(line: str) -> bool:
        return HEADER not in line and begins(line)

    return lambda file, size: _last_line(file, size, wanted)


# Formats that are not here are read again as a whole when they have grown.
SETTLED: Mapping[str, Callable[[IO[bytes], int], int]] = {
    "otlp-json": _after_last_line,
    # Loggers write tracebacks as plain lines after the object.
    "json-lines": _at_last_record(lambda line: line.startswith("{")),
    "serilog-compact": _after_last_line,
    "clickhouse-json": _after_last_line,
    "access-log": _after_last_line,
    "text": _at_last_record(text.begins_record),
    "serilog-text": _at_last_record(serilog.begins_record),
}


def _read(file: IO[bytes], length: int) -> bytes:
    """The next `length` bytes, or all that there are."""
    parts = []
    while length and (block := file.read(min(_BLOCK, length))):
        parts.append(block)
        length -= len(block)
    return b"".join(parts)


def _skip(file: IO[bytes], length: int) -> None:
    while length and (block := file.read(min(_BLOCK, length))):
        length -= len(block)
