"""What is read together: ranges of large files, and small files in one go.

The plan follows from the files alone, never from the machine, so that the same files
give the same dataset on one core and on many.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from selfheal.telemetry.sources import SourceFile, compressed, utf16_encoding

RANGE_BYTES = 32 * 1024 * 1024
TOGETHER_BYTES = 1024 * 1024
_LOOKED_THROUGH = 4 * 1024 * 1024
_HEAD_BYTES = 4096


class Piece(NamedTuple):
    """A range of a file: bytes from `start` to `end`, after `before` lines or messages.

    `before` is None while it has to be counted.
    """

    source: int
    file: SourceFile
    start: int
    end: int
    before: int | None

    @property
    def to_the_end(self) -> bool:
        return self.end == self.file.size

    @property
    def whole(self) -> Piece:
        """The file that it is a range of."""
        return self._replace(start=0, end=self.file.size, before=0)


Job = tuple[Piece, ...]
# From the content of a file and the size of a range: where ranges begin, each with the
# lines or messages before it, None where these are to be counted.
Divide = Callable[[mmap.mmap, int], Iterable[tuple[int, int | None]]]


def divided_at(begins: Callable[[bytes], bool]) -> Divide:
    """Divides a file of lines before a line that `begins` something new."""

    def divide(content: mmap.mmap, size: int) -> Iterator[tuple[int, int | None]]:
        target = size
        while target < len(content):
            limit = min(target + _LOOKED_THROUGH, len(content))
            at = content.find(b"\n", target, limit) + 1
            while 0 < at < limit:
                after = content.find(b"\n", at, limit)
                if begins(content[at : limit if after < 0 else after]):
                    yield at, None
                    target = at
                    break
                at = after + 1
            target += size

    return divide


def jobs_of(files: Sequence[SourceFile], divide_of: Callable[[str], Divide | None]) -> list[Job]:
    """The files in order, as jobs of about `RANGE_BYTES`, or `TOGETHER_BYTES` of small files."""
    jobs: list[Job] = []
    together: list[Piece] = []
    for source, file in enumerate(files):
        pieces = _pieces(source, file, divide_of(file.format))
        if len(pieces) == 1 and file.size < TOGETHER_BYTES:
            together += pieces
            if sum(piece.file.size for piece in together) >= TOGETHER_BYTES:
                jobs.append(tuple(together))
                together = []
            continue
        if together:
            jobs.append(tuple(together))
            together = []
        jobs += [(piece,) for piece in pieces]
    return [*jobs, tuple(together)] if together else jobs


def _pieces(source: int, file: SourceFile, divide: Divide | None) -> list[Piece]:
    whole = Piece(source, file, 0, file.size, 0)
    if divide is None or file.size < 2 * RANGE_BYTES:
        return [whole]
    with (
        Path(file.location).open("rb") as content,
        mmap.mmap(content.fileno(), file.size, access=mmap.ACCESS_READ) as mapped,
    ):
        head = mapped[:_HEAD_BYTES]
        if compressed(head) or utf16_encoding(head):
            return [whole]
        starts = [(0, 0), *divide(mapped, RANGE_BYTES)]
    ends = [start for start, _ in starts[1:]] + [file.size]
    return [
        Piece(source, file, start, end, before)
        for (start, before), end in zip(starts, ends, strict=True)
    ]


def counted_lines(piece: Piece) -> int:
    """How many lines end in a range."""
    count = 0
    with Path(piece.file.location).open("rb", buffering=0) as content:
        content.seek(piece.start)
        left = piece.end - piece.start
        while left and (block := content.read(min(left, 1 << 20))):
            count += block.count(b"\n")
            left -= len(block)
    return count


def with_lines_before(jobs: Sequence[Job], counts: Sequence[int]) -> list[Job]:
    """The jobs of one file each with `before` known; `counts` are the lines of each."""
    located: list[Job] = []
    before = 0
    for (piece,), count in zip(jobs, counts, strict=True):
        before = 0 if piece.start == 0 else before
        located.append((piece._replace(before=before),))
        before += count
    return located
