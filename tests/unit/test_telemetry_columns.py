"""The fast ways of reading give what the slow ones give, on one process and on many."""

from __future__ import annotations

import gzip
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from samples import SAMPLES, account

from selfheal.telemetry import plan, thrift
from selfheal.telemetry.columns import Unusual
from selfheal.telemetry.extract import Extracted, extract, find
from selfheal.telemetry.formats import (
    access_log,
    json_lines,
    otlp,
    otlp_wire,
    span_columns,
    span_lines,
)
from selfheal.telemetry.formats.otlp_wire import WireSpans
from selfheal.telemetry.model import SPANS
from selfheal.telemetry.parts import join, part_schema, writer
from selfheal.telemetry.workers import shared

FAST = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TABLES = ("spans", "logs", "exceptions", "metrics")


def slowly() -> ExitStack:
    """Within it nothing is read into columns: every line and message goes the slow way."""
    stack = ExitStack()

    def never(*_: Any) -> None:
        raise Unusual

    stack.enter_context(mock.patch.object(otlp, "request_of", return_value=None))
    stack.enter_context(mock.patch.object(WireSpans, "add", never))
    stack.enter_context(mock.patch.object(access_log, "requests_of", never))
    for flat in (span_lines, json_lines):
        stack.enter_context(mock.patch.object(flat, "columns_of", never))
    return stack


def everything(folder: Path, format: str, content: bytes) -> tuple[Any, ...]:
    """All that reading gives: rows of all tables, refusals and counts."""
    lines, sink = account(folder, format, content)
    rows = [
        parquet.read_table(folder / f"{name}.parquet").to_pylist()
        for name in TABLES
        if (folder / f"{name}.parquet").exists()
    ]
    counts = (lines.read, lines.passed_over, lines.broken_bytes, sink.events)
    return rows, sink.refused, counts, sink.without_timestamp


def same(tmp_path_factory: pytest.TempPathFactory, format: str, content: bytes) -> None:
    with (
        mock.patch.object(span_columns, "FEW", 2),
        mock.patch.object(span_columns, "_MANY", 1),
        mock.patch.object(json_lines, "_MANY", 1),
    ):
        fast = everything(tmp_path_factory.mktemp("fast"), format, content)
    with slowly():
        slow = everything(tmp_path_factory.mktemp("slow"), format, content)
    assert fast == slow


texts = st.one_of(
    st.sampled_from(["", "GET /", "é", "claude_code.x", '"\\\n']), st.text(max_size=4)
)
values = st.one_of(
    st.builds(lambda text: {"stringValue": text}, texts),
    st.builds(
        lambda number: {"intValue": number}, st.integers(-5, 600).map(str) | st.integers(0, 9)
    ),
    st.builds(
        lambda number: {"doubleValue": number}, st.floats(allow_nan=False, allow_infinity=False)
    ),
    st.builds(lambda truth: {"boolValue": truth}, st.booleans()),
    st.just({"arrayValue": {"values": [{"stringValue": "a"}]}}),
    st.just({}),
)
keys = st.sampled_from(
    ("http.route", "http.method", "http.request.method", "http.status_code", "url.path", "a", "b",
     "http.target", "code.function", "code.lineno", "code.line.number", "otel.status_description")
)  # fmt: skip
attributes = st.lists(st.fixed_dictionaries({"key": keys, "value": values}), max_size=4)
moments = st.one_of(st.integers(0, 3), st.integers(2**60, 2**60 + 9).map(str), st.just("0"))
events = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(("exception", "message"))},
        optional={"attributes": attributes, "timeUnixNano": moments},
    ),
    max_size=2,
)
spans = st.fixed_dictionaries(
    {
        "traceId": st.sampled_from(("ab" * 16, "0" * 31 + "1")),
        "spanId": st.sampled_from(("cd" * 8, "1" * 16)),
    },
    optional={
        "parentSpanId": st.sampled_from(("ef" * 8, "")),
        "name": texts,
        "kind": st.integers(0, 7),
        "startTimeUnixNano": moments,
        "endTimeUnixNano": moments,
        "attributes": attributes,
        "status": st.fixed_dictionaries({}, optional={"code": st.integers(0, 2), "message": texts}),
        "events": events,
        "flags": st.integers(0, 300),
        "links": st.just([{"traceId": "ab" * 16, "spanId": "cd" * 8}]),
        "traceState": st.sampled_from(("", "k=v")),
    },
)
scopes = st.fixed_dictionaries(
    {"spans": st.lists(spans, max_size=3)}, optional={"scope": st.just({"name": "library"})}
)
requests = st.builds(
    lambda resource, carried: {
        "resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": carried}]
    },
    st.lists(
        st.fixed_dictionaries(
            {"key": st.sampled_from(("service.name", "x")), "value": values}
        ),
        max_size=2,
    ),
    st.lists(scopes, max_size=2),
)  # fmt: skip


