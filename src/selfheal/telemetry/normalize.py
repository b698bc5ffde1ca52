"""From extracted rows to the dataset: duplicates out, errors grouped, records placed.

Normalising is a pure step over immutable Parquet. It yields small tables, and the large
ones (`spans`, `logs`) become what they are in the dataset by views over the extracted
rows and these:

* `errors`      the errors of the dataset;
* `duplicates`  (`table`, `id`): rows that repeat an earlier one;
* `origins`     (`id`, `service`, `release`, `instance`): where log records come from
                that only name a trace.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from selfheal.artifacts.dataset import Dataset
from selfheal.telemetry.model import DATASET
from selfheal.telemetry.tracebacks import Frame, fingerprint, parse_traceback

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

# A span is itself by its ids. A log record has no id: within a trace, equal time, place
# and words mean that an exporter sent it twice.
_IDENTITY = {
    "spans": ("trace_id, span_id", "true"),
    "logs": (
        "trace_id, span_id, time_ns, logger, severity, body",
        "trace_id IS NOT NULL AND time_ns IS NOT NULL",
    ),
}
_REPEATED = """
SELECT '{table}' AS "table", id FROM (
    SELECT id, min(id) OVER (PARTITION BY {identity}) AS first
    FROM raw_{table} WHERE {condition} AND hash({identity}) IN (SELECT hash FROM suspects)
) WHERE id <> first ORDER BY id
"""
_HASHES_AT_A_TIME = 8_000_000
_MEMORY = "600MB"

_ORIGINS = """
WITH lost AS (
    SELECT id, trace_id, span_id FROM raw_logs
    WHERE trace_id IS NOT NULL AND (service IS NULL OR release IS NULL)
), seen AS (
    SELECT trace_id, span_id, any_value(service) AS service, any_value(release) AS release,
        any_value(instance) AS instance
    FROM raw_spans WHERE trace_id IN (SELECT trace_id FROM lost) GROUP BY ALL
), traces AS (
    SELECT trace_id, min(service) AS service, min(release) AS release, min(instance) AS instance
    FROM seen GROUP BY trace_id
    HAVING count(DISTINCT coalesce(service, '')) = 1 AND count(DISTINCT coalesce(release, '')) = 1
)
SELECT lost.id, coalesce(s.service, t.service) AS service,
    coalesce(s.release, t.release) AS release, coalesce(s.instance, t.instance) AS instance
FROM lost LEFT JOIN seen AS s USING (trace_id, span_id) LEFT JOIN traces AS t USING (trace_id)
WHERE coalesce(s.service, t.service, s.release, t.release, s.instance, t.instance) IS NOT NULL
ORDER BY lost.id
"""

# One exception is mentioned by every span that it passes and by the log record about it.
# Within a trace, the same type and message are one error: it keeps the fullest
# traceback and the innermost span. Without a trace each mention is its own.
_DISTINCT = """
WITH mentions AS (
    SELECT e.*, s.start_ns AS span_start,
        coalesce(e.trace_id, 'row ' || e.id) AS trace_key,
        -- Spans know the time and the sender best; then in the order of reading.
        (e.origin <> 'span', e.id) AS precedence,
        split_part(coalesce(e.exception_type, ''), '.', -1) AS bare_type,
        trim(split_part(coalesce(e.exception_message, ''), chr(10), 1), ' ''"') AS first_line
    FROM raw_exceptions AS e
    LEFT JOIN spans AS s ON e.trace_id = s.trace_id AND e.span_id = s.span_id
)
SELECT
    min(id) AS id,
    arg_min(time_ns, precedence) AS time_ns,
    arg_min(service, precedence) AS service,
    arg_min(release, precedence) AS release,
    arg_max(operation, coalesce(span_start, 0)) AS own_operation,
    arg_min(logger, precedence) AS logger,
    any_value(trace_id) AS trace_id,
    arg_max(span_id, coalesce(span_start, 0)) AS span_id,
    arg_max(exception_type, length(exception_type)) AS exception_type,
    arg_min(exception_message, precedence) AS exception_message,
    arg_max(stacktrace, length(stacktrace)) AS stacktrace,
    bool_or(escaped) AS escaped,
    arg_min(source, precedence) AS source,
    arg_min(line, precedence) AS line
FROM mentions GROUP BY trace_key, bare_type, first_line
"""

# Failing requests that no exception explains are errors too, named by their status.
_FAILED_WITHOUT_EXCEPTION = """
SELECT
    NULL AS id, end_ns AS time_ns, service, release, operation AS own_operation,
    NULL AS logger, trace_id, span_id,
    coalesce(attributes ->> '$."error.type"', 'HTTP ' || http_status, 'failed span')
        AS exception_type,
    coalesce(attributes ->> '$."otel.status_description"', '') AS exception_message,
    NULL AS stacktrace, true AS escaped, source, line
