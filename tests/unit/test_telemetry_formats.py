"""Each format is recognised by its bytes and read as its real producer wrote it."""

from __future__ import annotations

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import START, Recording

from selfheal.artifacts import Dataset
from selfheal.errors import TelemetryError
from selfheal.telemetry import Ingested, ingest
from selfheal.telemetry.formats import READERS, recognise
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Head, Lines

SAMPLES = Path(__file__).parents[1] / "resources" / "telemetry"


def read(tmp_path: Path, *paths: Path, **options: Any) -> Ingested:
    return ingest(list(paths), tmp_path / "out", "dataset", **options)


def only(dataset: Dataset, sql: str) -> dict[str, Any]:
    (row,) = dataset.rows(sql)
    return row


@pytest.mark.parametrize(
    "name", ["stdlib.log", "stdlib-json.log", "structlog.log", "structlog-dicts.log"]
)
def test_logging_libraries_tell_the_same_story(tmp_path: Path, name: str) -> None:
    dataset = read(tmp_path, SAMPLES / name).dataset
    logs = dataset.rows("SELECT * FROM logs ORDER BY id")
    assert [(row["severity"], row["body"]) for row in logs] == [
        ("info", "started"),
        ("error", "checkout failed"),
        ("error", "checkout failed"),
        ("warn", "ended"),
    ]
    assert all(row["time_ns"] for row in logs)
    errors = dataset.rows("SELECT * FROM errors ORDER BY line")
    assert [row["exception_message"] for row in errors] == [
        "cart of 1 products cannot be priced",
        "cart of 2 products cannot be priced",
    ]
    assert {row["exception_type"] for row in errors} == {"ValueError"}
    assert json.loads(errors[0]["frames"])[-1] == {
        "file": "/srv/shop/shopping.py",
        "line": 14,
        "function": "checked",
    }


def test_all_logging_libraries_give_one_fingerprint(tmp_path: Path) -> None:
    files = [
        SAMPLES / name
        for name in ("stdlib.log", "stdlib-json.log", "structlog.log", "structlog-dicts.log")
    ]
    counted = only(
        read(tmp_path, *files).dataset,
        "SELECT count(*) AS errors, count(DISTINCT fingerprint) AS groups FROM errors",
    )
    assert counted == {"errors": 8, "groups": 1}


def test_failing_tests_are_errors_with_place_and_traceback(tmp_path: Path) -> None:
    errors = read(tmp_path, SAMPLES / "junit.xml").dataset.rows(
        "SELECT * FROM errors ORDER BY operation"
    )
    assert [(row["operation"], row["exception_type"]) for row in errors] == [
        ("test_shopping::test_without_a_quantity", "KeyError"),
        ("test_shopping::test_wrong_sum", "AssertionError"),
    ]
    assert json.loads(errors[0]["frames"]) == [
        {"file": "test_shopping.py", "line": 10, "function": "test_without_a_quantity"},
        {"file": "shopping.py", "line": 7, "function": "total"},
        {"file": "shopping.py", "line": 7, "function": "<genexpr>"},
        {"file": "shopping.py", "line": 3, "function": "price"},
    ]


def test_a_coverage_report_gives_lines_functions_and_the_release_of_its_name(
    tmp_path: Path,
) -> None:
    dataset = read(tmp_path, SAMPLES / "coverage-1.0.json").dataset
    assert only(
        dataset,
        "SELECT any_value(release) AS release, bool_or(covered) AS covered, count(*) AS lines "
        "FROM coverage WHERE function = 'never_called'",
    ) == {"release": "1.0", "covered": False, "lines": 1}


def test_cobertura_gives_the_same_lines(tmp_path: Path) -> None:
    sql = "SELECT line, covered FROM coverage WHERE file = 'shopping.py' ORDER BY line"
    as_json = read(tmp_path / "a", SAMPLES / "coverage-1.0.json").dataset.rows(sql)
    as_xml = read(tmp_path / "b", SAMPLES / "coverage.xml").dataset.rows(sql)
    assert as_json == as_xml != []


