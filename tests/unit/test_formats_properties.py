"""Whatever bytes come: nothing but TelemetryError is raised, and the counts add up."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from samples import SAMPLES, account, read, written

from selfheal.errors import TelemetryError
from selfheal.telemetry.formats import READERS, access_log, clickhouse_text, recognise
from selfheal.telemetry.formats.beat_log import is_beat_line
from selfheal.telemetry.formats.times import access_time_ns, time_ns
from selfheal.telemetry.sources import Head, head_of
from selfheal.telemetry.tracebacks import find_stack_trace, parse_traceback

FAST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SAMPLE_FILES = sorted(
    file for file in SAMPLES.iterdir() if file.suffix != ".py" and file.stat().st_size < 20_000
)
# One event a line: what is read is kept, refused or passed over, and nothing else.
LINE_FORMATS = {
    "access-log": "nginx-timed.log",
    "clickhouse-json": "otel_logs.jsonl",
    "clickhouse-tsv": "otel_logs.tsv",
    "json-lines": "structlog.log",
    "serilog-compact": "stdlib-json.log",
}
numbers = st.one_of(st.integers(), st.floats(), st.integers(2**63 - 2, 2**70))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def mutated(content: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    """Content with pieces cut out and others put in."""
    for at, size, piece in cuts:
        position = at % (len(content) + 1)
        content = content[:position] + piece + content[position + size :]
    return content


broken_samples = st.builds(
    mutated,
    st.sampled_from(SAMPLE_FILES).map(Path.read_bytes),
    st.lists(
        st.tuples(st.integers(0, 20_000), st.integers(0, 60), st.binary(max_size=6)), max_size=4
    ),
)


@settings(FAST, max_examples=25)
@given(content=st.one_of(broken_samples, st.binary(max_size=300)))
@example(content=b"\xff\xfe\x00")
@example(content=b"\x28\xb5\x2f\xfd\x00")
@example(content=b"\x1f\x8b")
@example(content=b'{"@t":"1","@m":' + b"[" * 3000)
def test_files_of_any_bytes_are_read_or_are_no_telemetry(tmp_path: Path, content: bytes) -> None:
    file = written(tmp_path, "file", content)
    try:
        first = recognise(head_of(file))
    except TelemetryError:
        first = None
    try:
        ingested = read(tmp_path, file)
    except TelemetryError:
        return
    (source,) = ingested.sources
    assert first is not None
    assert source.format == first.name == recognise(head_of(file)).name  # type: ignore[union-attr]
    assert ingested.refused.total == source.lines_refused == len(ingested.refused.listed)
    assert source.lines_passed_over <= source.lines_read


@FAST
@given(content=st.one_of(broken_samples, st.binary(max_size=300)), data=st.data())
def test_every_reader_stands_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    reader = data.draw(st.sampled_from(READERS))
    folder = tmp_path_factory.mktemp("reader")
    lines, sink = account(folder, reader.name, content)
    assert lines.passed_over <= lines.read
    assert sink.refused.total == len(sink.refused.listed)
    assert all(line.reason and line.file == "file" for line in sink.refused.listed)


@FAST
@given(
    name=st.sampled_from(sorted(LINE_FORMATS)),
    noise=st.lists(st.text(max_size=40).map(str.encode) | st.binary(max_size=40), max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_lines_read_are_events_kept_and_lines_refused_and_passed_over(
    tmp_path_factory: pytest.TempPathFactory, name: str, noise: list[bytes], order: Any
) -> None:
    rows = (SAMPLES / LINE_FORMATS[name]).read_bytes().splitlines()
    head, rows = (rows[:2], rows[2:]) if name == "clickhouse-tsv" else ([], rows)
    rows += [piece.replace(b"\n", b" ") for piece in noise]
    order.shuffle(rows)
    content = b"\n".join([*head, *rows])
    lines, sink = account(tmp_path_factory.mktemp("lines"), name, content)
    assert lines.read == sink.events + sink.refused.total + lines.passed_over


@FAST
@given(
    place=st.sampled_from(
        ("resource", "scope", "span", "attributes", "event", "log", "body", "metric", "point")
    ),
    value=json_values,
)
def test_otlp_with_any_value_anywhere_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: str, value: Any
) -> None:
    ids = {"traceId": "ab" * 16, "spanId": "cd" * 8}
    parts = {
        "attributes": [{"key": "http.route", "value": {"stringValue": "/"}}],
        "event": {"name": "exception", "attributes": []},
        "point": {"asInt": "5", "timeUnixNano": "1", "bucketCounts": ["1"]},
        "body": {"stringValue": "x"},
    }
    parts = {name: value if name == place else part for name, part in parts.items()}
    span = {**ids, "name": "a", "attributes": parts["attributes"], "events": [parts["event"]]}
    log = {**ids, "body": parts["body"], "attributes": parts["attributes"]}
    metric = {"name": "m", "exponentialHistogram": {"dataPoints": [parts["point"]]}}
    records = {"span": span, "log": log, "metric": metric}
    if place in records:
        original = records[place]
        records[place] = value if not isinstance(value, dict) else {**original, **value}
    scope = value if place == "scope" else {"name": "s"}
    resource = value if place == "resource" else {"attributes": []}
    request = {
        f"resource{signal}": [{"resource": resource, f"scope{signal}": [{"scope": scope, key: [record]}]}]
        for signal, key, record in (
            ("Spans", "spans", records["span"]),
            ("Logs", "logRecords", records["log"]),
            ("Metrics", "metrics", records["metric"]),
        )
    }  # fmt: skip
    content = json.dumps(request).encode()
    _, sink = account(tmp_path_factory.mktemp("otlp"), "otlp-json", content)
    assert sink.events + sink.refused.total >= 2


@FAST
@given(record=st.dictionaries(st.sampled_from(
    ("time", "level", "message", "exc_info", "exception", "trace_id", "service", "@t", "@m", "@mt",
     "@x", "@r", "Timestamp", "TraceId", "SpanId", "SpanName", "Duration", "Events", "MetricName",
     "TimeUnix", "Body", "SeverityText", "SeverityNumber", "ResourceAttributes")),
    json_values, min_size=2))  # fmt: skip
@example(record={"message": "\ud800", "level": "\udfff"})
@example(record={"message": "x", "extra": float("nan")})
@example(record={"time": 10**400, "message": "x"})
def test_json_records_with_any_values_are_kept_or_refused(
    tmp_path_factory: pytest.TempPathFactory, record: dict[str, Any]
) -> None:
    content = json.dumps(record).encode()
    for name in ("json-lines", "serilog-compact", "clickhouse-json"):
        lines, sink = account(tmp_path_factory.mktemp("json"), name, content)
        assert (lines.read, sink.events + sink.refused.total) == (1, 1)


@FAST
@given(
    rows=st.lists(
        st.builds(
            "".join,
            st.lists(
                st.sampled_from(
                    ("2025-11-10T21:56:16.932Z ", "A.ts:1 ", "✅ ", "DataBaton: ", "PerformanceTracker: ",
                     "BeatExecutor: ", "SequenceExecutor: ", "Beat 1", "Beat 2", " (a:b)", " completed in 5ms",
                     " completed in 5.25ms", " failed", ": TypeError: x", "Completed in 5.00ms", ": 1.5ms",
                     "Sequence Complete: S (17ms)", 'Sequence "S"', "Movement M", "Movement", " | ", "seq=S ",
                     "event=a:b ", "+key", ",~other", "preview={", "Started timing beat 1 for S",
                     "Started timing movement M for S", "Emit: a:b at 2025-11-10T21:56:16.932Z (perf: 5ms)",
                     "    at f (a.ts:1:1)", "Event: a:b", "Request ID: r", 'ExecutionQueue: Now executing "S"')
                ),
                max_size=5,
            ),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_beat_logs_in_any_order_keep_each_line_and_no_span_twice(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("beats")
    lines, sink = account(folder, "beat-log", ("\n".join(rows) + "\nend\n").encode())
    assert sink.logs.written == lines.read - lines.passed_over
    assert sink.events == sink.logs.written + sink.spans.written
    assert sink.refused.total == 0
    if sink.spans.written:
        spans = parquet.read_table(folder / "spans.parquet")["span_id"].to_pylist()
        assert len(set(spans)) == len(spans) == sink.spans.written


@FAST
@given(text=st.text(max_size=200))
def test_small_parsers_take_any_text(text: str) -> None:
    time_ns(text)
    access_time_ns(text)
    is_beat_line(text)
    access_log.is_request(text)
    parse_traceback(text)
    find_stack_trace(text)
    clickhouse_text.unescaped(text)
    with suppress(ValueError):
        clickhouse_text.literal(text)


@settings(FAST, max_examples=25)
@given(
    rows=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])), max_size=5),
    encoding=st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")),
    ending=st.sampled_from(("\n", "\r\n")),
)
def test_encodings_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], encoding: str, ending: str
) -> None:
    lines = [f"2024-05-01 12:00:01 INFO shop: row {row}" for row in ("begun", *rows)]
    file = tmp_path_factory.mktemp("encodings") / "app.log"
    file.write_bytes((ending.join(lines) + ending).encode(encoding))
    ingested = read(file.parent, file)
    assert ingested.sources[0].lines_read == len(lines)
    assert ingested.sources[0].broken_bytes == 0 or "\ufffd" in "".join(rows)
    bodies = ingested.dataset.rows("SELECT body FROM logs ORDER BY id")
    assert [row["body"] for row in bodies] == [f"row {row}".strip() for row in ("begun", *rows)]


@pytest.mark.parametrize("part", [0.3, 0.7])
def test_a_broken_zstd_stream_gives_what_could_be_read(tmp_path: Path, part: float) -> None:
    record = '{"time": "2024-05-01T12:00:00Z", "message": "number %d of many", "level": "info"}\n'
    content = "".join(record % number for number in range(40_000)).encode()
    packed: bytes = pa.compress(content, "zstd", asbytes=True)
    ingested = read(tmp_path, written(tmp_path, "torn.zst", packed[: int(len(packed) * part)]))
    assert 0 < ingested.events.logs < 40_000
    assert "ends or breaks" in ingested.refused.listed[-1].reason


def test_a_head_of_utf16_without_a_mark_is_text() -> None:
    assert Head.of("level=info hello".encode("utf-16-le")).text == "level=info hello"
    assert Head.of(b"\x00\x01\x02binary").text is None