FROM spans
WHERE (kind IN ('server', 'consumer') OR parent_span_id IS NULL)
    AND (status = 'error' OR http_status >= 500)
    AND trace_id NOT IN (SELECT trace_id FROM raw_exceptions WHERE trace_id IS NOT NULL)
"""

# The entry of an error: of the entry spans of its trace, the one of its own service that
# began last before it.
_ENTRIES = """
SELECT e.*,
    n.operation AS entry_operation, n.service AS entry_service, n.release AS entry_release,
    CASE WHEN n.trace_id IS NULL THEN NULL
        ELSE NOT (n.status = 'error' OR coalesce(n.http_status, 0) >= 500) END AS survived
FROM found AS e LEFT JOIN entries AS n ON e.trace_id = n.trace_id
QUALIFY row_number() OVER (
    PARTITION BY coalesce(e.trace_id, ''), coalesce(e.id, -1), e.source, e.line, e.span_id,
        e.exception_type, e.exception_message
    ORDER BY coalesce(n.service = e.service, false) DESC,
        coalesce(n.start_ns <= coalesce(e.time_ns, n.start_ns), false) DESC,
        n.kind IN ('server', 'consumer') DESC, n.start_ns DESC, n.id) = 1
ORDER BY e.id NULLS LAST, e.time_ns, e.trace_id, e.span_id
"""


# A series is what has the same name, sender, scope and attributes.
_INCREASES = """
SELECT m.* EXCLUDE (position, previous, previous_start), CASE
    WHEN kind NOT IN ('sum', 'histogram', 'exponentialHistogram') OR NOT coalesce(monotonic, true)
        THEN NULL
    WHEN temporality = 'delta' THEN value
    WHEN temporality IS DISTINCT FROM 'cumulative' THEN NULL
    WHEN previous IS NOT NULL AND start_ns IS NOT DISTINCT FROM previous_start AND value >= previous
        THEN value - previous
    WHEN previous IS NOT NULL OR start_ns IS NOT NULL THEN value
    END AS increase