def test_otlp_is_read_with_old_names_base64_ids_names_of_enums_and_texts_for_integers(
    tmp_path: Path,
) -> None:
    old = {"http.method": "GET", "http.status_code": 200, "http.target": "/cart?page=2",
           "code.namespace": "shop.cart", "code.function": "show", "code.filepath": "cart.py",
           "code.lineno": 7, "db.statement": "SELECT 1"}  # fmt: skip
    span = {
        "traceId": base64.b64encode(bytes(range(16))).decode(),
        "spanId": base64.b64encode(bytes(range(8))).decode(),
        "name": "GET /cart",
        "kind": "SPAN_KIND_SERVER",
        "startTimeUnixNano": START,
        "endTimeUnixNano": str(START + 5_000_000),
        "status": {"code": "STATUS_CODE_OK"},
        "attributes": [
            {
                "key": key,
                "value": {"intValue": value} if isinstance(value, int) else {"stringValue": value},
            }
            for key, value in old.items()
        ],
    }
    resource = {"attributes": [{"key": "deployment.environment", "value": {"stringValue": "prod"}}]}
    document = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    file = tmp_path / "pretty.json"
    file.write_text(json.dumps(document, indent=2))
    row = only(read(tmp_path, file).dataset, "SELECT * FROM spans")
    assert row["trace_id"] == bytes(range(16)).hex()
    assert row["span_id"] == bytes(range(8)).hex()
    expected = {
        "kind": "server", "status": "ok", "duration_ms": 5.0, "environment": "prod",
        "http_method": "GET", "http_status": 200, "http_path": "/cart", "http_query": "page=2",
        "code_function": "shop.cart.show", "code_file": "cart.py", "code_line": 7,
        "db_statement": "SELECT 1", "attributes": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_compressed_files_and_byte_order_marks_change_nothing(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "GET /", 0, 5)
    plain = recording.save(tmp_path / "plain.jsonl").read_bytes()
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(plain))
    marked = tmp_path / "marked.jsonl"
    marked.write_bytes(b"\xef\xbb\xbf" + plain)
    wide = tmp_path / "wide.jsonl"
    wide.write_bytes(plain.decode().encode("utf-16"))
    for file in (packed, marked, wide):
        ingested = read(tmp_path / file.stem, file)
        assert (ingested.events.spans, ingested.refused.total) == (1, 0)


def test_what_cannot_be_read_is_refused_with_its_place_and_the_rest_is_kept(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "GET /", 0, 5)
    good = recording.save(tmp_path / "x").read_bytes()
    (tmp_path / "x").unlink()
    no_ids = json.dumps(
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a"}, 7]}]}]}
    ).encode()
    file = tmp_path / "traces.jsonl"
    file.write_bytes(good + b"{torn\n" + no_ids + b"\n[1]\n" + b'{"bro\xffken": 1}\n' + good[:-9])
    ingested = read(tmp_path, file)
    assert [(line.line, line.reason.partition(":")[0]) for line in ingested.refused.listed] == [
        (2, "not JSON"),
        (3, "malformed span"),
        (3, "malformed span"),
        (4, "no OTLP export request"),
        (5, "no OTLP export request"),
        (6, "not JSON"),
    ]
    (source,) = ingested.sources
    assert (source.lines_read, source.events_kept, source.lines_refused) == (6, 1, 6)
    assert source.broken_bytes == 1
    assert (read(tmp_path / "b", file, refused_listed=2).refused.total) == 6


