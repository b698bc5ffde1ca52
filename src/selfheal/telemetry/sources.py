"""Files of telemetry: found, identified by hash, and read line by line.

A file is read up to the size that it had when it was found, so that a file which a
service still writes to gives the same rows each time.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from selfheal.artifacts.model import Model
from selfheal.errors import TelemetryError

HEAD_BYTES = 64 * 1024
# What is read at once has to fit into memory many times over.
LONGEST_LINE = 64 * 1024 * 1024
LARGEST_DOCUMENT = 64 * 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_BLOCK = 2 * 1024 * 1024
_SAMPLE_BYTES = 200


class SourceFile(Model):
    """A file that was found: `name` as below the given path, `location` where it lies."""

    name: str
    location: str
    size: int
    sha256: str
    format: str


class Undivided(Exception):
    """A reader met what it can only read where its lines go on to the end of the file."""


class TooLarge(Exception):
    """A line, a document or a message is larger than what is read at once; says which."""


class Lines:
    """The lines of a file, or of a range of it, as text, counted, without their ends.

    `read` is the number of the last line, counted from the start of the file, of which
    `before` lines come before the range; `to_the_end` tells whether the range ends with
    the file; `passed_over` counts lines that say nothing of their own (blank lines,
    comments, headings: readers count them here), `broken_bytes` the bytes that were not in
    the encoding: they are replaced by U+FFFD and reading goes on. UTF-8 and UTF-16 are
    read, each with and without a byte order mark.
    """

    def __init__(self, file: IO[bytes], *, before: int = 0, to_the_end: bool = True) -> None:
        self.read = before
        self.passed_over = 0
        self.broken_bytes = 0
        self.to_the_end = to_the_end
        self._first = before == 0
        self._together = 0
        self._file = file

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks():
            for line in block:
                self.read += 1
                yield self.decoded(line)

    def blocks(self, size: int = _BLOCK) -> Iterator[list[bytes]]:
        """The lines as UTF-8 without their ends, about `size` bytes of them at a time.

        Whoever takes blocks counts `read` himself, and has bytes that may be broken
        `decoded`. What comes before compressed data breaks is given before the error.
        """
        for chunk in self.chunks(size):
            lines = chunk.split(b"\n")
            yield [line.rstrip(b"\r") for line in lines] if b"\r" in chunk else lines

    def chunks(self, size: int = _BLOCK) -> Iterator[bytes]:
        """What `blocks` gives, but each block as one piece, lines separated by newlines.

        Lines may end in returns.
        """
        start = self._file.read(_SAMPLE_BYTES)
        if self._first and (encoding := utf16_encoding(start)):
            yield from self._utf16(start, encoding)
            return
        if self._first:
            start = start.removeprefix(codecs.BOM_UTF8)
        pieces, length = [start], len(start)
        while True:
            try:
                piece = self._file.read1(size)  # type: ignore[attr-defined]
            except (EOFError, OSError, zlib.error):
                whole, newline, _ = b"".join(pieces).rpartition(b"\n")
                if newline:
                    yield whole
                raise
            pieces.append(piece)
            length += len(piece)
            if piece and (length < size or b"\n" not in piece):
                if length > LONGEST_LINE:
                    raise TooLarge(f"a line is longer than {LONGEST_LINE >> 20} MiB")
                continue
            content = b"".join(pieces)
            if not piece:
                if content:
                    yield content.removesuffix(b"\n")
                return
            whole, _, rest = content.rpartition(b"\n")
            yield whole
            pieces, length = [rest], len(rest)

    def filled(self) -> Iterator[str]:
        """The lines that are not blank; those that are count as passed over."""
        for text in self:
            if text and not text.isspace():
                yield text
            else:
                self.passed_over += 1

    def text(self) -> str:
        """All that is left, as one text. Raises TooLarge."""
        rows: list[bytes] = []
        for block in self.blocks():
            rows += block
            self.read += len(block)
            self.measure(block)
        return "\n".join(map(self.decoded, rows))

    def measure(self, block: list[bytes]) -> None:
        """Count lines that are kept together. Raises TooLarge where they become too many."""
        self._together += sum(map(len, block))
        if self._together > LARGEST_DOCUMENT:
            raise TooLarge(f"a document is larger than {LARGEST_DOCUMENT >> 20} MiB")

    def binary(self) -> IO[bytes]:
        """The content as bytes, for formats without lines; their readers count messages in `read`."""
        return self._file

    def decoded(self, line: bytes) -> str:
        """A line as text; bytes that are not in the encoding are counted and replaced."""
        try:
            return line.decode()
        except UnicodeDecodeError:
            text = line.decode("utf-8", "surrogateescape")
            broken = sum("\udc80" <= character <= "\udcff" for character in text)
            self.broken_bytes += broken
            return line.decode("utf-8", "replace")

    def _utf16(self, first: bytes, encoding: str) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        rest = ""
        block = first
        beginning = True
        while True:
            text = decoder.decode(block, final=not block)
            self.broken_bytes += 2 * text.count("\ufffd")
            if beginning and text:
                text, beginning = text.removeprefix("\ufeff"), False
            whole, newline, rest = (rest + text).rpartition("\n")
            if newline:
                yield whole.encode()
            if not block:
                if rest:
                    yield rest.encode()
                return
            block = self._file.read(_BLOCK)


def utf16_encoding(head: bytes) -> str | None:
    """The UTF-16 encoding that a file begins in; None where it is not UTF-16.

    Told by the byte order mark, else by zeros in many of every other of the first bytes.
    """
    if head.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    if head.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    sample = head[:_SAMPLE_BYTES]
    pairs = len(sample) // 2
    even, odd = sample[: 2 * pairs : 2].count(0), sample[1 : 2 * pairs : 2].count(0)
    if pairs < 8 or 2 * max(even, odd) < pairs or 4 * min(even, odd) > max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


class _Prefix(io.RawIOBase):
    """The next bytes of a file."""

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


class _Zstd(io.RawIOBase):
    """The decompressed content of a zstd stream of one or more frames."""

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow as pa

        self._file = file
        self._stream = pa.input_stream(file, compression="zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


def compressed(head: bytes) -> bool:
    """Whether a file that begins so is gzip or zstd."""
    return head.startswith(_GZIP_MAGIC) or head.startswith(_ZSTD_MAGIC)


def opened(path: Path, size: int, start: int = 0) -> IO[bytes]:
    """`size` bytes of a file from `start` for reading.

    From the start of the file, they are decompressed where they are gzip or zstd.
    """
    file = path.open("rb", buffering=0)
    file.seek(start)
    raw = io.BufferedReader(_Prefix(file, size), _BLOCK)
    if start:
        return raw
    magic = raw.peek(4)[:4]
    if magic.startswith(_GZIP_MAGIC):
        # mypy knows GzipFile as no IO[bytes]; it is one.
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if magic == _ZSTD_MAGIC:
        return io.BufferedReader(_Zstd(raw), 128 * 1024)
    return raw


class Head(NamedTuple):
    """The beginning of a file, for recognising it: `text` is None for binary content."""

    content: bytes
    text: str | None

    @classmethod
    def of(cls, content: bytes) -> Head:
        if encoding := utf16_encoding(content):
            return cls(content, content.decode(encoding, "replace").removeprefix("\ufeff"))
        if b"\x00" in content:
            return cls(content, None)
        return cls(content, content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace"))


def head_of(path: Path) -> Head:
    """The first 64 KiB of a file, decompressed.

    Raises TelemetryError where nothing can be decompressed; of a stream that ends early
    the head is what there is.
    """
    content = bytearray()
    with opened(path, path.stat().st_size) as file:
        try:
            while len(content) < HEAD_BYTES and (block := file.read1(1024)):  # type: ignore[attr-defined]
                content += block
        except (OSError, EOFError, zlib.error) as error:
            if not content:
                raise TelemetryError(
                    f"the file cannot be read: {error}.", where=path.name
                ) from error
    return Head.of(bytes(content))


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
