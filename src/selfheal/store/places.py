"""Where a run takes its telemetry from: files, a folder that grows, or a database."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from selfheal.artifacts.dataset import Dataset, describe
from selfheal.artifacts.telemetry import Refused, Source
from selfheal.errors import TelemetryError
from selfheal.store.manifest import STATE
from selfheal.store.parts import Growing, Parts
from selfheal.store.pinning import Pinned, extract_errors, is_address, pin
from selfheal.telemetry.extract import Extracted, Found, extract, find
from selfheal.telemetry.formats import AUTO
from selfheal.telemetry.model import EXTRACTED
from selfheal.telemetry.store import store

DATABASE, GROWING = "clickhouse", "store"
_EVENTS = """
SELECT source, count(*) FROM (
    SELECT source FROM spans UNION ALL SELECT source FROM logs UNION ALL SELECT source FROM metrics
    UNION ALL SELECT source FROM exceptions WHERE origin = 'test'
) GROUP BY source
"""


def locate(
    paths: Sequence[str], *, format: str = AUTO
) -> tuple[Found | None, str | None, Pinned | None]:
    """The files at `paths`, the folder that ``selfheal ingest`` fills, the database pinned.

    Raises TelemetryError where several places that are no files are named, or files beside
    a folder that grows, and what `find` and `pin` raise.
    """
    databases = [path for path in paths if is_address(path)]
    growing = [path for path in paths if is_growing(path)]
    files = [Path(path) for path in paths if path not in databases and path not in growing]
    if len(databases) + len(growing) > 1 or (growing and files):
        raise TelemetryError(
            "a database or a folder of selfheal ingest is the one place of a run's telemetry.",
            where=", ".join([*databases, *growing]).rpartition("@")[2],
            hint="Name it alone; beside a database there may be coverage reports.",
        )
    return (
        find(files, format=format) if files else None,
        growing[0] if growing else None,
        pin(databases[0]) if databases else None,
    )


def is_growing(path: str) -> bool:
    """Whether a path of telemetry is a folder that ``selfheal ingest`` fills."""
    return not is_address(path) and (Path(path) / STATE).is_file()


def take(
    files: Found | None,
    growing: str | None,
    database: Pinned | None,
    *,
    base: Path,
    path: str,
    refused_listed: int,
) -> Extracted:
    """The extracted tables of what `locate` gave, under ``base/path``."""
    if growing is not None:
        return _merged(Path(growing), base, path)
    if database is None:
        assert files is not None
        return extract(files, base, path, refused_listed=refused_listed)
    extract_errors(database, base, path)
    sources = [
        Source(
            path=database.address,
            format=DATABASE,
            sha256=database.sha256,
            bytes=0,
            lines_read=database.rows,
            events_kept=database.rows,
            lines_refused=0,
        )
    ]
    refused, without_timestamp = Refused(), 0
    if files is not None:
        beside = extract(files, base, f"{path}/files", refused_listed=refused_listed)
        _only_coverage(beside.dataset, database)
        shutil.copyfile(
            beside.dataset.folder / "coverage.parquet", base / path / "coverage.parquet"
        )
        sources += beside.sources
        refused = beside.refused
    return Extracted(
        sources=sources,
        refused=refused,
        without_timestamp=without_timestamp,
        dataset=describe(base, path),
    )


def _only_coverage(files: Dataset, database: Pinned) -> None:
    others = [name for name, table in files.tables.items() if table.rows and name != "coverage"]
    if others:
        raise TelemetryError(
            f"the files beside a database hold {', '.join(others)}.",
            where=database.address,
            hint="Only coverage reports are read beside it.",
        )


def _merged(folder: Path, base: Path, path: str) -> Extracted:
    """The parts of a folder that grows as one extraction, its sources in their numbers."""
    manifest = Growing(folder).manifest
    target = base / path
    target.mkdir(parents=True, exist_ok=True)
    with Parts.of(folder, manifest).connect() as connection:
        for name, columns in EXTRACTED.items():
            file = str(target / f"{name}.parquet").replace("'", "''")
            order = " ORDER BY id" if "id" in columns else ""
            connection.execute(
                f"COPY (SELECT {', '.join(columns)} FROM {name}{order}) TO '{file}' "
                "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
            )
        kept = dict(connection.execute(_EVENTS).fetchall())
    known = {entry.source: entry for entry in manifest.entries}
    sources = []
    for number, name in enumerate(manifest.sources):
        entry = known.get(number)
        sources.append(
            Source(
                path=name,
                format=entry.format if entry else GROWING,
                sha256=entry.sha256 if entry else "",
                bytes=entry.seen if entry else 0,
                lines_read=entry.lines if entry else 0,
                # Rows of coverage tell no source.
                events_kept=kept.get(number, entry.lines if entry else 0),
                lines_refused=0,
            )
        )
    return Extracted(
        sources=sources, refused=Refused(), without_timestamp=0, dataset=describe(base, path)
    )


def keep(
    database: Pinned | None, extracted: Dataset, normalized: Dataset, *, base: Path, path: str
) -> Dataset:
    """The dataset of a run in ``base/path``: all tables, or those beside a database's."""
    if database is None:
        return store(extracted, normalized, base, path)
    folder = base / path
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for source, name in ((normalized, "errors"), (extracted, "coverage")):
        shutil.copyfile(source.folder / source.tables[name].file, folder / f"{name}.parquet")
    return database.dataset(describe(base, path))