def test_a_broken_archive_gives_what_could_be_read(tmp_path: Path) -> None:
    recording = Recording()
    for number in range(2000):
        recording.trace("1.0", f"GET /{number}", number, 5)
    packed = gzip.compress(recording.save(tmp_path / "x").read_bytes())
    (tmp_path / "x").unlink()
    file = tmp_path / "torn.jsonl.gz"
    file.write_bytes(packed[: len(packed) // 2])
    ingested = read(tmp_path, file)
    assert 0 < ingested.events.spans < 2000
    assert "ends or breaks" in ingested.refused.listed[-1].reason


def test_missing_times_stay_missing(tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    file.write_text(
        '{"level": "info", "msg": "hello"}\n{"time": "soon", "msg": "x", "level": 40}\n'
    )
    ingested = read(tmp_path, file)
    assert ingested.events.without_timestamp == 2
    assert ingested.dataset.rows("SELECT time_ns, severity FROM logs") == [
        {"time_ns": None, "severity": "info"},
        {"time_ns": None, "severity": "error"},
    ]


def test_a_file_that_is_no_telemetry_is_an_error_when_it_was_named(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n")
    (tmp_path / "photo.log").write_bytes(b"\x89PNG\x00\x00")
    for path in (tmp_path / "notes.md", tmp_path / "photo.log", tmp_path, tmp_path / "gone"):
        with pytest.raises(TelemetryError):
            read(tmp_path / "out", path)
    assert not list((tmp_path / "out").glob("**/*.parquet"))
    with pytest.raises(TelemetryError, match="formats are auto, "):
        read(tmp_path, tmp_path / "notes.md", format="morse")


def test_empty_files_alone_are_no_telemetry(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_bytes(b"")
    (tmp_path / "empty.log").write_text("\n")
    for path in (package, tmp_path / "empty.log"):
        with pytest.raises(TelemetryError, match="empty") as raised:
            read(tmp_path / "out", path)
        assert "--set telemetry.format=NAME" in (raised.value.hint or "")
        assert "empty" not in (raised.value.hint or "")
    (package / "app.log").write_text("2024-01-01 10:00:00,5 ERROR shop: broken\n")
    assert read(tmp_path / "out", package).events.logs == 1


def test_a_forced_format_reads_what_is_not_recognised(tmp_path: Path) -> None:
    file = tmp_path / "late.log"
    file.write_text("\n" + "banner\n" * 60 + "2024-01-01 10:00:00,5 ERROR shop: broken\n")
    ingested = read(tmp_path, file, format="text")
    assert (ingested.events.logs, ingested.refused.total) == (1, 60)


def test_lines_written_while_reading_do_not_change_the_answer(tmp_path: Path) -> None:
    from selfheal.telemetry.extract import extract, find

    recording = Recording()
    recording.trace("1.0", "GET /", 0, 5)
    file = recording.save(tmp_path / "live.jsonl")
    found = find([file])
    with file.open("a") as growing:
        growing.write(json.dumps(recording.requests[0])[:40])
    extracted = extract(found, tmp_path, "rows")
    assert (extracted.dataset.tables["spans"].rows, extracted.refused.total) == (1, 0)


@settings(max_examples=40, deadline=None)
@given(content=st.one_of(st.binary(max_size=400), st.text(max_size=400).map(str.encode)))
def test_no_reader_breaks_on_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for reader in READERS:
        with Sink(folder / reader.name, refused_listed=5) as sink:
            reader.read(Lines(io.BytesIO(content)), sink)
    recognise(Head.of(content))


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (1714564800, 1714564800000),
        (1714564800.25, 1714564800250),
        (1714564800250, 1714564800250),
        (1714564800250000, 1714564800250),
        ("1714564800250000000", 1714564800250),
        ("2024-05-01T12:00:00Z", 1714564800000),
        ("2024-05-01 12:00:00,250", 1714564800250),
        ("2024-05-01T14:00:00.25+02:00", 1714564800250),
        ("yesterday", None),
        (None, None),
        (True, None),
        (float("nan"), None),
    ],
)
def test_times_of_all_kinds_are_read(value: Any, milliseconds: int | None) -> None:
    assert time_ns(value) == (None if milliseconds is None else milliseconds * 10**6)