@FAST
@given(
    some=st.lists(requests, min_size=1, max_size=4),
    odd=st.lists(
        st.tuples(
            st.sampled_from(("traceId", "spanId", "parentSpanId", "name", "kind", "status", "events",
                             "startTimeUnixNano", "endTimeUnixNano", "attributes")),
            st.one_of(st.none(), st.just("AB" * 16), st.just("q6urq6urq6urq6urq6urqw=="), st.just("0" * 16),
                      st.just([]), st.just([1]), st.just({"code": "STATUS_CODE_ERROR"}), st.just(1.0),
                      st.just("SPAN_KIND_SERVER"), st.just("0x10"), st.just(" 7"), st.integers(-1, 2**64)),
        ),
        max_size=2,
    ),
)  # fmt: skip
def test_spans_of_otlp_json_are_the_same_in_columns(
    tmp_path_factory: pytest.TempPathFactory, some: list[Any], odd: list[tuple[str, Any]]
) -> None:
    for field, value in odd:
        for scope in some[0]["resourceSpans"][0]["scopeSpans"]:
            for span in scope["spans"]:
                span[field] = value
    content = "\n".join(json.dumps(request, ensure_ascii=False) for request in some)
    same(tmp_path_factory, "otlp-json", content.encode())


changes = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 8), st.binary(max_size=3)),
    min_size=1,
    max_size=3,
)


