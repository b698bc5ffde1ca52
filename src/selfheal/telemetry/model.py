"""The event model: the tables of a telemetry dataset, column by column.

`spans`       one row per finished span, or per request of an access log, or per sequence,
              movement and beat of a beat log; `duration_ms` is NULL where it is not given
              and a timestamp is missing or the clock ran backwards; `parent_span_id` is
              NULL for a root.
`logs`        one row per log record; `time_ns` is NULL where the record has no time.
`exceptions`  every mention of an exception, before de-duplication (extraction only);
              `origin` is span, log or test.
`errors`      exceptions de-duplicated over span events, log records and tracebacks
              (normalised only): `operation` is the entry operation of the trace where
              known; `frames` a JSON list of {file, line, function}, outermost first;
              `handled` is false where the request failed, true where it did not, NULL
              where that is unknown.
`coverage`    one row per measured line of a coverage report; `function` is the function
              whose body holds the line where the report says so.
`metrics`     one row per data point. `kind` is gauge, sum, histogram, exponentialHistogram or
              summary; `temporality` delta or cumulative; `value` of histograms and
              summaries is their sum. `buckets` is a JSON object: `bounds` and one more
              `counts`, as of explicit bounds, also for exponential histograms; of
              summaries `quantiles`, pairs of quantile and value. `increase` (normalised
              only) is what a monotonic sum, or a histogram's sum, grew by since the point
              before it in its series, or since `start_ns`; resets are told by a new start
              or a fall. NULL where that is unknown, and for all others.

Times are nanoseconds since 1970 UTC. `id` numbers the rows of a table in the order of
extraction; `source` is the index into the list of sources and `line` the line there.
`attributes` is a JSON object of what has no column.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

ColumnType = Literal["text", "bigint", "integer", "double", "boolean"]

_PLACE: dict[str, ColumnType] = {"source": "integer", "line": "integer"}

SPANS: dict[str, ColumnType] = {
    "id": "bigint",
    "trace_id": "text",
    "span_id": "text",
    "parent_span_id": "text",
    "service": "text",
    "release": "text",
    "commit": "text",
    "instance": "text",
    "environment": "text",
    "operation": "text",
    "kind": "text",
    "start_ns": "bigint",
    "end_ns": "bigint",
    "duration_ms": "double",
    "status": "text",
    "code_function": "text",
    "code_file": "text",
    "code_line": "integer",
    "http_method": "text",
    "http_route": "text",
    "http_path": "text",
    "http_query": "text",
    "http_status": "integer",
    "session_id": "text",
    "request_body": "text",
    "request_content_type": "text",
    "db_statement": "text",
    "scope": "text",
    "attributes": "text",
    **_PLACE,
}
LOGS: dict[str, ColumnType] = {
    "id": "bigint",
    "time_ns": "bigint",
    "severity": "text",
    "body": "text",
    "logger": "text",
    "service": "text",
    "release": "text",
    "instance": "text",
    "trace_id": "text",
    "span_id": "text",
    "exception_type": "text",
    "exception_message": "text",
    "exception_stacktrace": "text",
    "attributes": "text",
    **_PLACE,
}
EXCEPTIONS: dict[str, ColumnType] = {
    "id": "bigint",
    "origin": "text",
    "time_ns": "bigint",
    "service": "text",
    "release": "text",
    "operation": "text",
    "logger": "text",
    "trace_id": "text",
    "span_id": "text",
    "exception_type": "text",
    "exception_message": "text",
    "stacktrace": "text",
    "escaped": "boolean",
    **_PLACE,
}
ERRORS: dict[str, ColumnType] = {
    "time_ns": "bigint",
    "service": "text",
    "release": "text",
    "operation": "text",
    "trace_id": "text",
    "span_id": "text",
    "exception_type": "text",
    "exception_message": "text",
    "stacktrace": "text",
    "frames": "text",
    "fingerprint": "text",
    "handled": "boolean",
    **_PLACE,
}
COVERAGE: dict[str, ColumnType] = {
    "file": "text",
    "line": "integer",
    "covered": "boolean",
    "function": "text",
    "release": "text",
}
METRICS: dict[str, ColumnType] = {
    "time_ns": "bigint",
    "start_ns": "bigint",
    "service": "text",
    "release": "text",
    "instance": "text",
    "name": "text",
    "kind": "text",
    "temporality": "text",
    "monotonic": "boolean",
    "value": "double",
    "count": "bigint",
    "minimum": "double",
    "maximum": "double",
    "buckets": "text",
    "unit": "text",
    "scope": "text",
    "attributes": "text",
    **_PLACE,
}

EXTRACTED: Mapping[str, Mapping[str, ColumnType]] = {
    "spans": SPANS,
    "logs": LOGS,
    "exceptions": EXCEPTIONS,
    "coverage": COVERAGE,
    "metrics": METRICS,
}
DATASET: Mapping[str, Mapping[str, ColumnType]] = {
    "spans": SPANS,
    "logs": LOGS,
    "errors": ERRORS,
    "coverage": COVERAGE,
    "metrics": {**METRICS, "increase": "double"},
}


def arrow_schema(columns: Mapping[str, ColumnType]) -> pa.Schema:
    """The Arrow schema of a table of the model."""
    import pyarrow as pa

    types: dict[ColumnType, pa.DataType] = {
        "text": pa.string(),
        "bigint": pa.int64(),
        "integer": pa.int32(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
    }
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])
