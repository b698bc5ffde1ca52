"""Fills tables with the columns of the collector's ClickHouse exporter and exports them.

    python clickhouse_sample.py PATH/libchdb.so

The engine is ClickHouse's own; the rows are written here. Files go to the current folder.
"""

import ctypes
import sys

MAP, TIME = "Map(LowCardinality(String), String)", "DateTime64(9)"
RESOURCE = "map('service.name', 'shop', 'service.version', '1.0')"
TRACEBACK = r'Traceback (most recent call last):\n  File "/srv/a.py", line 3, in f\n    g()\n'
STATEMENTS = rf"""
CREATE TABLE otel_traces (
  Timestamp {TIME}, TraceId String, SpanId String, ParentSpanId String, TraceState String,
  SpanName LowCardinality(String), SpanKind LowCardinality(String),
  ServiceName LowCardinality(String), ResourceAttributes {MAP}, ScopeName String,
  ScopeVersion String, SpanAttributes {MAP}, Duration UInt64, StatusCode LowCardinality(String),
  StatusMessage String,
  Events Nested (Timestamp {TIME}, Name LowCardinality(String), Attributes {MAP}),
  Links Nested (TraceId String, SpanId String, TraceState String, Attributes {MAP})
) ENGINE = MergeTree ORDER BY Timestamp;
INSERT INTO otel_traces VALUES
 ('2024-05-01 12:00:00.123456789', '0102030405060708090a0b0c0d0e0f10', '0102030405060708', '', '',
  'POST /orders', 'Server', 'shop', {RESOURCE}, 'flask', '1',
  map('http.request.method', 'POST', 'http.response.status_code', '500', 'url.path', '/orders',
      'note', 'tab\there \'quoted\' back\\slash é'),
  15500000, 'Error', 'no price', ['2024-05-01 12:00:00.130000000'], ['exception'],
  [map('exception.type', 'ValueError', 'exception.message', 'it\'s [1, 2] {{x}}',
       'exception.stacktrace', '{TRACEBACK}ValueError: it\'s [1, 2] {{x}}')], [], [], [], []),
 ('2024-05-01 12:00:00.125', '0102030405060708090a0b0c0d0e0f10', '1112131415161718',
  '0102030405060708', '', 'SELECT', 'Client', 'shop', {RESOURCE}, 'sqlite3', '1',
  map('db.query.text', 'SELECT 1'), 250000, 'Unset', '', [], [], [], [], [], [], []);

CREATE TABLE otel_logs (
  Timestamp {TIME}, TraceId String, SpanId String, TraceFlags UInt8,
  SeverityText LowCardinality(String), SeverityNumber UInt8, ServiceName LowCardinality(String),
  Body String, ResourceSchemaUrl String, ResourceAttributes {MAP}, ScopeSchemaUrl String,
  ScopeName String, ScopeVersion String, ScopeAttributes {MAP}, LogAttributes {MAP}
) ENGINE = MergeTree ORDER BY Timestamp;
INSERT INTO otel_logs VALUES
 ('2024-05-01 12:00:00.131', '0102030405060708090a0b0c0d0e0f10', '0102030405060708', 1, 'ERROR',
  17, 'shop', 'order failed:\n\tno price', '', {RESOURCE}, '', 'shop.orders', '', map(),
  map('order', '17')),
 ('2024-05-01 12:00:01', '', '', 0, '', 0, 'claude-code', 'claude_code.api_request', '',
  map('service.name', 'claude-code'), '', 'com.anthropic.claude_code.events', '', map(),
  map('event.name', 'api_request', 'input_tokens', '120', 'cost_usd', '0.000978'));

CREATE TABLE otel_metrics_sum (
  ResourceAttributes {MAP}, ResourceSchemaUrl String, ScopeName String, ScopeVersion String,
  ScopeAttributes {MAP}, ScopeDroppedAttrCount UInt32, ScopeSchemaUrl String,
  ServiceName LowCardinality(String), MetricName String, MetricDescription String,
  MetricUnit String, Attributes {MAP}, StartTimeUnix {TIME}, TimeUnix {TIME}, Value Float64,
  Flags UInt32, AggregationTemporality Int32, IsMonotonic Boolean
) ENGINE = MergeTree ORDER BY TimeUnix;
INSERT INTO otel_metrics_sum VALUES
 ({RESOURCE}, '', 'shop', '', map(), 0, '', 'shop', 'orders', '', '1', map('currency', 'EUR'),
  '2024-05-01 12:00:00', '2024-05-01 12:01:00', 7, 0, 2, true);
"""
EXPORTS = {
    "otel_traces.jsonl": "JSONEachRow",
    "otel_traces.tsv": "TabSeparated",
    "otel_logs.jsonl": "JSONEachRow",
    "otel_logs.tsv": "TabSeparatedWithNamesAndTypes",
    "otel_metrics_sum.jsonl": "JSONEachRow",
    "otel_metrics_sum.tsv": "TabSeparatedWithNames",
}


def main() -> None:
    library = ctypes.CDLL(sys.argv[1])
    library.chdb_query_cmdline.restype = ctypes.c_void_p
    library.chdb_result_error.restype = ctypes.c_char_p
    library.chdb_result_error.argtypes = [ctypes.c_void_p]
    exports = "".join(
        f"SELECT * FROM {name.split('.')[0]} INTO OUTFILE '{name}' FORMAT {form};"
        for name, form in EXPORTS.items()
    )
    words = [word.encode() for word in ("clickhouse", "--path", "engine", "--query", STATEMENTS + exports)]
    result = library.chdb_query_cmdline(len(words), (ctypes.c_char_p * (len(words) + 1))(*words, None))
    error = library.chdb_result_error(result)
    sys.exit(error.decode() if error else 0)


if __name__ == "__main__":
    main()