def changed(content: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for at, size, piece in cuts:
        place = at % (len(content) + 1)
        content = content[:place] + piece + content[place + size :]
    return content


@FAST
@given(name=st.sampled_from(("traces.jsonl", "logs.jsonl", "metrics.jsonl")), cuts=changes)
def test_broken_otlp_json_is_refused_in_the_same_way(
    tmp_path_factory: pytest.TempPathFactory, name: str, cuts: Any
) -> None:
    content = b"\n".join((SAMPLES / name).read_bytes().splitlines()[:4])
    same(tmp_path_factory, "otlp-json", changed(content, cuts))


def protobuf(request: dict[str, Any]) -> bytes:
    """A request as protobuf; hex ids have to be given as base64."""
    from base64 import b64encode

    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = json.loads(json.dumps(request))
    for carrier in request["resourceSpans"]:
        for scope in carrier["scopeSpans"]:
            for span in scope["spans"]:
                for holder in (span, *span.get("links", ())):
                    for name in {"traceId", "spanId", "parentSpanId"} & holder.keys():
                        holder[name] = b64encode(bytes.fromhex(holder[name])).decode()
    return bytes(ParseDict(request, ExportTraceServiceRequest()).SerializeToString())


@FAST
@given(some=st.lists(requests, min_size=1, max_size=4), cuts=st.none() | changes)
def test_spans_of_otlp_protobuf_are_those_of_the_protobuf_library(
    tmp_path_factory: pytest.TempPathFactory, some: list[Any], cuts: Any
) -> None:
    messages = [protobuf(request) for request in some]
    if cuts and messages[0]:
        messages[0] = changed(messages[0], cuts)
    content = b"".join(len(message).to_bytes(4) + message for message in messages)
    same(tmp_path_factory, "otlp-protobuf", content)


def usual_spans(count: int) -> list[dict[str, Any]]:
    return [
        {
            "traceId": f"{number + 1:032x}",
            "spanId": f"{number + 1:016x}",
            "parentSpanId": "" if number % 2 else "ab" * 8,
            "name": f"GET /{number % 3}",
            "kind": 2,
            "startTimeUnixNano": str(2**60 + number),
            "endTimeUnixNano": str(2**60 + 5 * number),
            "attributes": [{"key": "url.path", "value": {"stringValue": f"/{number}"}}],
            "status": {},
        }
        for number in range(count)
    ]


def request_of_spans(some: list[dict[str, Any]]) -> dict[str, Any]:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": some}]}]}


def test_what_exporters_usually_send_is_read_into_columns(tmp_path: Path) -> None:
    """Guards the speed: the usual case never takes the slow way."""
    from selfheal.telemetry.formats.otlp_columns import request_of

    request = request_of_spans(usual_spans(5))
    assert request_of(json.dumps(request).encode()) is not None
    taken = mock.Mock()
    taken.source, taken.without_timestamp = 0, 0
    WireSpans(taken).add([(1, protobuf(request))])
    assert taken.spans.add_columns.called
    with mock.patch.object(span_lines, "_add_document", side_effect=AssertionError):
        moments = {"start_time_unix_nano": 2**60, "duration_ns": 5}
        lines, sink = account(tmp_path, "span-lines", json.dumps(FLAT | moments).encode())
    assert (lines.read, sink.events) == (1, 1)


def written(folder: Path, name: str, rows: int, odd: bool = False) -> Path:
    file = folder / name
    requests = [request_of_spans(usual_spans(rows)[at : at + 7]) for at in range(0, rows, 7)]
    lines = [json.dumps(request) for request in requests]
    if odd:
        lines[3:3] = ["", "no json", "[]"]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_ranges_and_processes_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dataset hashes are equal for one process and two, and rows for ranges and the whole."""
    files = [written(tmp_path, "a.jsonl", 300, odd=True), written(tmp_path, "b.jsonl", 40)]
    (tmp_path / "c.log").write_text('{"level": "info", "msg": "x", "time": 1714564800}\n' * 50)
    found = find([*files, tmp_path / "c.log"])
    whole = extract(found, tmp_path, "whole")
    monkeypatch.setattr(plan, "RANGE_BYTES", 4000)
    monkeypatch.setattr(plan, "TOGETHER_BYTES", 3000)
    one = extract(found, tmp_path, "one", processes=1)
    two = extract(found, tmp_path, "two", processes=2)
    assert one.dataset.tables == two.dataset.tables
    assert one.model_copy(update={"dataset": two.dataset}) == two
    assert one.sources == whole.sources
    assert one.refused == whole.refused
    assert ids(one) == list(range(340))
    for name in whole.dataset.tables:
        assert rows_of(one, name) == rows_of(whole, name)


def rows_of(extracted: Extracted, table: str) -> list[dict[str, Any]]:
    return extracted.dataset.rows(f"SELECT * FROM {table}")


def ids(extracted: Extracted) -> list[int]:
    return [row["id"] for row in extracted.dataset.rows("SELECT id FROM spans")]


def test_one_document_over_all_lines_is_never_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pretty.json"
    first = json.dumps(request_of_spans(usual_spans(9)))
    file.write_text(first + "\n" + json.dumps(request_of_spans(usual_spans(90)), indent=1))
    monkeypatch.setattr(plan, "RANGE_BYTES", 2000)
    found = find([file])
    assert ids(extract(found, tmp_path, "rows", processes=1)) == list(range(99))


def test_protobuf_is_divided_between_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [protobuf(request_of_spans(usual_spans(9))) for _ in range(30)]
    for name, framed in (
        ("fixed.pb", lambda message: len(message).to_bytes(4) + message),
        (
            "varint.pb",
            lambda message: bytes((len(message) & 127 | 128, len(message) >> 7)) + message,
        ),
    ):
        (tmp_path / name).write_bytes(b"".join(map(framed, messages)))
        found = find([tmp_path / name])
        whole = extract(found, tmp_path, f"{name}.whole", processes=1)
        with monkeypatch.context() as patch:
            patch.setattr(plan, "RANGE_BYTES", 1000)
            divided = extract(found, tmp_path, f"{name}.divided", processes=1)
        assert divided.sources == whole.sources
        assert rows_of(divided, "spans") == rows_of(whole, "spans")
        assert divided.sources[0].lines_read == 30


def test_compressed_files_are_read_as_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "RANGE_BYTES", 100)
    file = written(tmp_path, "a.jsonl", 70)
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    plain = extract(find([file]), tmp_path, "plain", processes=1)
    unpacked = extract(find([packed]), tmp_path, "unpacked", processes=1)
    assert rows_of(plain, "spans") == rows_of(unpacked, "spans")


@FAST
@given(
    sizes=st.lists(st.lists(st.integers(0, 40), max_size=3), max_size=4),
)
def test_joined_parts_are_their_rows_in_order_with_numbers(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    schema, parts, expected = part_schema(SPANS), [], []
    for number, groups in enumerate(sizes):
        parts.append(folder / f"{number}.part")
        with writer(parts[-1], schema) as output:
            for group in groups:
                names = [f"{number}-{row}" for row in range(group)]
                expected += names
                columns = [
                    pa.array(names) if field.name == "operation" else pa.nulls(group, field.type)
                    for field in schema
                ]
                output.write_table(pa.Table.from_arrays(columns, schema=schema))
    target = folder / "all.parquet"
    join(parts, SPANS, target)
    table = parquet.read_table(target)
    assert table.schema.names == list(SPANS)
    assert table["operation"].to_pylist() == expected
    assert table["id"].to_pylist() == list(range(len(expected)))
    found = duckdb.sql(f"SELECT id, operation FROM '{target}' WHERE id >= 1").fetchall()
    assert found == list(enumerate(expected))[1:]


@FAST
@given(data=st.binary(max_size=60))
def test_thrift_says_the_same_after_reading_and_writing(data: bytes) -> None:
    try:
        struct = thrift.decoded(data)
    except (ValueError, IndexError, RecursionError):
        return
    assert thrift.decoded(thrift.encoded(struct)) == struct


def doubled(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return 2 * number


def test_work_is_shared_in_order_and_errors_come_back() -> None:
    assert shared(abs, [-3, 2, -1], 1) == [3, 2, 1]
    assert shared(abs, list(range(-40, 0)), 2) == list(range(40, 0, -1))
    with pytest.raises(ValueError, match="invalid literal"):
        shared(int, ["1"] * 20 + ["x"], 2)


@pytest.mark.parametrize("wire", [b"", b"\x0a", b"\x0a\x05ab", b"\x12\x00"])
def test_what_is_no_request_is_unusual(wire: bytes) -> None:
    with pytest.raises(Unusual):
        otlp_wire.WireSpans(mock.Mock()).add([(1, wire)])


def test_a_line_or_document_that_does_not_fit_into_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes before it is kept, and the refusal says what happened."""
    from selfheal.telemetry import sources

    monkeypatch.setattr(sources, "LONGEST_LINE", 2_000_000)
    monkeypatch.setattr(sources, "LARGEST_DOCUMENT", 2_000_000)
    record = '{"level": "info", "msg": "kept"}\n'
    (tmp_path / "long.log").write_text(record * 40_000 + '{"msg": "' + "x" * 4_000_000 + '"}\n')
    document = request_of_spans([{"name": "x" * 3_000_000}])
    (tmp_path / "large.json").write_text(json.dumps(document, indent=1))
    extracted = extract(find([tmp_path]), tmp_path / "out", "rows", processes=1)
    assert [(line.file, line.line) for line in extracted.refused.listed] == [
        ("large.json", 18), ("long.log", 40_001)
    ]  # fmt: skip
    assert all("MiB" in line.reason for line in extracted.refused.listed)
    assert extracted.sources[1].events_kept == 40_000


FLAT = {
    "trace_id": "ab" * 16, "span_id": "cd" * 8, "parent_span_id": None, "name": "GET /",
    "service": "shop", "version": "1.0", "kind": "SERVER", "status": "error",
    "http.response.status_code": 500, "queue": "a",
}  # fmt: skip


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ({"start_time": "2024-05-01T12:00:00Z", "duration_ms": 1.5}, 1.5),
        ({"start_ns": 2**60, "duration_ns": 2_000_000}, 2.0),
        ({"timestamp": 1714564800.0, "end_time": 1714564801.0}, 1000.0),
        ({"end_time": "2024-05-01 12:00:00", "duration_seconds": 2}, 2000.0),
        ({"duration_us": 1}, None),
    ],
)
def test_spans_as_flat_json_lines(
    tmp_path: Path, moments: dict[str, Any], expected: float | None
) -> None:
    """The key of a duration tells its unit; a duration without a time is not placed anywhere."""
    file = tmp_path / "spans.jsonl"
    file.write_text(json.dumps(FLAT | moments) + "\n" + '{"message": "no span"}\n')
    found = find([file])
    assert found.files[0].format == "span-lines"
    extracted = extract(found, tmp_path, "rows")
    (span,) = rows_of(extracted, "spans")
    assert extracted.refused.total == 1
    assert (span["service"], span["release"], span["operation"]) == ("shop", "1.0", "GET /")
    assert (span["kind"], span["status"], span["http_status"]) == ("server", "error", 500)
    assert (span["duration_ms"], span["attributes"]) == (expected, '{"queue":"a"}')


