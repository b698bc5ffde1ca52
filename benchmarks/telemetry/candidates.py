"""One candidate, once, in a process of its own: ``python -m benchmarks.telemetry.candidates NAME SOURCE OUT``.

Each reads the same file into a store on disk (zstd Parquet, or ClickHouse's own table) and
prints what it found: rows, and the sum of the durations in ns, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CLICKHOUSE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "selfheal" / "clickhouse"
)
_LOCAL = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.chdb_query_cmdline.restype = ctypes.c_void_p
library.chdb_result_error.restype = ctypes.c_char_p
library.chdb_result_error.argtypes = [ctypes.c_void_p]
library.chdb_result_buffer.restype = ctypes.c_char_p
library.chdb_result_buffer.argtypes = [ctypes.c_void_p]
words = [word.encode() for word in ("clickhouse", *sys.argv[2:])]
result = library.chdb_query_cmdline(len(words), (ctypes.c_char_p * (len(words) + 1))(*words, None))
error = library.chdb_result_error(result)
sys.exit(error.decode() if error else print(library.chdb_result_buffer(result).decode()))
"""
Found = dict[str, int]


def selfheal(source: Path, out: Path) -> Found:
    from selfheal.telemetry import ingest

    dataset = ingest([source], out, "dataset").dataset
    spans = dataset.rows(
        "SELECT count(*) AS rows, coalesce(sum(end_ns - start_ns), 0)::BIGINT AS ns FROM spans"
    )[0]
    return {"rows": spans["rows"], "nanoseconds": spans["ns"]}


def selfheal_logs(source: Path, out: Path) -> Found:
    """Lines kept: log records, and requests of access logs."""
    from selfheal.telemetry import ingest

    read = ingest([source], out, "dataset")
    return {
        "rows": sum(one.lines_read for one in read.sources) - read.refused.total,
        "nanoseconds": 0,
    }


def duckdb_flat(source: Path, out: Path) -> Found:
    import duckdb

    file = out / "spans.parquet"
    rows = f"read_json('{source}', format = 'newline_delimited')"
    duckdb.execute(f"COPY (SELECT * FROM {rows}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
    return _summed(f"SELECT count(*), sum(duration_ns) FROM '{file}'")


def polars_flat(source: Path, out: Path) -> Found:
    import polars

    file = out / "spans.parquet"
    polars.scan_ndjson(source).sink_parquet(file, compression="zstd")
    return _summed(f"SELECT count(*), sum(duration_ns) FROM '{file}'")


def duckdb_otlp(source: Path, out: Path) -> Found:
    import duckdb

    file = out / "spans.parquet"
    rows = f"read_json('{source}', format = 'newline_delimited', maximum_object_size = 268435456)"
    duckdb.execute(
        f"COPY (SELECT resource, unnest(scoped.spans, recursive := true) FROM (SELECT resource, "
        f"unnest(scopeSpans) AS scoped FROM (SELECT unnest(resourceSpans, max_depth := 2) FROM {rows}"
        f"))) TO '{file}' (FORMAT parquet, COMPRESSION zstd)"
    )
    return _summed(
        f"SELECT count(*), sum(endTimeUnixNano::BIGINT - startTimeUnixNano::BIGINT) FROM '{file}'"
    )


def _summed(query: str) -> Found:
    import duckdb

    rows, nanoseconds = duckdb.sql(query).fetchall()[0]
    return {"rows": int(rows), "nanoseconds": int(nanoseconds)}


_SPAN = (
    "traceId String, spanId String, parentSpanId String, name String, kind Int32, "
    "startTimeUnixNano String, endTimeUnixNano String, "
    "attributes Array(Tuple(key String, value Tuple(stringValue String, intValue String))), "
    "status Tuple(code Int32, message String)"
)
_REQUEST = (
    "resourceSpans Array(Tuple(resource Tuple(attributes Array(Tuple(key String, value "
    "Tuple(stringValue String)))), scopeSpans Array(Tuple(scope Tuple(name String), "
    f"spans Array(Tuple({_SPAN})))))) "
)


def chdb_otlp(source: Path, out: Path) -> Found:
    """Spans with their resource and attributes as maps, as the collector's table has them."""
    select = f"""
        SELECT mapFromArrays(resource.attributes.key, resource.attributes.value.stringValue) AS resource,
            span.traceId AS trace, span.spanId AS span_id, span.parentSpanId AS parent,
            span.name AS name, span.kind AS kind,
            toUInt64(span.startTimeUnixNano) AS start, toUInt64(span.endTimeUnixNano) AS end,
            mapFromArrays(span.attributes.key, arrayMap(v -> if(v.1 = '', v.2, v.1), span.attributes.value)) AS attributes,
            span.status.code AS status
        FROM (SELECT carrier.resource AS resource, arrayJoin(scoped.spans) AS span FROM (
            SELECT carrier, arrayJoin(carrier.scopeSpans) AS scoped FROM (
                SELECT arrayJoin(resourceSpans) AS carrier
                FROM file('{source}', JSONEachRow, '{_REQUEST}'))))"""
    return _chdb(select, "start", out, "sum(end - start)")


def chdb_flat(source: Path, out: Path) -> Found:
    return _chdb(f"SELECT * FROM file('{source}', JSONEachRow)", "tuple()", out, "sum(duration_ns)")


def _chdb(select: str, order: str, out: Path, total: str) -> Found:
    library = sorted(CLICKHOUSE.glob("*/libchdb.so"))[-1]
    statements = f"""
        SET input_format_skip_unknown_fields = 1, schema_inference_make_columns_nullable = 0;
        CREATE DATABASE kept ENGINE = Atomic;
        CREATE TABLE kept.spans ENGINE = MergeTree ORDER BY {order} AS {select};
        SELECT count() AS rows, {total} AS nanoseconds FROM kept.spans
        FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0;"""
    done = subprocess.run(
        [sys.executable, "-c", _LOCAL, str(library), f"--path={out}", "--query", statements],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-500:])
    found: Found = json.loads(done.stdout)
    return found


def lnav(source: Path, out: Path) -> Found:
    """lnav's own count of the records in the files."""
    done = subprocess.run(
        ["lnav", "-n", "-c", ";SELECT count(*) FROM all_logs", *map(str, sorted(source.iterdir()))],
        capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(out)},
    )  # fmt: skip
    return {"rows": int(done.stdout.split()[-1]), "nanoseconds": 0}


def drain3(source: Path, out: Path) -> Found:
    """Drain3 over the lines: templates only, nothing is stored."""
    del out
    from drain3 import TemplateMiner

    miner, rows = TemplateMiner(), 0
    for file in sorted(source.iterdir()):
        with file.open() as lines:
            for line in lines:
                miner.add_log_message(line.rstrip())
                rows += 1
    return {"rows": rows, "nanoseconds": 0}


CANDIDATES: dict[str, dict[str, Callable[[Path, Path], Found]]] = {
    "flat-json": {
        "selfheal": selfheal, "DuckDB": duckdb_flat, "Polars": polars_flat, "chDB": chdb_flat,
    },
    "otlp-json": {"selfheal": selfheal, "chDB": chdb_otlp, "DuckDB": duckdb_otlp},
    "otlp-protobuf": {"selfheal": selfheal},
    "logs": {"selfheal": selfheal_logs, "lnav": lnav, "Drain3": drain3},
}  # fmt: skip


def main() -> None:
    kind, name, source, out = sys.argv[1:]
    print(json.dumps(CANDIDATES[kind][name](Path(source), Path(out))))


if __name__ == "__main__":
    main()
