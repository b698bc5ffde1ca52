"""What a run takes from ClickHouse: a window of time, and the errors in it.

The rows stay where they lie. A run notes which window it looked at and what was in it;
copied are only the mentions of exceptions and the entry spans of failing requests, of
which normalising makes the errors: tracebacks are read here.
"""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from selfheal.artifacts.dataset import Dataset, DatasetTable, Remote, describe
from selfheal.artifacts.model import Model
from selfheal.errors import TelemetryError
from selfheal.store.clickhouse import SCHEME, ClickHouseStore
from selfheal.store.model import Period, moment
from selfheal.store.remote import RemoteConnection
from selfheal.telemetry.model import EXTRACTED, SPANS

_TABLES = ("spans", "logs", "metrics")
_MENTIONS = """
SELECT origin, time_ns, service, release, operation, logger, trace_id, span_id, exception_type,
    exception_message, stacktrace, escaped
FROM exceptions
ORDER BY time_ns, trace_id, span_id, exception_type, exception_message, origin
"""
# Normalising asks for the entries of traces with errors, and when a span with one began.
_SPANS = f"""
SELECT {", ".join(SPANS)} FROM spans
WHERE ((kind IN ('server', 'consumer') OR parent_span_id IS NULL)
        AND (status = 'error' OR coalesce(http_status, 0) >= 500
            OR trace_id IN (SELECT trace_id FROM exceptions WHERE trace_id IS NOT NULL)))
    OR span_id IN (SELECT span_id FROM exceptions WHERE span_id IS NOT NULL)
ORDER BY start_ns, trace_id, span_id, operation
"""


class Pinned(Model):
    """A database in a window: where it is, and the tables with rows and a hash of them.

    `address` is how the source is called in telemetry.json.
    """

    address: str
    remote: Remote
    tables: dict[str, DatasetTable]

    @property
    def summary(self) -> str:
        rows = ", ".join(f"{table.rows} {name}" for name, table in self.tables.items())
        return f"{self.address}: {rows}"

    @property
    def sha256(self) -> str:
        """One hash of all tables."""
        parts = (f"{name} {table.sha256}\n" for name, table in sorted(self.tables.items()))
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())

    def dataset(self, files: Dataset) -> Dataset:
        """The dataset of these tables and of those in `files`."""
        tables = {**self.tables, **files.tables}
        return files.model_copy(update={"tables": tables, "remote": self.remote})


def is_address(path: str) -> bool:
    """Whether a path of telemetry is a database."""
    return path.startswith(f"{SCHEME}://")


def pin(url: str) -> Pinned:
    """What is in a database now, up to its newest event, or in the window that `url` names.

    ``?since=`` and ``?until=`` take an ISO 8601 time, or how long before the newest event
    (``24h``). Raises TelemetryError where there is no event, and what the store raises.
    """
    store = ClickHouseStore(url)
    try:
        found = [store.run(sql)[1][0] for sql in store.layout.contents().values()]
        newest = max((int(row[1]) for row in found if row[0]), default=None)
        if newest is None:
            raise TelemetryError("the database holds no telemetry.", where=store.place)
        period = _window(store.options, newest)
        tables = {name: DatasetTable(file="", rows=0, sha256="") for name in _TABLES}
        for name, sql in store.layout.contents(period).items():
            rows, last, hashed = store.run(sql)[1][0]
            content = f"{name} {rows} {last} {hashed}"
            tables[name] = DatasetTable(
                file="", rows=int(rows or 0), sha256=hashlib.sha256(content.encode()).hexdigest()
            )
        if not any(table.rows for table in tables.values()):
            raise TelemetryError("the window holds no telemetry.", where=store.place)
        remote = Remote(url=store.url, since_ns=period.since_ns, until_ns=period.until_ns)
        return Pinned(address=store.place, remote=remote, tables=tables)
    finally:
        store.close()


def _window(options: dict[str, str], newest: int) -> Period:
    latest = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=newest // 1000)
    since, until = (
        moment(options[name], latest) if name in options else None for name in ("since", "until")
    )
    return Period(since, newest + 1 if until is None else min(until, newest + 1))


def extract_errors(pinned: Pinned, base: Path, path: str) -> Dataset:
    """What normalising makes errors of, as extracted tables under ``base/path``."""
    from selfheal.telemetry.formats.events import ErrorDetails, Resource, add_exception
    from selfheal.telemetry.parts import join
    from selfheal.telemetry.sink import Sink

    part = base / path / "part"
    handle = Dataset(path="", tables=pinned.tables, remote=pinned.remote)
    with (
        RemoteConnection(handle) as connection,
        Sink(part, refused_listed=0) as sink,
    ):
        for row in connection.execute(_MENTIONS).fetchall():
            origin, time_ns, service, release, operation, logger, trace, span, *error, escaped = row
            add_exception(
                sink,
                origin=origin,
                time_ns=time_ns,
                resource=Resource(service, release, None, None, None),
                operation=operation,
                logger=logger,
                ids=(trace, span),
                error=ErrorDetails(*error),
                escaped=escaped,
                line=0,
            )
        for number, row in enumerate(connection.execute(_SPANS).fetchall()):
            sink.spans.add((number, *row[1:]))
    for name, columns in EXTRACTED.items():
        file = part / f"{name}.parquet"
        join([file] if file.exists() else [], columns, base / path / file.name)
    shutil.rmtree(part)
    return describe(base, path)
