"""Unified diffs as data: which lines of a file a change replaced, and where lines went."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from selfheal.artifacts.model import Model

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}

FileStatus = Literal["added", "deleted", "modified", "renamed", "copied"]


class Hunk(Model):
    """Lines replaced without context: ``removed`` gave way to ``added``.

    `old_start` and `new_start` are the 1-based first lines of the two sides; where a
    side is empty, the line before which the other side's lines stood or stand.
    """

    old_start: int
    new_start: int
    removed: list[str]
    added: list[str]

    @property
    def old_count(self) -> int:
        return len(self.removed)

    @property
    def new_count(self) -> int:
        return len(self.added)


class FileDiff(Model):
    """One file's change. `old_path` is its name before; a binary file has no hunks."""

    path: str
    old_path: str
    status: FileStatus
    binary: bool
    hunks: list[Hunk]

    @property
    def size(self) -> int:
        """Lines removed plus lines added."""
        return sum(hunk.old_count + hunk.new_count for hunk in self.hunks)


class LineMap:
    """Where the lines of one version are in another, by the hunks between them.

    A line outside every hunk moved by the balance of the hunks before it; a line
    inside a hunk was changed and has no counterpart.
    """

    def __init__(self, hunks: Sequence[Hunk]) -> None:
        self._hunks = sorted(hunks, key=lambda hunk: (hunk.old_start, hunk.new_start))

    def to_new(self, line: int) -> int | None:
        """The 1-based line in the new version, None where the line was changed."""
        moved, inside = self._place(line)
        return None if inside else moved

    def nearest(self, line: int) -> int:
        """As `to_new`; a changed line gives the place of what replaced it."""
        return self._place(line)[0]

    def _place(self, line: int) -> tuple[int, bool]:
        offset = 0
        for hunk in self._hunks:
            if line < hunk.old_start:
                break
            if line < hunk.old_start + hunk.old_count:
                within = min(line - hunk.old_start, max(hunk.new_count - 1, 0))
                return max(hunk.new_start + within, 1), True
            offset += hunk.new_count - hunk.old_count
        return line + offset, False


def parse_diff(text: str) -> list[FileDiff]:
    """Read git's diff output, of any context width; context splits hunks.

    Lines end at ``\\n`` alone, as git counts them. Text before the first ``diff --git``
    is passed over.
    """
    lines = text.split("\n")
    starts = list(_file_starts(lines))
    ends = [*starts[1:], len(lines)]
    return [_file(lines[start:end]) for start, end in zip(starts, ends, strict=False)]


def _file_starts(lines: Sequence[str]) -> Iterator[int]:
    position = 0
    while position < len(lines):
        if lines[position].startswith("diff --git "):
            yield position
        match = _HUNK.match(lines[position])
        position += 1
        if match:
            position += _body_length(lines[position:], *_counts(match))


def _counts(match: re.Match[str]) -> tuple[int, int]:
    return int(match[2] or 1), int(match[4] or 1)


def _body_length(lines: Sequence[str], old: int, new: int) -> int:
    """How many lines a hunk's body takes, from the counts of its header."""
    length = 0
    for line in lines:
        if old <= 0 and new <= 0 and not line.startswith("\\"):
            break
        old -= line[:1] in ("-", " ", "")
        new -= line[:1] in ("+", " ", "")
        length += 1
    return length


def _file(lines: Sequence[str]) -> FileDiff:
    old_path, path = _header_paths(lines[0])
    status: FileStatus = "modified"
    binary = False
    position = 1
    while position < len(lines) and not lines[position].startswith("@@ "):
        line = lines[position]
        if line.startswith("new file"):
            status = "added"
        elif line.startswith("deleted file"):
            status = "deleted"
        elif line.startswith(("rename from ", "copy from ")):
            status = "renamed" if line.startswith("rename") else "copied"
            old_path = _unquote(line.split(" from ", 1)[1])
        elif line.startswith(("rename to ", "copy to ")):
            path = _unquote(line.split(" to ", 1)[1])
        elif line.startswith("--- ") and not line.startswith("--- /dev/null"):
            old_path = _strip_prefix(line[4:])
        elif line.startswith("+++ ") and not line.startswith("+++ /dev/null"):
            path = _strip_prefix(line[4:])
        elif line.startswith(("Binary files ", "GIT binary patch")):
            binary = True
        position += 1
    hunks = [] if binary else list(_hunks(lines[position:]))
    return FileDiff(path=path, old_path=old_path, status=status, binary=binary, hunks=hunks)


def _hunks(lines: Sequence[str]) -> Iterator[Hunk]:
    position = 0
    while position < len(lines):
        match = _HUNK.match(lines[position])
        position += 1
        if match is None:
            continue
        old_count, new_count = _counts(match)
        length = _body_length(lines[position:], old_count, new_count)
        old = int(match[1]) + (old_count == 0)
        new = int(match[3]) + (new_count == 0)
        yield from _runs(lines[position : position + length], old, new)
        position += length


def _runs(body: Sequence[str], old: int, new: int) -> Iterator[Hunk]:
    """The runs of changed lines between context lines."""
    removed: list[str] = []
    added: list[str] = []
    for line in [*body, " "]:
        if line.startswith("-"):
            removed.append(line[1:])
        elif line.startswith("+"):
            added.append(line[1:])
        elif not line.startswith("\\"):
            if removed or added:
                yield Hunk(old_start=old, new_start=new, removed=removed, added=added)
            old += len(removed) + 1
            new += len(added) + 1
            removed, added = [], []


def _header_paths(line: str) -> tuple[str, str]:
    """The names of a ``diff --git`` line, which is ambiguous only where later lines repeat them."""
    names = line.removeprefix("diff --git ")
    if names.startswith('"'):
        end = re.match(r'"(?:[^"\\]|\\.)*"', names)
        old = end[0] if end else names
        return _strip_prefix(old), _strip_prefix(names[len(old) + 1 :])
    half = len(names) // 2
    return _strip_prefix(names[:half]), _strip_prefix(names[half + 1 :])


def _strip_prefix(name: str) -> str:
    name = _unquote(name.removesuffix("\t"))
    return name[2:] if name[:2] in ("a/", "b/") else name


def _unquote(name: str) -> str:
    """Undo git's C-style quoting of unusual names; octal escapes are bytes of UTF-8."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    raw = bytearray()
    inner = name[1:-1]
    position = 0
    while position < len(inner):
        character = inner[position]
        if character != "\\":
            raw += character.encode("utf-8", "replace")
            position += 1
        elif inner[position + 1 : position + 4].isdigit():
            raw.append(int(inner[position + 1 : position + 4], 8))
            position += 4
        else:
            raw.append(_ESCAPES.get(inner[position + 1], ord("?")))
            position += 2
    return raw.decode("utf-8", "replace")
