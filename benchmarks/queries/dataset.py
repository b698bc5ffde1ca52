"""A run folder over generated telemetry: two services, two releases, everything hashed.

Nothing is drawn at random: each value is a hash of the row's number, so that the same
number of spans is always the same telemetry. A trace has eight spans: an entry of the
shop, five steps, a database statement below the third step, and in every trace a call
of the second service.
"""

from __future__ import annotations

from pathlib import Path

from selfheal.artifacts import Telemetry
from selfheal.artifacts.dataset import describe
from selfheal.artifacts.envelope import envelope
from selfheal.artifacts.telemetry import EventCounts, Refused, Window
from selfheal.telemetry.model import DATASET
from selfheal.telemetry.statistics import aggregate

SPANS_PER_TRACE = 8
OPERATIONS = 40
_BEGIN = 1_767_225_600_000_000_000  # 2026-01-01
_HOURS = 6

_SPANS = f"""
WITH numbered AS (
    SELECT id, id // {SPANS_PER_TRACE} AS trace, id % {SPANS_PER_TRACE} AS place,
        hash(id) % 1000000 / 1e6 AS chance, hash(id + 7919) % 1000000 / 1e6 AS other
    FROM range(0, {{spans}}) AS rows(id)
), placed AS (
    SELECT *, hash(trace) % {OPERATIONS} AS entry, trace * 2 >= {{traces}} AS late,
        {_BEGIN} + (trace * {_HOURS * 3600}::DOUBLE / {{traces}} * 1e9)::BIGINT AS begun,
        -- A long tail, and some releases later one operation is half as slow again.
        2 + 3 * pow(hash(trace + 104729) % 1000000 / 1e6, 4) * 40 AS base
    FROM numbered
), timed AS (
    SELECT *, base * CASE WHEN late AND entry = 7 THEN 1.5 ELSE 1 END AS whole FROM placed
), spans AS (
    SELECT id, printf('%032x', hash(trace + 1)::UBIGINT) AS trace_id,
        printf('%016x', id + 1) AS span_id,
        CASE place WHEN 0 THEN NULL WHEN 4 THEN printf('%016x', id) WHEN 7 THEN printf('%016x', id)
            ELSE printf('%016x', trace * {SPANS_PER_TRACE} + 1) END AS parent_span_id,
        CASE WHEN place = 7 THEN 'stock' ELSE 'shop' END AS service,
        CASE WHEN late THEN '1.1' ELSE '1.0' END AS release,
        CASE WHEN late THEN 'b' ELSE 'a' END AS commit,
        'instance-' || (trace % 4)::VARCHAR AS instance, 'production' AS environment,
        CASE place WHEN 0 THEN 'GET /things/' || entry::VARCHAR WHEN 4 THEN 'SELECT things'
            WHEN 7 THEN 'GET /stock' ELSE 'things.' || entry::VARCHAR || '.step' || place::VARCHAR
            END AS operation,
        CASE place WHEN 0 THEN 'server' WHEN 7 THEN 'server' WHEN 4 THEN 'client'
            ELSE 'internal' END AS kind,
        begun + (CASE place WHEN 0 THEN 0 ELSE (place - 1) * whole / 8 * 1e6 END)::BIGINT AS start_ns,
        CASE place WHEN 0 THEN whole ELSE whole / 10 * (0.5 + chance) END AS duration_ms,
        CASE WHEN place = 0 AND other < 0.01 THEN 'error' ELSE 'unset' END AS status,
        CASE WHEN place BETWEEN 1 AND 6 AND place <> 4
            THEN 'shop.things.f' || entry::VARCHAR || '_' || place::VARCHAR END AS code_function,
        CASE WHEN place BETWEEN 1 AND 6 AND place <> 4
            THEN '/srv/shop/things_' || (entry % 10)::VARCHAR || '.py' END AS code_file,
        CASE WHEN place BETWEEN 1 AND 6 AND place <> 4
            THEN (10 + entry * 10 + place)::INTEGER END AS code_line,
        CASE WHEN place IN (0, 7) THEN 'GET' END AS http_method,
        CASE WHEN place = 0 THEN '/things/{{{{id}}}}' END AS http_route,
        CASE WHEN place = 0 THEN '/things/' || entry::VARCHAR || '/' || (trace % 500)::VARCHAR
            WHEN place = 7 THEN '/stock' END AS http_path,
        CASE WHEN place = 0 AND chance < 0.5 THEN 'page=' || (trace % 20)::VARCHAR || '&sort=name' END
            AS http_query,
        CASE WHEN place = 0 THEN CASE WHEN other < 0.01 THEN 500 WHEN other < 0.03 THEN 404
            ELSE 200 END END::INTEGER AS http_status,
        CASE WHEN place = 0 THEN 'session-' || (trace // 20)::VARCHAR END AS session_id,
        NULL::VARCHAR AS request_body, NULL::VARCHAR AS request_content_type,
        CASE place WHEN 4 THEN CASE WHEN entry % 5 = 0
            THEN 'UPDATE things SET seen = ? WHERE id = ?'
            ELSE 'SELECT * FROM things_' || entry::VARCHAR || ' WHERE id = ?' END END AS db_statement,
        'shop.telemetry' AS scope,
        CASE place WHEN 4 THEN '{{{{"db.system":"postgresql","server.address":"db"}}}}'
            ELSE '{{{{"thread.id":"' || (trace % 8)::VARCHAR || '","user.kind":"guest"}}}}' END
            AS attributes,
        0::INTEGER AS source, (id + 1)::INTEGER AS line
    FROM timed
)
SELECT *, start_ns + (duration_ms * 1e6)::BIGINT AS end_ns FROM spans
"""
_LOGS = """
SELECT row_number() OVER (ORDER BY id) - 1 AS id, end_ns AS time_ns,
    CASE WHEN status = 'error' THEN 'error' ELSE 'info' END AS severity,
    'served ' || operation AS body, 'shop' AS logger, service, release, instance, trace_id, span_id,
    CASE WHEN status = 'error' THEN 'KeyError' END AS exception_type,
    CASE WHEN status = 'error' THEN 'thing' END AS exception_message,
    NULL::VARCHAR AS exception_stacktrace, '{"event.name":"served"}' AS attributes, source, line
FROM spans WHERE parent_span_id IS NULL
"""
_ERRORS = """
SELECT end_ns AS time_ns, service, release, operation, trace_id, span_id,
    'KeyError' AS exception_type, 'thing ' || (hash(id) % 50)::VARCHAR AS exception_message,
    'Traceback (most recent call last): …' AS stacktrace,
    '[{"file":"/srv/shop/app.py","line":10,"function":"serve"},{"file":"/srv/shop/things_' ||
        (hash(operation) % 10)::VARCHAR || '.py","line":12,"function":"load"}]' AS frames,
    printf('%016x', hash(operation)) AS fingerprint, false AS handled, source, line
FROM spans WHERE status = 'error' ORDER BY id
"""
_COVERAGE = f"""
SELECT 'shop/things_' || (entry % 10)::VARCHAR || '.py' AS file,
    (10 + entry * 10 + place)::INTEGER AS line, entry % 3 > 0 AS covered,
    'f' || entry::VARCHAR || '_' || place::VARCHAR AS function, NULL::VARCHAR AS release
FROM range(0, {OPERATIONS}) AS a(entry), range(1, 7) AS b(place) ORDER BY ALL
"""
_METRICS = f"""
SELECT {_BEGIN} + minute * 60000000000 AS time_ns, NULL::BIGINT AS start_ns, 'shop' AS service,
    NULL::VARCHAR AS release, 'instance-' || one::VARCHAR AS instance, 'process.memory' AS name,
    'gauge' AS kind, NULL::VARCHAR AS temporality, NULL::BOOLEAN AS monotonic,
    100 + hash(minute * 10 + one) % 1000 / 100.0 AS value, NULL::BIGINT AS count,
    NULL::DOUBLE AS minimum, NULL::DOUBLE AS maximum, NULL::VARCHAR AS buckets, 'By' AS unit,
    NULL::VARCHAR AS scope, '{{}}' AS attributes, 0 AS source, 1 AS line, NULL::DOUBLE AS increase
FROM range(0, {_HOURS * 60}) AS a(minute), range(0, 4) AS b(one) ORDER BY ALL
"""