def test_a_log_record_that_names_its_span_is_no_span(tmp_path: Path) -> None:
    file = tmp_path / "app.jsonl"
    file.write_text(json.dumps(FLAT | {"level": "info", "duration_ms": 5}) + "\n")
    assert find([file]).files[0].format == "json-lines"


flat_values = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from((0.0, -0.0, 1.0, 1e-7, 2**70)),
    st.sampled_from(("", "a", "é", "claude_code.x", "SERVER", "2024-05-01T12:00:00Z")),
    st.lists(st.integers(), max_size=1),
)  # fmt: skip
flat_spans = st.fixed_dictionaries(
    {
        "trace_id": st.sampled_from(("ab" * 16, "AB" * 16, None)),
        "span_id": st.just("cd" * 8),
        "name": st.one_of(st.just("GET /"), flat_values),
        "duration_ms": st.one_of(st.integers(0, 9), st.floats(0, 9), flat_values),
    },
    optional={
        "start_ns": st.one_of(
            st.integers(10**17 - 1, 10**17 + 1), st.integers(2**63 - 2, 2**63), flat_values
        ),
        "end": flat_values,
        "parent_span_id": st.sampled_from(("", None, "ef" * 8, 5)),
        "status": flat_values,
        "kind": flat_values,
        "service": flat_values,
        "http.route": flat_values,
        "http.status_code": flat_values,
        "a": flat_values,
    },
)


