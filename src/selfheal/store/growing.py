"""A store in a folder that telemetry is added to, file by file and bit by bit.

`selfheal.store.ledger` knows what was read, `selfheal.store.manifest` keeps the folder.
Normalising looks at all rows, so telemetry that comes in many pieces gives the same
dataset as if it had come at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from selfheal.artifacts.canonical import sha256_of_file
from selfheal.artifacts.dataset import write_tables
from selfheal.artifacts.model import Model
from selfheal.artifacts.telemetry import RefusedLine, Source
from selfheal.errors import TelemetryError
from selfheal.store.ledger import Content, Entry, Ledger, counted_lines, settled
from selfheal.store.manifest import (
    Manifest,
    Part,
    commit,
    read_manifest,
    sweep,
    sync,
    writing,
)
from selfheal.store.merging import merge, mergeable
from selfheal.store.parts import Growing, Parts
from selfheal.telemetry.extract import Found, extract, find
from selfheal.telemetry.formats import AUTO
from selfheal.telemetry.model import EXTRACTED
from selfheal.telemetry.normalize import normalize
from selfheal.telemetry.sources import SourceFile

if TYPE_CHECKING:
    import duckdb

COVERAGE = frozenset(("coverage-json", "cobertura-xml", "lcov"))
ROWS_PER_SOURCE = 2**32
State = Literal["new", "continued", "replaced", "unchanged"]


class Added(Model):
    """What one file brought. `moved_from` is where it lay before, if elsewhere."""

    path: str
    format: str
    state: State
    moved_from: str | None = None
    lines_read: int = 0
    events_kept: int = 0
    lines_refused: int = 0


class Addition(Model):
    """What an ingest brought, and how many rows the store holds now."""

    files: list[Added]
    refused: list[RefusedLine]
    refused_total: int
    rows: dict[str, int]


def add(
    paths: Sequence[Path], folder: Path, *, format: str = AUTO, refused_listed: int = 100
) -> Addition:
    """Read what is new at `paths` into the store in `folder`, which is made if need be.

    All of it counts, or nothing. Raises TelemetryError as `selfheal.telemetry.extract.find`
    does, LockedError where another process is writing.
    """
    found = find(paths, format=format, may_be_empty=True)
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder):
        before = read_manifest(folder)
        sweep(folder, before)
        work = folder / f".work-{os.getpid()}"
        work.mkdir()
        try:
            return _Addition(folder, work, before, refused_listed).run(found)
        finally:
            shutil.rmtree(work, ignore_errors=True)


class _Chunk(Model):
    """Bytes of a source to be extracted: line 1 of them is line `lines` + 1 there."""

    file: SourceFile
    source: int
    lines: int


class _Addition:
    """One ingest: parts are written aside, and the manifest that names them last."""

    def __init__(self, folder: Path, work: Path, before: Manifest, refused_listed: int) -> None:
        self._folder = folder
        self._work = work
        self._before = before
        self._ledger = Ledger(before.entries)
        self._sources = list(before.sources)
        self._parts = {part.id: part for part in before.parts}
        self._made = before.parts_made
        self._settled: list[_Chunk] = []
        self._rest: list[_Chunk] = []
        self._extracted: dict[int, list[Source]] = {}
        self._refused: list[RefusedLine] = []
        self._refused_total = 0
        self._room = refused_listed

    def run(self, found: Found) -> Addition:
        self._note(found.refused, len(found.refused))
        files = [self._file(file) for file in found.files if file.format != "empty"]
        self._extract()
        if any(added.state != "unchanged" for added, _ in files):
            self._commit()
        elif self._ledger.entries != self._before.entries:
            commit(self._folder, self._manifest(self._before.generation))
        with Growing(self._folder).connect() as connection:
            rows = {
                name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
                for name in ("spans", "logs", "errors", "metrics", "coverage")
            }
        return Addition(
            files=[self._summed(added, source) for added, source in files],
            refused=self._refused,
            refused_total=self._refused_total,
            rows=rows,
        )

    def _file(self, file: SourceFile) -> tuple[Added, int]:
        """Find what is new of one file, enter it into the ledger, leave it to be extracted."""
        content = Content(Path(file.location), file.size)
        entry = self._ledger.find(content.path, file.size, file.sha256, file.format)
        if entry is not None and entry.sha256 == file.sha256:
            return self._unchanged(entry, file), entry.source
        state: State = "new" if entry is None else "continued"
        if entry is None:
            self._sources.append(file.name)
            entry = _nothing_of(file, len(self._sources) - 1)
        elif not content.begins_with(entry):
            state = "replaced"
        rest = self._work / f"{entry.source}.settled"
        content.copy(entry.offset, rest)
        seen = entry.offset + rest.stat().st_size
        if state == "continued" and seen == entry.seen:
            return self._unchanged(entry, file), entry.source
        self._retire(entry)
        edges = content.edges(seen)
        if edges is None:
            raise TelemetryError("the file changed while it was read.", where=file.location)
        offset, lines = self._split(file, entry, rest)
        changes: dict[str, object] = {"seen": seen, "offset": offset, "lines": lines, "rest": None}
        changes |= {"path": file.location, "sha256": file.sha256}
        changes |= {"head": edges[0], "tail": edges[1]}
        self._ledger.put(entry.model_copy(update=changes))
        moved = entry.path if entry.path != file.location else None
        return Added(
            path=file.name, format=entry.format, state=state, moved_from=moved
        ), entry.source

    def _split(self, file: SourceFile, entry: Entry, rest: Path) -> tuple[int, int]:
        """Part what follows the settled bytes into more of them and a rest: where is settled now."""
        length = settled(entry.format, rest, at_start=entry.offset == 0)
        with rest.open("rb") as content:
            lines = entry.lines + counted_lines(content, length)
        tail = rest.with_suffix(".rest")
        Content(rest, rest.stat().st_size).copy(length, tail)
        os.truncate(rest, length)
        for chunks, content_of, before in (
            (self._settled, rest, entry.lines),
            (self._rest, tail, lines),
        ):
            if content_of.stat().st_size:
                part = _part_of(file, entry.format, content_of)
                chunks.append(_Chunk(file=part, source=entry.source, lines=before))
        return entry.offset + length, lines

    def _retire(self, entry: Entry) -> None:
        if entry.rest is not None:
            left = self._parts[entry.rest].without(entry.source)
            if left is None:
                del self._parts[entry.rest]
            else:
                self._parts[entry.rest] = left

    def _unchanged(self, entry: Entry, file: SourceFile) -> Added:
        changes = {"path": file.location, "sha256": file.sha256}
        self._ledger.put(entry.model_copy(update=changes))
        moved = entry.path if entry.path != file.location else None
        return Added(path=file.name, format=entry.format, state="unchanged", moved_from=moved)

    def _summed(self, added: Added, source: int) -> Added:
        if added.state == "unchanged":
            return added
        read = self._extracted.get(source, [])
        return added.model_copy(
            update={
                "lines_read": sum(one.lines_read for one in read),
                "events_kept": sum(one.events_kept for one in read),
                "lines_refused": sum(one.lines_refused for one in read),
            }
        )

    def _note(self, refused: Sequence[RefusedLine], total: int) -> None:
        self._refused.extend(refused[: max(0, self._room - len(self._refused))])
        self._refused_total += total

    def _extract(self) -> None:
        if self._settled:
            _, rows = self._part(self._settled)
            for source, counts in rows.items():
                self._change(source, rows=counts)
        # Rows of coverage tell no source: such a report is a part of its own.
        alone = [[chunk] for chunk in self._rest if chunk.file.format in COVERAGE]
        together = [chunk for chunk in self._rest if chunk.file.format not in COVERAGE]
        for chunks in (together, *alone):
            if chunks:
                part, _ = self._part(chunks)
                for chunk in chunks:
                    self._change(chunk.source, rest=part)

    def _entry(self, source: int) -> Entry:
        return next(entry for entry in self._ledger.entries if entry.source == source)

    def _change(self, source: int, **changes: object) -> None:
        self._ledger.put(self._entry(source).model_copy(update=changes))

    def _part(self, chunks: Sequence[_Chunk]) -> tuple[str, dict[int, dict[str, int]]]:
        """Extract chunks into a new part: its name, and how many rows each source has by then."""
        self._made += 1
        part = f"{self._made:06}"
        found = Found(files=[chunk.file for chunk in chunks], refused=[])
        extracted = extract(found, self._work, f"{part}.raw", refused_listed=self._room)
        for chunk, source in zip(chunks, extracted.sources, strict=True):
            self._extracted.setdefault(chunk.source, []).append(source)
        self._note(_in_file(extracted.refused.listed, chunks), extracted.refused.total)
        target = self._folder / "parts" / part
        target.mkdir(parents=True)
        rows = {chunk.source: dict(self._entry(chunk.source).rows) for chunk in chunks}
        counts = {n: table.rows for n, table in extracted.dataset.tables.items() if table.rows}
        with extracted.dataset.connect() as connection:
            for name in counts:
                columns = _places(connection, name, chunks, rows)
                file = str(target / f"{name}.parquet").replace("'", "''")
                connection.execute(
                    f"COPY (SELECT * {columns} FROM {name}) TO '{file}' "
                    "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
                )
        sync(target)
        sources = sorted(chunk.source for chunk in chunks)
        self._parts[part] = Part(id=part, rows=counts, sources=sources)
        return part, rows

    def _manifest(self, generation: int) -> Manifest:
        return Manifest(
            generation=generation,
            parts_made=self._made,
            sources=self._sources,
            parts=list(self._parts.values()),
            entries=self._ledger.entries,
        )

    def _merge(self) -> None:
        """One part of many settled ones, in the place of the first of them."""
        unsettled = {entry.rest for entry in self._ledger.entries if entry.rest}
        many = mergeable(list(self._parts.values()), unsettled)
        if not many:
            return
        self._made += 1
        merged = merge(self._folder, many, f"{self._made:06}")
        gone = {part.id for part in many}
        self._parts = {
            merged.id: merged,
            **{name: part for name, part in self._parts.items() if name not in gone},
        }

    def _commit(self) -> None:
        self._merge()
        manifest = self._manifest(self._before.generation + 1)
        tables = normalize(Parts.of(self._folder, manifest))
        folder = self._folder / "normalized"
        write_tables(tables, folder, str(manifest.generation))
        sync(folder / str(manifest.generation))
        commit(self._folder, manifest)


def _nothing_of(file: SourceFile, source: int) -> Entry:
    """The entry of a file of which nothing was read yet."""
    return Entry(
        path=file.location,
        format=file.format,
        source=source,
        seen=0,
        offset=0,
        lines=0,
        rows={},
        head="",
        tail="",
        sha256="",
    )


def _part_of(file: SourceFile, format: str, content: Path) -> SourceFile:
    return SourceFile(
        name=file.name,
        location=str(content),
        size=content.stat().st_size,
        sha256=sha256_of_file(content),
        format=format,
    )


def _in_file(refused: Sequence[RefusedLine], chunks: Sequence[_Chunk]) -> list[RefusedLine]:
    before = {chunk.file.name: chunk.lines for chunk in chunks}
    return [
        line.model_copy(update={"line": line.line + before.get(line.file, 0)}) for line in refused
    ]


def _places(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    chunks: Sequence[_Chunk],
    rows: dict[int, dict[str, int]],
) -> str:
    """What replaces the columns that count within one extraction; `rows` is counted up.

    Ids follow the sources, and the rows within each, so that they do not depend on how
    many pieces a file came in.
    """
    columns: Mapping[str, Any] = EXTRACTED[table]
    if "source" not in columns:
        return ""
    sources = [chunk.source for chunk in chunks]
    lines = [chunk.lines for chunk in chunks]
    replaced = [
        f"CAST(list_extract({sources}, source + 1) AS INTEGER) AS source",
        f"CAST(line + list_extract({lines}, source + 1) AS INTEGER) AS line",
    ]
    if "id" in columns:
        found = connection.execute(
            f"SELECT source, min(id), count(*) FROM {table} GROUP BY source"
        ).fetchall()
        shifts = [0] * len(chunks)
        for place, first, count in found:
            counts = rows[sources[place]]
            shifts[place] = sources[place] * ROWS_PER_SOURCE + counts.get(table, 0) - first
            counts[table] = counts.get(table, 0) + count
        replaced.append(f"CAST(id + list_extract({shifts}, source + 1) AS BIGINT) AS id")
    return f"REPLACE ({', '.join(replaced)})"