def generate(folder: Path, spans: int) -> Path:
    """A run folder ``folder/<spans>`` with a dataset and telemetry.json; made once.

    `spans` is rounded down to whole traces.
    """
    import duckdb

    run = folder / str(spans)
    if (run / "telemetry.json").is_file():
        return run
    dataset = run / "dataset"
    dataset.mkdir(parents=True, exist_ok=True)
    traces = spans // SPANS_PER_TRACE
    statements = {
        "spans": _SPANS.format(spans=traces * SPANS_PER_TRACE, traces=traces),
        "logs": _LOGS, "errors": _ERRORS, "coverage": _COVERAGE, "metrics": _METRICS,
    }  # fmt: skip
    with duckdb.connect() as connection:
        for table, sql in statements.items():
            columns = ", ".join(DATASET[table])
            connection.execute(
                f"COPY (SELECT {columns} FROM ({sql})) TO '{dataset}/{table}.parquet' "
                "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
            )
            connection.execute(
                f"CREATE VIEW {table} AS FROM read_parquet('{dataset}/{table}.parquet')"
            )
        figures = aggregate(connection)
    payload = Telemetry(
        sources=[],
        refused=Refused(),
        events=EventCounts(spans=figures.rows["spans"], errors=figures.rows["errors"]),
        window=Window(start=figures.window.start, end=figures.window.end),
        releases=figures.releases,
        operations=figures.operations,
        dataset=describe(run, "dataset"),
    )
    wrapped = envelope(
        "telemetry", payload, run_id=run.name, produced_by="benchmarks.queries", inputs=[]
    )
    (run / "telemetry.json").write_bytes(wrapped.to_bytes())
    return run