@FAST
@given(
    some=st.lists(flat_spans, min_size=1, max_size=3),
    repeated=st.integers(1, 2),
    cuts=st.none() | changes,
)
def test_flat_spans_are_the_same_in_columns(
    tmp_path_factory: pytest.TempPathFactory, some: list[Any], repeated: int, cuts: Any
) -> None:
    rows = [json.dumps(one, ensure_ascii=False) for one in some for _ in range(repeated)]
    content = "\n".join(rows).encode()
    same(tmp_path_factory, "span-lines", changed(content, cuts) if cuts else content)


log_values = st.one_of(
    flat_values,
    st.sampled_from(
        ("warning", 30, "é", "a\nb", "2024-05-01T12:00:00.5Z", "2024-05-01 12:00:00,123")
    ),
)
log_times = st.one_of(
    st.datetimes().map(lambda one: one.isoformat() + "Z"),
    st.datetimes().map(lambda one: str(one).replace(".", ",")),
    log_values,
)
log_lines = st.one_of(
    st.fixed_dictionaries(
        {"timestamp": log_times},
        optional={
            "level": log_values,
            "logger": log_values,
            "event": log_values,
            "a": log_values,
            "trace_id": st.sampled_from(("ab" * 16, "", None, "0" * 32, "x")),
            "span_id": st.sampled_from(("cd" * 8, "", None)),
            "exc_info": st.just("Traceback (most recent call last):\nValueError: x"),
        },
    ).map(lambda one: json.dumps(one, ensure_ascii=False)),
    st.sampled_from(("", "  ", "Traceback (most recent call last):", "ValueError: x", "{", "[1]")),
)


