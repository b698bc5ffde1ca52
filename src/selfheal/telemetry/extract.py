"""From files to rows: find and recognise the files, read them into Parquet."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

from selfheal.artifacts.dataset import Dataset, describe
from selfheal.artifacts.model import Model
from selfheal.artifacts.telemetry import Refused, RefusedLine, Source
from selfheal.errors import TelemetryError
from selfheal.telemetry.formats import AUTO, EMPTY, READERS, Reader, reader_named, recognise
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines, SourceFile, find_files, hashed, head_of


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


def extract(found: Found, base: Path, path: str, *, refused_listed: int = 100) -> Extracted:
    """Read the files into Parquet under ``base/path``, in order, in bounded memory.

    Lines that cannot be read are refused and counted, the first `refused_listed` of
    them listed. Raises TelemetryError where a file is gone or shorter than it was found.
    """
    sources: list[Source] = []
    with Sink(base / path, refused_listed=refused_listed) as sink:
        for refusal in found.refused:
            sink.begin(-1, refusal.file)
            sink.refuse(refusal.line, refusal.reason)
        for index, file in enumerate(found.files):
            sink.begin(index, file.name)
            sources.append(_read(file, sink))
        refused, without_timestamp = sink.refused, sink.without_timestamp
    return Extracted(
        sources=sources,
        refused=refused,
        without_timestamp=without_timestamp,
        dataset=describe(base, path),
    )


def _read(file: SourceFile, sink: Sink) -> Source:
    before = sink.events
    try:
        size = Path(file.location).stat().st_size
        content = file.open()
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
    with content:
        lines = Lines(content)
        try:
            reader_named(file.format).read(lines, sink)
        except (EOFError, OSError, zlib.error) as error:
            sink.refuse(lines.read + 1, f"the compressed data ends or breaks here: {error}")
    return Source(
        path=file.name,
        format=file.format,
        sha256=file.sha256,
        bytes=file.size,
        lines_read=lines.read,
        events_kept=sink.events - before,
        lines_refused=sink.refused_in_source,
        lines_passed_over=lines.passed_over,
        broken_bytes=lines.broken_bytes,
    )
