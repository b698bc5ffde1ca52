"""From files to rows: find and recognise the files, read them into Parquet."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from selfheal.artifacts.dataset import Dataset, describe
from selfheal.artifacts.model import Model
from selfheal.artifacts.telemetry import Refused, RefusedLine, Source
from selfheal.errors import TelemetryError
from selfheal.telemetry.formats import AUTO, EMPTY, READERS, Reader, reader_named, recognise
from selfheal.telemetry.model import EXTRACTED
from selfheal.telemetry.parts import join
from selfheal.telemetry.plan import Job, Piece, counted_lines, jobs_of, with_lines_before
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import (
    Lines,
    SourceFile,
    TooLarge,
    Undivided,
    find_files,
    hashed,
    head_of,
    opened,
)
from selfheal.telemetry.workers import cores, shared

# Below this, a process takes longer to start than it saves.
PARALLEL_BYTES = 8 * 1024 * 1024


class Found(Model):
    """The files to read, in order, and those in folders that are no telemetry."""

    files: list[SourceFile]
    refused: list[RefusedLine]

    @property
    def summary(self) -> str:
        size = sum(file.size for file in self.files)
        return f"{len(self.files)} files, {size / 1e6:.1f} MB, {len(self.refused)} not telemetry"


class Extracted(Model):
    """What was read. `dataset` holds the tables of `selfheal.telemetry.model.EXTRACTED`."""

    sources: list[Source]
    refused: Refused
    without_timestamp: int
    dataset: Dataset

    @property
    def summary(self) -> str:
        rows = {name: table.rows for name, table in self.dataset.tables.items()}
        return (
            f"{rows['spans']} spans, {rows['logs']} logs, {rows['exceptions']} exceptions, "
            f"{self.refused.total} lines refused"
        )


def find(paths: Sequence[Path], *, format: str = AUTO, may_be_empty: bool = False) -> Found:
    """Find telemetry at and below `paths` and recognise the format of each file.

    Raises TelemetryError where a path does not exist, a file that was named directly is
    not telemetry, or nothing is; files without content are not, unless they
    `may_be_empty`, as a growing file may. Files in folders that are not telemetry, and files
    with the same content as an earlier one, are listed as refused.
    """
    forced = None if format == AUTO else reader_named(format)
    files: list[SourceFile] = []
    refused: list[RefusedLine] = []
    seen: dict[str, str] = {}
    for name, path, direct in find_files(paths):
        size, sha256 = hashed(path)
        try:
            reader = forced or _recognised(path)
        except TelemetryError as error:
            if direct:
                raise
            refused.append(RefusedLine(file=name, line=0, reason=error.message))
            continue
        if size and sha256 in seen:
            reason = f"the same content as {seen[sha256]}"
            refused.append(RefusedLine(file=name, line=0, reason=reason))
            continue
        seen[sha256] = name
        files.append(
            SourceFile(
                name=name,
                location=str(path.resolve()),
                size=size,
                sha256=sha256,
                format=reader.name,
            )
        )
    if not files or (not may_be_empty and all(file.format == EMPTY for file in files)):
        raise TelemetryError(
            "there is no telemetry here: every file that could hold some is empty."
            if files
            else "no file here is telemetry that can be read.",
            where=", ".join(str(path) for path in paths),
            hint=_hint(),
        )
    return Found(files=files, refused=refused)


def _recognised(path: Path) -> Reader:
    head = head_of(path)
    reader = recognise(head)
    if reader is None:
        what = "this is a binary file, not" if head.text is None else "this file is not"
        raise TelemetryError(f"{what} telemetry.", where=str(path), hint=_hint())
    return reader


def _hint() -> str:
    names = ", ".join(reader.name for reader in READERS if reader.name != EMPTY)
    return f"The formats are {names}; --set telemetry.format=NAME forces one."


def extract(
    found: Found, base: Path, path: str, *, refused_listed: int = 100, processes: int | None = None
) -> Extracted:
    """Read the files into Parquet under ``base/path``, in order, in bounded memory.

    Large inputs are read by `processes` processes, one a core by default; the result does
    not depend on how many. Lines that cannot be read are refused and counted, the first
    `refused_listed` of them listed. Raises TelemetryError where a file is gone or shorter
    than it was found.
    """
    folder = base / path
    scratch = folder / "parts"
    scratch.mkdir(parents=True, exist_ok=True)
    size = sum(file.size for file in found.files)
    if processes is None:
        processes = cores() if size >= PARALLEL_BYTES else 1
    for file in found.files:
        _check(file)
    tasks = [
        _Task(str(scratch / f"{number:06}"), job, refused_listed)
        for number, job in enumerate(_jobs(found.files, processes))
    ]
    results = _as_wholes(tasks, shared(read_job, tasks, processes))
    for name, columns in EXTRACTED.items():
        parts = [Path(result.folder) / f"{name}.parquet" for result in results]
        join([part for part in parts if part.exists()], columns, folder / f"{name}.parquet")
    shutil.rmtree(scratch)
    listed = [*found.refused, *(line for result in results for line in result.refused.listed)]
    return Extracted(
        sources=_sources(found.files, results),
        refused=Refused(
            total=len(found.refused) + sum(result.refused.total for result in results),
            listed=listed[:refused_listed],
        ),
        without_timestamp=sum(result.without_timestamp for result in results),
        dataset=describe(base, path),
    )


class _Task(NamedTuple):
    """A job, the folder of its parts, and how many refused lines it lists."""

    folder: str
    job: Job
    refused_listed: int


class _Read(NamedTuple):
    """What a job read. `counts` has for each piece what `Source` counts, in its order.

    `undivided` is a source that cannot be read in ranges after all.
    """

    folder: str
    job: Job
    refused: Refused
    without_timestamp: int
    counts: list[tuple[int, int, int, int, int]]
    undivided: int | None = None


def _jobs(files: Sequence[SourceFile], processes: int) -> list[Job]:
    jobs = jobs_of(files, lambda format: reader_named(format).divide)
    to_count = [number for number, job in enumerate(jobs) if _uncounted(files, job)]
    counts = shared(counted_lines, [jobs[number][0] for number in to_count], processes)
    located = with_lines_before([jobs[number] for number in to_count], counts)
    for number, job in zip(to_count, located, strict=True):
        jobs[number] = job
    return jobs


def _uncounted(files: Sequence[SourceFile], job: Job) -> bool:
    """Whether a job is a range of a file whose lines before the ranges are not known."""
    piece = job[0]
    divided = len(job) == 1 and piece.end - piece.start < files[piece.source].size
    return divided and (piece.before is None or (piece.start == 0 and not piece.to_the_end))


def read_job(task: _Task) -> _Read:
    """Read the pieces of a job into parts: the work of one process at a time."""
    folder = Path(task.folder)
    counts = []
    with Sink(folder, refused_listed=task.refused_listed) as sink:
        for piece in task.job:
            sink.begin(piece.source, piece.file.name)
            try:
                counts.append(_read(piece, sink))
            except Undivided:
                return _Read(task.folder, task.job, sink.refused, 0, [], piece.source)
    return _Read(task.folder, task.job, sink.refused, sink.without_timestamp, counts)


def _as_wholes(tasks: Sequence[_Task], results: Sequence[_Read]) -> list[_Read]:
    """The results, with files that turned out not to be divisible read as wholes."""
    undivided = {result.undivided for result in results} - {None}
    kept = []
    for task, result in zip(tasks, results, strict=True):
        piece = task.job[0]
        if piece.source not in undivided:
            kept.append(result)
        elif piece.start == 0:
            shutil.rmtree(task.folder)
            kept.append(read_job(task._replace(job=(piece.whole,))))
    return kept


def _sources(files: Sequence[SourceFile], results: Sequence[_Read]) -> list[Source]:
    totals = [[0] * 5 for _ in files]
    for result in results:
        for piece, counts in zip(result.job, result.counts, strict=True):
            total = totals[piece.source]
            totals[piece.source] = [one + other for one, other in zip(total, counts, strict=True)]
    names = ("lines_read", "events_kept", "lines_refused", "lines_passed_over", "broken_bytes")
    return [
        Source(
            path=file.name,
            format=file.format,
            sha256=file.sha256,
            bytes=file.size,
            **dict(zip(names, total, strict=True)),
        )
        for file, total in zip(files, totals, strict=True)
    ]


def _check(file: SourceFile) -> None:
    try:
        size = Path(file.location).stat().st_size
        Path(file.location).open("rb").close()
    except OSError as error:
        raise TelemetryError(
            f"the file cannot be read any more: {error.strerror}.", where=file.location
        ) from error
    if size < file.size:
        raise TelemetryError(
            "the file became shorter since it was found.",
            where=file.location,
            hint="Read it after it was rotated: start the run again.",
        )


def _read(piece: Piece, sink: Sink) -> tuple[int, int, int, int, int]:
    kept, before = sink.events, piece.before or 0
    content = opened(Path(piece.file.location), piece.end - piece.start, piece.start)
    with content:
        lines = Lines(content, before=before, to_the_end=piece.to_the_end)
        try:
            reader_named(piece.file.format).read(lines, sink)
        except (EOFError, OSError, zlib.error) as error:
            sink.refuse(lines.read + 1, f"the compressed data ends or breaks here: {error}")
        except TooLarge as error:
            sink.refuse(lines.read + 1, f"{error}; from here on the file is not read")
    return (
        lines.read - before,
        sink.events - kept,
        sink.refused_in_source,
        lines.passed_over,
        lines.broken_bytes,
    )