@FAST
@given(
    some=st.lists(log_lines, min_size=1, max_size=3),
    repeated=st.integers(1, 2),
    end=st.sampled_from(("\n", "\r\n")),
    cuts=st.none() | changes,
)
def test_logs_of_json_lines_are_the_same_in_columns(
    tmp_path_factory: pytest.TempPathFactory, some: list[str], repeated: int, end: str, cuts: Any
) -> None:
    content = end.join(some * repeated).encode("utf-8", "surrogatepass")
    same(tmp_path_factory, "json-lines", changed(content, cuts) if cuts else content)


ACCESS = (
    '10.0.0.{n} - - [01/May/2024:12:00:00 +0200] "GET /items/{n}?page={n} HTTP/1.1" 200 {n} "-" "curl/8" 0.{n:03}',
    '10.0.0.1 - ann lee [01/May/2024:12:00:0{d} +0000] "POST /a/{n:08x}/b/{n} HTTP/2.0" 503 - "http://x/" ""',
    'shop.example:443 ::1 - - [01/May/2024:25:00:00 +0000] "-" - 007',
    '- - - [01/May/2024:12:00:00] "G{n} nonsense" 400 0 "-" "-" 12345678901.5 "0.25"',
    '10.0.0.1 - - [01/Jan/1970:00:00:00 +0000] "GET /{n}/ HTTP/1.0" 404 12 "a" "b" 1.000000',
)
ODD_ACCESS = (
    "",
    "  ",
    "no request",
    '10.0.0.1 - - [01/May/2024:12:00:00 +0000] "GET /caf\u00e9 HTTP/1.1" 200 1 "-" "\u2603"',
    '10.0.0.1 - - [01/May/2024:12:00:00 +0000] "GET /\\"x HTTP/1.1" 200 1 "-" "\\x41"',
    '10.0.0.1 - - [01/May/2024:12:00:00 +0000] "GET /\x1cx HTTP/1.1" 200 1',
    '10.0.0.1 - - [01/May/2024:12:00:00 +0000] "GET / HTTP/1.1" 200 1\r',
    '10.0.0.1 - - [01/May/2024:12:00:00 +0000] "GET / HTTP/1.1" 200 12345678901234567890123',
)


@FAST
@given(
    usual=st.lists(st.sampled_from(ACCESS), min_size=1, max_size=5),
    odd=st.lists(st.tuples(st.integers(0, 700), st.sampled_from(ODD_ACCESS)), max_size=4),
)
def test_access_logs_are_the_same_as_columns_and_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, usual: list[str], odd: list[tuple[int, str]]
) -> None:
    rows = [usual[n % len(usual)].format(n=n, d=n % 10) for n in range(700)]
    for at, line in odd:
        rows.insert(at, line)
    content = "\n".join(rows).encode()
    folder = tmp_path_factory.mktemp("access")
    fast = everything(folder / "fast", "access-log", content)
    with slowly():
        assert fast == everything(folder / "slow", "access-log", content)
