"""What each operation did per release: exact counts, rates and percentiles by SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selfheal.artifacts.model import Model
from selfheal.artifacts.telemetry import OperationStatistics, Release, Window

if TYPE_CHECKING:
    import duckdb

UNKNOWN = "unknown"

_RELEASES = f"""
WITH seen AS (
    SELECT coalesce(service, '{UNKNOWN}') AS service, coalesce(release, '{UNKNOWN}') AS version,
        min(commit) AS commit, min(start_ns) AS first_ns, max(coalesce(end_ns, start_ns)) AS last_ns,
        count(*) AS spans, 0 AS logs
    FROM spans GROUP BY 1, 2
    UNION ALL
    SELECT coalesce(service, '{UNKNOWN}'), coalesce(release, '{UNKNOWN}'),
        NULL, min(time_ns), max(time_ns), 0, count(*)
    FROM logs GROUP BY 1, 2
)
SELECT service, version, min(commit) AS commit, min(first_ns) AS first_ns, max(last_ns) AS last_ns,
    sum(spans)::BIGINT AS spans, sum(logs)::BIGINT AS logs
FROM seen GROUP BY 1, 2 ORDER BY service, first_ns NULLS LAST, version
"""

_OPERATIONS = f"""
WITH lasting AS (
    SELECT coalesce(service, '{UNKNOWN}') AS service, coalesce(release, '{UNKNOWN}') AS release,
        (max(end_ns) - min(start_ns)) / 1e9 AS seconds
    FROM spans GROUP BY 1, 2
)
SELECT service, operation, release, count(*) AS count,
    count(*) FILTER (status = 'error' OR coalesce(http_status, 0) >= 500) AS errors,
    any_value(seconds) AS seconds,
    quantile_cont(duration_ms, 0.5) AS p50_ms, quantile_cont(duration_ms, 0.95) AS p95_ms,
    quantile_cont(duration_ms, 0.99) AS p99_ms, avg(duration_ms) AS mean_ms,
    max(duration_ms) AS max_ms
FROM (
    SELECT coalesce(service, '{UNKNOWN}') AS service, coalesce(release, '{UNKNOWN}') AS release,
        operation, status, http_status, duration_ms
    FROM spans
) JOIN lasting USING (service, release)
GROUP BY service, operation, release
HAVING count(duration_ms) > 0
ORDER BY service, operation, release
"""


class Aggregates(Model):
    """The figures of telemetry.json, and how many rows each table of the dataset has."""

    window: Window
    releases: list[Release]
    operations: list[OperationStatistics]
    rows: dict[str, int]

    @property
    def summary(self) -> str:
        names = sorted({(figures.service, figures.operation) for figures in self.operations})
        return f"{len(names)} operations in {len(self.releases)} releases"


def aggregate(connection: duckdb.DuckDBPyConnection) -> Aggregates:
    """The figures over the views `spans`, `logs`, `errors`, `coverage`, `metrics`."""
    releases = _rows(connection, _RELEASES)
    starts = [row["first_ns"] for row in releases if row["first_ns"] is not None]
    ends = [row["last_ns"] for row in releases if row["last_ns"] is not None]
    return Aggregates(
        window=Window(
            start=iso(min(starts)) if starts else None, end=iso(max(ends)) if ends else None
        ),
        releases=[
            Release(
                service=row["service"],
                version=row["version"],
                commit=row["commit"],
                first_seen=iso(row["first_ns"]),
                last_seen=iso(row["last_ns"]),
                spans=row["spans"],
                logs=row["logs"],
            )
            for row in releases
        ],
        operations=[_statistics(row) for row in _rows(connection, _OPERATIONS)],
        rows={
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
            for name in ("spans", "logs", "errors", "coverage", "metrics")
        },
    )


def _statistics(row: dict[str, Any]) -> OperationStatistics:
    seconds = row.pop("seconds")
    figures = {name: significant(row.pop(name)) for name in tuple(row) if name.endswith("_ms")}
    return OperationStatistics(
        **row,
        **figures,
        error_rate=significant(row["errors"] / row["count"]),
        rate_per_second=significant(row["count"] / seconds) if seconds else None,
    )


def significant(value: float, digits: int = 6) -> float:
    """A number to its significant digits, so that artifacts hold no numeric noise."""
    return float(f"{value:.{digits}g}")


def iso(time_ns: int | None) -> str | None:
    """Nanoseconds since 1970 as ISO 8601 UTC to the microsecond."""
    from datetime import UTC, datetime, timedelta

    if time_ns is None:
        return None
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
