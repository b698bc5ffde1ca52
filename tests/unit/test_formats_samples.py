"""Files of real producers are recognised by their bytes and tell what their producer did.

How each sample was made is in `make_samples.py` beside them. Serilog's producer is .NET,
which does not run here: its lines are written from what CLEF and the output templates
document.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from samples import SAMPLES, only, read, written

from selfheal.telemetry.formats import READERS, recognise
from selfheal.telemetry.formats.access_log import route_of
from selfheal.telemetry.sources import Head, head_of

FORMATS = {
    "apache-common.log": "access-log",
    "apache-vhost.log": "access-log",
    "coding-session.jsonl": "otlp-json",
    "conductor-frames.json": "beat-frames",
    "coverage-1.0.json": "coverage-json",
    "coverage.lcov": "lcov",
    "coverage.xml": "cobertura-xml",
    "group.log": "text",
    "junit.xml": "junit-xml",
    "logs.jsonl": "otlp-json",
    "logs.pb": "otlp-protobuf",
    "metrics-delta.pb": "otlp-protobuf",
    "metrics.jsonl": "otlp-json",
    "nginx-combined.log": "access-log",
    "nginx-timed.log": "access-log",
    "otel_logs.jsonl": "clickhouse-json",
    "otel_logs.tsv": "clickhouse-tsv",
    "otel_metrics_sum.jsonl": "clickhouse-json",
    "otel_metrics_sum.tsv": "clickhouse-tsv",
    "otel_traces.jsonl": "clickhouse-json",
    "otel_traces.tsv": "clickhouse-tsv",
    "pytest-long.txt": "pytest",
    "pytest-native.txt": "pytest",
    "pytest-no.txt": "pytest",
    "pytest-short.txt": "pytest",
    "stdlib-brackets.log": "text",
    "stdlib-dashes.log": "text",
    "stdlib-default.log": "text",
    "stdlib-json.log": "json-lines",
    "stdlib.log": "text",
    "structlog-colours.log": "text",
    "structlog-console.log": "text",
    "structlog-dicts.log": "json-lines",
    "structlog.log": "json-lines",
    "traces.jsonl": "otlp-json",
    "traces.pb": "otlp-protobuf",
}
SERILOG_TEXT = """\
[2024-05-01 12:00:00.250 +02:00] [INF] Shop.Startup: started on port 80
[2024-05-01 12:00:01.000 +02:00] [ERR] Shop.Orders: order 17 failed
System.InvalidOperationException: no price for 17
 ---> System.Collections.Generic.KeyNotFoundException: The given key '17' was not present
   at System.Collections.Generic.Dictionary`2.get_Item(TKey key)
   at Shop.Prices.Find(Int32 id) in /src/Shop/Prices.cs:line 12
   --- End of inner exception stack trace ---
   at Shop.Prices.Of(Int32 id) in /src/Shop/Prices.cs:line 20
   at Shop.Orders.Place(Order order) in /src/Shop/Orders.cs:line 42
2024-05-01 12:00:02.000 +02:00 [WRN] slow
[12:00:03 FTL] gone
"""
TIMES = [1714557600250, 1714557601000]


def test_a_mixed_folder_is_recognised_file_by_file_and_nothing_is_lost(tmp_path: Path) -> None:
    ingested = read(tmp_path, SAMPLES)
    assert {source.path: source.format for source in ingested.sources} == FORMATS
    assert [line.file for line in ingested.refused.listed] == [
        "clickhouse_sample.py",
        "make_samples.py",
    ]
    assert ingested.refused.total == 2
    assert all(source.events_kept and not source.broken_bytes for source in ingested.sources)


def test_every_format_is_documented() -> None:
    page = (SAMPLES.parents[2] / "docs" / "formats.md").read_text()
    assert [reader.name for reader in READERS if f"`{reader.name}`" not in page] == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_compressed_sample_is_recognised_as_the_same_format(tmp_path: Path, name: str) -> None:
    content = (SAMPLES / name).read_bytes()
    packed = written(tmp_path, "packed.zst", pa.compress(content, "zstd", asbytes=True))
    zipped = written(tmp_path, "zipped.gz", gzip.compress(content))
    for file in (packed, zipped):
        reader = recognise(head_of(file))
        assert reader is not None
        assert reader.name == FORMATS[name]


@pytest.mark.parametrize("name", [name for name in FORMATS if not name.startswith("otel_")])
def test_the_beginning_of_a_sample_tells_its_format(name: str) -> None:
    content = (SAMPLES / name).read_bytes()
    reader = recognise(Head.of(content[: len(content) * 2 // 3]))
    assert reader is not None
    assert reader.name == FORMATS[name]


def test_every_way_to_format_a_log_gives_one_fingerprint(tmp_path: Path) -> None:
    files = [SAMPLES / name for name in FORMATS if name.startswith(("stdlib", "structlog"))]
    dataset = read(tmp_path, *files).dataset
    assert only(
        dataset,
        "SELECT count(*) AS errors, count(DISTINCT fingerprint) AS groups, "
        "count(DISTINCT json_extract(frames, '$[#-1]')) AS places FROM errors",
    ) == {"errors": 18, "groups": 1, "places": 1}
    assert dataset.rows("SELECT DISTINCT severity, body FROM logs ORDER BY ALL") == [
        {"severity": "error", "body": "checkout failed"},
        {"severity": "info", "body": "started"},
        {"severity": "warn", "body": "ended"},
    ]


def test_protobuf_and_json_of_one_recording_give_the_same_rows(tmp_path: Path) -> None:
    for table, sql in (
        ("traces", "SELECT * EXCLUDE (id, source, line) FROM spans ORDER BY start_ns"),
        ("logs", "SELECT * EXCLUDE (id, source, line) FROM logs ORDER BY time_ns"),
    ):
        as_json = read(tmp_path, SAMPLES / f"{table}.jsonl").dataset.rows(sql)
        as_protobuf = read(tmp_path, SAMPLES / f"{table}.pb").dataset.rows(sql)
        # The sample in protobuf names another folder.
        assert str(as_json) == str(as_protobuf).replace("/srv/shop/sample", "/srv/shop")
        assert as_json


def test_an_exception_in_a_span_and_in_a_log_record_is_one_error(tmp_path: Path) -> None:
    dataset = read(tmp_path, SAMPLES / "traces.pb", SAMPLES / "logs.pb").dataset
    assert only(dataset, "SELECT operation, exception_type, service, release FROM errors") == {
        "operation": "POST /orders",
        "exception_type": "ValueError",
        "service": "shop",
        "release": "1.0",
    }


@pytest.mark.parametrize("framing", ["fixed32", "varint"])
def test_messages_of_all_signals_after_their_length_are_read(tmp_path: Path, framing: str) -> None:
    messages = [(SAMPLES / name).read_bytes() for name in ("traces.pb", "logs.pb")]
    content = b"".join(_length(len(message), framing) + message for message in messages)
    ingested = read(tmp_path, written(tmp_path, "all.bin", content))
    assert (ingested.events.spans, ingested.events.logs, ingested.refused.total) == (6, 4, 0)
    assert ingested.sources[0].lines_read == 2
    torn = read(tmp_path, written(tmp_path, "torn.bin", content[:-5]))
    assert (torn.events.spans, torn.events.logs) == (6, 0)
    (refused,) = torn.refused.listed
    assert (refused.line, refused.reason) == (2, "the file ends inside of this message")


def _length(size: int, framing: str) -> bytes:
    if framing == "fixed32":
        return size.to_bytes(4)
    groups = []
    while size > 0x7F:
        groups.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*groups, size])


def test_delta_and_cumulative_series_grow_by_the_same(tmp_path: Path) -> None:
    dataset = read(tmp_path, SAMPLES / "metrics.jsonl", SAMPLES / "metrics-delta.pb").dataset
    rows = dataset.rows(
        "SELECT name, temporality, list(value ORDER BY time_ns) AS values, "
        "list(increase ORDER BY time_ns) AS increases "
        "FROM metrics WHERE name IN ('orders', 'duration', 'duration.exponential') "
        "GROUP BY ALL ORDER BY ALL"
    )
    increases = {"orders": [1, 2, 3], "duration": [308.5, 312.5, 316.5]}
    increases["duration.exponential"] = increases["duration"]
    assert len(rows) == 6
    for row in rows:
        assert row["increases"] == increases[row["name"]]
        if row["temporality"] == "delta":
            assert row["values"] == row["increases"]
    others = dataset.rows(
        "SELECT DISTINCT name, kind, monotonic, increase FROM metrics "
        "WHERE name IN ('stock', 'temperature') ORDER BY name"
    )
    assert [tuple(row.values()) for row in others] == [
        ("stock", "sum", False, None),
        ("temperature", "gauge", None, None),
    ]


def test_both_kinds_of_histograms_have_counts_between_bounds(tmp_path: Path) -> None:
    dataset = read(tmp_path, SAMPLES / "metrics.jsonl").dataset
    rows = dataset.rows(
        "SELECT name, count, minimum, maximum, buckets FROM metrics "
        "WHERE kind LIKE '%istogram' ORDER BY time_ns"
    )
    recorded = [value + number for number in range(3) for value in (0.0, 1.0, 7.5, 300.0)]
    for row in rows:
        buckets = json.loads(row["buckets"])
        assert len(buckets["counts"]) == len(buckets["bounds"]) + 1
        assert sum(buckets["counts"]) == row["count"]
    for row in rows[-2:]:
        assert (row["count"], row["minimum"], row["maximum"]) == (12, 0.0, 302.0)
        buckets = json.loads(row["buckets"])
        for index, bound in enumerate(buckets["bounds"]):
            below = sum(buckets["counts"][: index + 1])
            assert below == sum(value <= bound for value in recorded)


def test_events_of_coding_sessions_have_numbers_as_numbers_and_unknown_ones_stay(
    tmp_path: Path,
) -> None:
    ingested = read(tmp_path, SAMPLES / "coding-session.jsonl")
    assert (ingested.events.logs, ingested.refused.total) == (17, 0)
    rows = ingested.dataset.rows("SELECT body, attributes FROM logs ORDER BY id")
    kinds: dict[str, set[type]] = {}
    for row in rows:
        for name, value in json.loads(row["attributes"]).items():
            kinds.setdefault(name, set()).add(type(value))
    for name in ("duration_ms", "input_tokens", "tool_result_size_bytes", "cost_usd_micros"):
        assert kinds[name] == {int}, name
    assert kinds["success"] == {bool}
    assert "claude_code.managed_settings_resolved" in {row["body"] for row in rows}
    tokens = ingested.dataset.rows(
        "SELECT sum(increase) AS tokens FROM metrics WHERE name = 'claude_code.token.usage'"
    )
    assert tokens[0]["tokens"] > 0
    spans = ingested.dataset.rows("SELECT operation, session_id FROM spans")
    assert {row["operation"] for row in spans} >= {"claude_code.interaction", "claude_code.tool"}
    assert len({row["session_id"] for row in spans}) == 2


def test_an_api_error_of_a_coding_session_is_an_error(tmp_path: Path) -> None:
    attributes = {"event.name": "api_error", "error": "Overloaded", "status_code": "529"}
    record = {
        "timeUnixNano": "1795223265660000000",
        "body": {"stringValue": "claude_code.api_error"},
        "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()],
    }
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    dataset = read(tmp_path, written(tmp_path, "events.jsonl", json.dumps(request))).dataset
    row = only(dataset, "SELECT severity, attributes ->> 'status_code' AS code FROM logs")
    assert row == {"severity": "error", "code": "529"}
    assert only(dataset, "SELECT exception_type, exception_message FROM errors") == {
        "exception_type": "claude_code.api_error",
        "exception_message": "Overloaded",
    }


@pytest.mark.parametrize("style", ["long", "short", "native"])
def test_what_pytest_prints_gives_the_errors_of_its_junit_report(
    tmp_path: Path, style: str
) -> None:
    sql = (
        "SELECT operation, exception_type, fingerprint, json_extract(frames, '$[#-1].line') "
        "FROM errors ORDER BY operation"
    )
    printed = read(tmp_path, SAMPLES / f"pytest-{style}.txt")
    reported = read(tmp_path, SAMPLES / "junit.xml").dataset.rows(sql)
    assert printed.dataset.rows(sql) == reported != []
    assert printed.events.without_timestamp == 2


def test_without_tracebacks_the_short_summary_tells_the_errors(tmp_path: Path) -> None:
    errors = read(tmp_path, SAMPLES / "pytest-no.txt").dataset.rows(
        "SELECT operation, exception_type, exception_message, line FROM errors ORDER BY line"
    )
    assert [tuple(row.values()) for row in errors] == [
        ("test_shopping::test_without_a_quantity", "KeyError", "'quantity'", 10),
        ("test_shopping::test_wrong_sum", "AssertionError", "assert 6 == 7", 11),
    ]


def test_lcov_gives_the_lines_and_functions_of_the_json_report(tmp_path: Path) -> None:
    sql = "SELECT line, covered, function FROM coverage ORDER BY line"
    assert (
        read(tmp_path, SAMPLES / "coverage.lcov").dataset.rows(sql)
        == read(tmp_path, SAMPLES / "coverage-1.0.json").dataset.rows(sql)
        != []
    )


def test_lcov_without_ends_of_functions_and_with_merged_runs(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "coverage-2.0.info",
        "TN:suite\nSF:src/a.c\nFN:1,first\nFN:4,second\nFNDA:1,first\nDA:2,0\nDA:5,3,abc\n"
        "LF:2\nend_of_record\nSF:src/a.c\nDA:2,1\nnonsense\nend_of_record\n",
    )
    ingested = read(tmp_path, file)
    assert ingested.dataset.rows("SELECT * FROM coverage") == [
        {"file": "src/a.c", "line": line, "covered": True, "function": function, "release": "2.0"}
        for line, function in ((2, "first"), (5, "second"))
    ]
    (refused,) = ingested.refused.listed
    assert refused.line == 12


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("apache-common.log", None),
        ("apache-vhost.log", "localhost:80"),
        ("nginx-combined.log", None),
        ("nginx-timed.log", None),
    ],
)
def test_requests_of_access_logs_are_server_spans(
    tmp_path: Path, name: str, host: str | None
) -> None:
    dataset = read(tmp_path, SAMPLES / name).dataset
    rows = dataset.rows("SELECT * FROM spans ORDER BY line")
    assert [(row["operation"], row["http_path"], row["http_query"]) for row in rows] == [
        ("GET /index.html", "/index.html", None),
        ("GET /products/{id}", "/products/17", "currency=EUR"),
        ("POST /broken", "/broken", None),
        ("GET /products/{id}", "/products/18", None),
        ("invalid request", None, None),
        ('GET /"quoted"/%20', '/"quoted"/%20', None),
    ]
    assert rows[0]["http_status"] == 200
    assert rows[4]["http_status"] == 400
    assert all(row["start_ns"] and row["kind"] == "server" for row in rows)
    assert all((row["duration_ms"] is not None) == (name == "nginx-timed.log") for row in rows)
    attributes = json.loads(rows[0]["attributes"])
    assert (attributes["client.address"], attributes.get("server.address")) == ("127.0.0.1", host)
    if name != "apache-common.log":
        assert attributes["user_agent.original"] == 'sample/1.0 (a "b")'
    failures = dataset.rows("SELECT operation, exception_type FROM errors")
    expected = [{"operation": "POST /broken", "exception_type": "HTTP 503"}]
    assert failures == (expected if name.startswith("nginx") else [])


def test_a_request_time_gives_a_request_its_start(tmp_path: Path) -> None:
    line = '::1 - - [01/May/2024:14:00:01 +0200] "GET /a HTTP/1.1" 200 5 "-" "-" 0.250'
    row = only(
        read(tmp_path, written(tmp_path, "access.log", line)).dataset,
        "SELECT start_ns // 1000000 AS start, end_ns // 1000000 AS ended, duration_ms FROM spans",
    )
    assert row == {"start": 1714564800750, "ended": 1714564801000, "duration_ms": 250.0}


def test_the_log_of_pythons_own_servers_is_an_access_log(tmp_path: Path) -> None:
    line = '127.0.0.1 - - [01/May/2024 12:00:00] "GET /products/7 HTTP/1.1" 200 -\n'
    ingested = read(tmp_path, written(tmp_path, "server.log", line))
    assert ingested.sources[0].format == "access-log"
    assert only(ingested.dataset, "SELECT operation, http_status, start_ns FROM spans") == {
        "operation": "GET /products/{id}",
        "http_status": 200,
        "start_ns": 1714564800 * 10**9,
    }


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/orders/17/items/3", "/orders/{id}/items/{id}"),
        ("/f/6f1e1c5e-8f43-4a1f-9a53-0d9f6a1b2c3d", "/f/{id}"),
        ("/blob/deadbeef01", "/blob/{id}"),
        ("/v2/feedback/facade", "/v2/feedback/facade"),
    ],
)
def test_paths_with_ids_are_one_operation(path: str, route: str) -> None:
    assert route_of(path) == route


@pytest.mark.parametrize("ending", ["jsonl", "tsv"])
def test_tables_exported_from_clickhouse_are_read_as_sent(tmp_path: Path, ending: str) -> None:
    files = [SAMPLES / f"otel_{name}.{ending}" for name in ("traces", "logs", "metrics_sum")]
    dataset = read(tmp_path, *files).dataset
    spans = dataset.rows("SELECT * FROM spans ORDER BY start_ns")
    assert [
        (row["operation"], row["kind"], row["status"], row["duration_ms"]) for row in spans
    ] == [
        ("POST /orders", "server", "error", 15.5),
        ("SELECT", "client", "unset", 0.25),
    ]
    first, second = spans
    assert first["start_ns"] == 1714564800123456789
    assert (first["service"], first["release"], first["http_status"]) == ("shop", "1.0", 500)
    assert json.loads(first["attributes"])["note"] == "tab\there 'quoted' back\\slash é"
    assert (second["parent_span_id"], second["db_statement"]) == (first["span_id"], "SELECT 1")
    error = only(dataset, "SELECT exception_type, exception_message, frames FROM errors")
    assert (error["exception_type"], error["exception_message"]) == (
        "ValueError",
        "it's [1, 2] {x}",
    )
    assert json.loads(error["frames"]) == [{"file": "/srv/a.py", "line": 3, "function": "f"}]
    logs = dataset.rows("SELECT * FROM logs ORDER BY time_ns")
    assert (logs[0]["severity"], logs[0]["body"]) == ("error", "order failed:\n\tno price")
    assert json.loads(logs[1]["attributes"])["input_tokens"] == 120
    assert only(dataset, "SELECT name, temporality, monotonic, value, increase FROM metrics") == {
        "name": "orders",
        "temporality": "cumulative",
        "monotonic": True,
        "value": 7.0,
        "increase": 7.0,
    }


def test_attributes_in_json_columns_and_nested_events_are_read(tmp_path: Path) -> None:
    row = {
        "Timestamp": "2024-05-01 12:00:00.5", "TraceId": "ab" * 16, "SpanId": "cd" * 8,
        "SpanName": "GET /", "SpanKind": "SPAN_KIND_SERVER", "Duration": "1000000",
        "StatusCode": "STATUS_CODE_ERROR", "ServiceName": "shop", "ResourceAttributes": {},
        "SpanAttributes": {"http": {"request": {"method": "GET"}}},
        "Events": [{"Timestamp": "2024-05-01 12:00:00.6", "Name": "exception",
                    "Attributes": {"exception": {"type": "KeyError", "message": "'x'"}}}],
    }  # fmt: skip
    dataset = read(tmp_path, written(tmp_path, "rows.json", json.dumps(row))).dataset
    span = only(dataset, "SELECT http_method, kind, status, service FROM spans")
    assert tuple(span.values()) == ("GET", "server", "error", "shop")
    assert only(dataset, "SELECT exception_type FROM errors") == {"exception_type": "KeyError"}


def test_serilogs_text_is_read_with_its_exceptions(tmp_path: Path) -> None:
    ingested = read(tmp_path, written(tmp_path, "shop.log", SERILOG_TEXT))
    assert ingested.sources[0].format == "serilog-text"
    rows = ingested.dataset.rows("SELECT * FROM logs ORDER BY id")
    assert [(row["severity"], row["logger"], row["body"]) for row in rows] == [
        ("info", "Shop.Startup", "started on port 80"),
        ("error", "Shop.Orders", "order 17 failed"),
        ("warn", None, "slow"),
        ("fatal", None, "gone"),
    ]
    assert [row["time_ns"] // 10**6 for row in rows[:2]] == TIMES
    assert rows[3]["time_ns"] is None
    _check_dotnet_error(ingested.dataset)


def test_serilogs_compact_json_is_rendered_and_read(tmp_path: Path) -> None:
    exception = "\n".join(SERILOG_TEXT.splitlines()[2:9])
    records: list[dict[str, Any]] = [
        {"@t": "2024-05-01T10:00:00.2500000Z", "@mt": "started on port {Port:00} {{x}} {Gone}",
         "@r": ["80"], "Port": 80, "SourceContext": "Shop.Startup", "@@odd": 1},
        {"@t": "2024-05-01T10:00:01Z", "@l": "Error", "@mt": "order {@Order} failed", "Order": {"id": 17},
         "@x": exception, "@tr": "ab" * 16, "@sp": "cd" * 8, "@i": "e1"},
        {"@t": "2024-05-01T10:00:02Z", "@m": "done", "@l": "Verbose", "@x": "System.Exception: bare"},
    ]  # fmt: skip
    content = "\n".join([*map(json.dumps, records), "{}", "", "[1]"])
    ingested = read(tmp_path, written(tmp_path, "shop.clef", content))
    (source,) = ingested.sources
    assert (source.format, source.events_kept, source.lines_refused) == ("serilog-compact", 3, 2)
    assert source.lines_passed_over == 1
    rows = ingested.dataset.rows("SELECT * FROM logs ORDER BY id")
    assert [(row["severity"], row["body"]) for row in rows] == [
        ("info", "started on port 80 {x} {Gone}"),
        ("error", 'order {"id":17} failed'),
        ("trace", "done"),
    ]
    assert [row["time_ns"] // 10**6 for row in rows[:2]] == TIMES
    assert rows[0]["logger"] == "Shop.Startup"
    assert json.loads(rows[0]["attributes"])["@odd"] == 1
    assert (rows[1]["trace_id"], rows[1]["span_id"]) == ("ab" * 16, "cd" * 8)
    assert rows[2]["exception_type"] == "System.Exception"
    _check_dotnet_error(ingested.dataset)


def _check_dotnet_error(dataset: Any) -> None:
    error = dataset.rows(
        "SELECT exception_message, frames FROM errors "
        "WHERE exception_type = 'System.InvalidOperationException'"
    )
    assert [row["exception_message"] for row in error] == ["no price for 17"]
    assert json.loads(error[0]["frames"]) == [
        {"file": "/src/Shop/Orders.cs", "line": 42, "function": "Shop.Orders.Place"},
        {"file": "/src/Shop/Prices.cs", "line": 20, "function": "Shop.Prices.Of"},
    ]
