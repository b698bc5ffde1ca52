"""Files of telemetry: found, identified by hash, and read line by line.

A file is read up to the size that it had when it was found, so that a file which a
service still writes to gives the same rows each time.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from selfheal.artifacts.model import Model
from selfheal.errors import TelemetryError

HEAD_BYTES = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_BLOCK = 1024 * 1024


class SourceFile(Model):
    """A file that was found: `name` as below the given path, `location` where it lies."""

    name: str
    location: str
    size: int
    sha256: str
    format: str

    def open(self) -> IO[bytes]:
        """The content, decompressed."""
        return opened(Path(self.location), self.size)


class Lines:
    """The lines of a file as text, counted, without their ends.

    `read` is the number of lines so far, `broken_bytes` how many bytes were not in the
    encoding; those are replaced by U+FFFD and reading goes on. UTF-8 with and without a
    byte order mark and UTF-16 with one are read.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.read = 0
        self.broken_bytes = 0
        self._file = file

    def __iter__(self) -> Iterator[str]:
        first = self._file.readline()
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            yield from self._utf16(first)
            return
        line = first.removeprefix(codecs.BOM_UTF8)
        while line:
            self.read += 1
            yield self._decoded(line).rstrip("\r\n")
            line = self._file.readline()

    def text(self) -> str:
        """All that is left, as one text."""
        return "\n".join(self)

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError:
            text = line.decode("utf-8", "surrogateescape")
            broken = sum("\udc80" <= character <= "\udcff" for character in text)
            self.broken_bytes += broken
            return line.decode("utf-8", "replace")

    def _utf16(self, first: bytes) -> Iterator[str]:
        text = (first + self._file.read()).decode("utf-16", "replace")
        self.broken_bytes += 2 * text.count("\ufffd")
        for line in text.splitlines():
            self.read += 1
            yield line


class _Prefix(io.RawIOBase):
    """The first bytes of a file."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self._file.read(min(len(buffer), self._left))
        self._left -= len(content)
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


def opened(path: Path, size: int) -> IO[bytes]:
    """The first `size` bytes of a file for reading, decompressed where they are gzip."""
    raw = io.BufferedReader(_Prefix(path.open("rb", buffering=0), size), _BLOCK)
    if raw.peek(2)[:2] == _GZIP_MAGIC:
        # mypy knows GzipFile as no IO[bytes]; it is one.
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    return raw


def head_of(path: Path) -> str:
    """The beginning of a file as text, for recognising it. Raises TelemetryError for binaries."""
    size = path.stat().st_size
    with opened(path, size) as file:
        try:
            content = file.read(HEAD_BYTES)
        except (OSError, EOFError) as error:
            raise TelemetryError(f"the file cannot be read: {error}.", where=path.name) from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    if b"\x00" in content:
        raise TelemetryError("this is a binary file, not telemetry.", where=path.name)
    return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")


def hashed(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file, of one state of it even while it grows."""
    digest = hashlib.sha256()
    left = size = path.stat().st_size
    with path.open("rb") as file:
        while left and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
    return size - left, digest.hexdigest()


def find_files(paths: Sequence[Path]) -> list[tuple[str, Path, bool]]:
    """The files at and below some paths: (name, path, whether it was named directly).

    Folders are searched recursively in sorted order, without hidden files; names are
    relative to the given folder, and longer where two would be equal. Raises
    TelemetryError for a path that does not exist, and where there is no file at all.
    """
    found: list[tuple[Path, Path, bool]] = []
    for path in paths:
        if path.is_dir():
            found.extend((path, file, False) for file in _visible_files(path))
        elif path.exists():
            found.append((path.parent, path, True))
        else:
            raise TelemetryError(
                "there is no such file or folder.",
                where=str(path),
                hint="Give files or folders of telemetry with --telemetry, or telemetry.paths in selfheal.yaml.",
            )
    if not found:
        where = ", ".join(str(path) for path in paths) or None
        raise TelemetryError(
            "there is no telemetry to read." if paths else "no telemetry was given.",
            where=where,
            hint="Give files or folders of telemetry with --telemetry, or telemetry.paths in selfheal.yaml.",
        )
    return _named(found)


def _visible_files(folder: Path) -> list[Path]:
    files = []
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            files.append(path)
    return files


def _named(found: list[tuple[Path, Path, bool]]) -> list[tuple[str, Path, bool]]:
    taken: set[str] = set()
    named = []
    for root, path, direct in found:
        name = path.relative_to(root).as_posix()
        if name in taken:
            name = f"{root.resolve().name}/{name}"
        number = 2
        unique = name
        while unique in taken:
            unique, number = f"{name}#{number}", number + 1
        taken.add(unique)
        named.append((unique, path, direct))
    return named