FROM (
    SELECT *, lag(value) OVER series AS previous, lag(start_ns) OVER series AS previous_start
    FROM (SELECT *, row_number() OVER () AS position FROM raw_metrics)
    WINDOW series AS (
        PARTITION BY name, service, release, instance, scope, kind, temporality, attributes
        ORDER BY time_ns, position)
) AS m
ORDER BY position
"""


def normalize(extracted: Dataset) -> dict[str, pa.Table]:
    """The tables `errors`, `duplicates` and `origins` of extracted rows."""
    with connect_raw(extracted) as connection:
        duplicates = _duplicates(connection)
        origins = connection.sql(_ORIGINS).to_arrow_table()
        connection.register("duplicates", duplicates)
        _create_view(connection, "spans")
        return {"errors": _errors(connection), "duplicates": duplicates, "origins": origins}


def _duplicates(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """The rows that repeat an earlier one (`table`, `id`), in that order.

    Rows that are alike have equal hashes: only the few rows whose hash comes twice are
    compared, so that no table of all of them has to be built.
    """
    import pyarrow as pa

    found = [
        pa.schema([("table", pa.string()), ("id", pa.int64())]).empty_table(),
    ]
    for table, (identity, condition) in _IDENTITY.items():
        suspects = _repeated_hashes(connection, table, identity, condition)
        if len(suspects):
            connection.register("suspects", pa.table({"hash": suspects}))
            query = _REPEATED.format(table=table, identity=identity, condition=condition)
            found.append(connection.sql(query).to_arrow_table())
    return pa.concat_tables(found).sort_by([("table", "ascending"), ("id", "ascending")])


def _repeated_hashes(
    connection: duckdb.DuckDBPyConnection, table: str, identity: str, condition: str
) -> np.ndarray[Any, Any]:
    import numpy as np

    rows = connection.execute(f"SELECT count(*) FROM raw_{table}").fetchall()[0][0]
    slices = rows // _HASHES_AT_A_TIME + 1
    repeated = [np.empty(0, dtype=np.uint64)]
    # The hashes are sorted afterwards, so threads cannot change the answer.
    connection.execute("RESET threads")
    for number in range(slices):
        which = f"AND hash % {slices} = {number}" if slices > 1 else ""
        hashes = connection.execute(
            f"SELECT hash FROM (SELECT hash({identity}) AS hash FROM raw_{table} WHERE {condition}) "
            f"WHERE true {which}"
        ).fetchnumpy()["hash"]
        hashes.sort()
        repeated.append(hashes[1:][hashes[1:] == hashes[:-1]])
    connection.execute("SET threads = 1")
    return np.unique(np.concatenate(repeated))


def connect(extracted: Dataset, normalized: Dataset) -> duckdb.DuckDBPyConnection:
    """A connection whose views are the tables of the normalised dataset."""
    connection = connect_raw(extracted)
    for name in ("errors", "duplicates", "origins"):
        file = str(normalized.folder / normalized.tables[name].file).replace("'", "''")
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{file}')")
    for name in ("spans", "logs", "coverage", "metrics"):
        _create_view(connection, name)
    return connection


def connect_raw(extracted: Dataset) -> duckdb.DuckDBPyConnection:
    """A connection to extracted rows, each view named ``raw_<table>``."""
    connection = extracted.connect()
    # What does not fit spills to disk: memory does not grow with the telemetry.
    scratch = str(extracted.folder / "spilled").replace("'", "''")
    connection.execute(f"SET memory_limit = '{_MEMORY}'; SET temp_directory = '{scratch}'")
    for name in extracted.tables:
        connection.execute(f'ALTER VIEW "{name}" RENAME TO "raw_{name}"')
    return connection


def _create_view(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    query = _INCREASES if name == "metrics" else f"SELECT * FROM raw_{name}"
    if name in ("spans", "logs") and _repeats(connection, name):
        query += f" WHERE id NOT IN (SELECT id FROM duplicates WHERE \"table\" = '{name}')"
    if name == "logs":
        columns = ", ".join(
            f"coalesce(r.{column}, o.{column}) AS {column}"
            if column in ("service", "release", "instance")
            else f"r.{column}"
            for column in DATASET["logs"]
        )
        query = f"SELECT {columns} FROM ({query}) AS r LEFT JOIN origins AS o USING (id)"
    connection.execute(f"CREATE VIEW {name} AS {query}")


def _repeats(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    query = 'SELECT count(*) FROM duplicates WHERE "table" = ?'
    return bool(connection.execute(query, [table]).fetchall()[0][0])


def _errors(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    connection.execute(
        f"CREATE TEMP TABLE found AS {_DISTINCT} UNION ALL BY NAME {_FAILED_WITHOUT_EXCEPTION}"
    )
    connection.execute(
        "CREATE TEMP VIEW entries AS SELECT * FROM spans "
        "WHERE (kind IN ('server', 'consumer') OR parent_span_id IS NULL) "
        "AND trace_id IN (SELECT trace_id FROM found)"
    )
    connection.execute(f"CREATE TEMP TABLE placed AS {_ENTRIES}")
    connection.register("groups", _groups(connection))
    return connection.sql(
        """
        SELECT time_ns, coalesce(service, entry_service) AS service,
            coalesce(release, entry_release) AS release,
            coalesce(entry_operation, own_operation, logger) AS operation,
            trace_id, span_id, exception_type, exception_message, stacktrace,
            g.frames, g.fingerprint,
            coalesce(survived, NOT escaped) AS handled, source, line
        FROM placed AS p JOIN groups AS g ON
            p.exception_type IS NOT DISTINCT FROM g.kind
            AND p.exception_message IS NOT DISTINCT FROM g.message
            AND p.stacktrace IS NOT DISTINCT FROM g.trace
        ORDER BY p.id NULLS LAST, p.time_ns, p.trace_id, p.span_id
        """
    ).to_arrow_table()


def _groups(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Frames and fingerprint of each distinct (type, message, traceback)."""
    import pyarrow as pa

    distinct = connection.execute(
        "SELECT DISTINCT exception_type, exception_message, stacktrace FROM placed ORDER BY ALL"
    ).fetchall()
    rows = []
    for kind, message, trace in distinct:
        parsed = parse_traceback(trace) if trace else None
        frames: tuple[Frame, ...] = parsed.frames if parsed else ()
        rows.append(
            {
                "kind": kind,
                "message": message,
                "trace": trace,
                "frames": json.dumps([frame._asdict() for frame in frames], separators=(",", ":")),
                "fingerprint": fingerprint(kind, message or "", frames),
            }
        )
    schema = pa.schema(
        [(name, pa.string()) for name in ("kind", "message", "trace", "frames", "fingerprint")]
    )
    return pa.Table.from_pylist(rows, schema=schema)
