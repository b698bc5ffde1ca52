"""Normalising: one error whoever mentions it, duplicates out, records placed; figures are exact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from recording import Recording

from selfheal.telemetry import ingest
from selfheal.telemetry.extract import extract, find
from selfheal.telemetry.normalize import connect_raw, normalize
from selfheal.telemetry.requests import recorded_requests
from selfheal.telemetry.statistics import aggregate

TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/srv/shop/web.py", line 9, in show\n'
    '  File "/srv/shop/cart.py", line 20, in total\n'
    "KeyError: 'price'"
)


def test_one_exception_mentioned_by_span_and_logs_is_one_error(tmp_path: Path) -> None:
    recording = Recording()
    trace = recording.trace(
        "1.0", "GET /cart", 0, 5, status=500, error=("builtins.KeyError", "price", TRACEBACK)
    )
    log = tmp_path / "app.log"
    record = {"time": "2024-05-01T12:00:00Z", "level": "error", "msg": "failed", "trace_id": trace}
    log.write_text(json.dumps({**record, "exc_info": TRACEBACK}) + "\n")
    dataset = recording.dataset(tmp_path, log)
    (error,) = dataset.rows("SELECT * FROM errors")
    assert (error["exception_type"], error["exception_message"]) == ("builtins.KeyError", "'price'")
    assert (error["operation"], error["release"], error["handled"]) == ("GET /cart", "1.0", False)
    assert [frame["function"] for frame in json.loads(error["frames"])] == ["show", "total"]


def test_an_exception_that_the_request_survives_is_handled(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "GET /cart", 0, 5, error=("KeyError", "price", TRACEBACK))
    (error,) = recording.dataset(tmp_path).rows("SELECT handled FROM errors")
    assert error == {"handled": True}


def test_a_failed_request_without_an_exception_is_an_error_too(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "GET /cart", 0, 5, status=503)
    (error,) = recording.dataset(tmp_path).rows("SELECT exception_type, operation FROM errors")
    assert error == {"exception_type": "HTTP 503", "operation": "GET /cart"}


def test_the_entry_is_the_nearest_one_of_the_own_service(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "GET /outer", 0, 9, service="front")
    recording.trace("2.0", "GET /inner", 0.001, 5, service="back", status=500,
                    error=("KeyError", "price", TRACEBACK))  # fmt: skip
    for span in recording.requests[1]["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        span["traceId"] = f"{1:032x}"
    (error,) = recording.dataset(tmp_path).rows("SELECT service, release, operation FROM errors")
    assert error == {"service": "back", "release": "2.0", "operation": "GET /inner"}


def test_what_was_exported_twice_counts_once(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "GET /", 0, 5)
    recording.trace("1.0", "GET /", 1, 5)
    recording.requests.append(recording.requests[0])
    file = recording.save(tmp_path / "traces.jsonl")
    ingested = ingest([file], tmp_path, "dataset")
    assert (ingested.events.spans, ingested.events.duplicates_removed) == (2, 1)


def test_the_same_file_twice_is_read_once(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "GET /", 0, 5)
    folder = tmp_path / "telemetry"
    folder.mkdir()
    recording.save(folder / "a.jsonl")
    recording.save(folder / "b.jsonl")
    ingested = ingest([folder], tmp_path, "dataset")
    assert (ingested.events.spans, ingested.refused.total) == (1, 1)
    assert ingested.refused.listed[0].reason == "the same content as a.jsonl"


def test_a_log_record_that_names_a_trace_gets_its_service_and_release(tmp_path: Path) -> None:
    recording = Recording()
    trace = recording.trace("1.0", "GET /", 0, 5)
    log = tmp_path / "app.log"
    log.write_text(json.dumps({"msg": "hello", "level": "info", "trace_id": trace}) + "\n")
    (row,) = recording.dataset(tmp_path, log).rows("SELECT service, release, instance FROM logs")
    assert row == {"service": "shop", "release": "1.0", "instance": "a"}


def test_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    recording = Recording()
    for number in range(50):
        recording.trace(
            "1.0", "GET /", number, 5 + number % 7, status=200 + 300 * (number % 9 == 0)
        )
    file = recording.save(tmp_path / "traces.jsonl")
    first = ingest([file], tmp_path / "a", "dataset").dataset
    second = ingest([file], tmp_path / "b", "dataset").dataset
    assert first.tables == second.tables


def test_figures_are_those_of_numpy(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    durations = np.round(generator.lognormal(2, 1, 400), 3)
    recording = Recording()
    for number, duration in enumerate(durations):
        recording.trace("1.0", "GET /", number, float(duration), status=500 if number < 8 else 200)
    extracted = extract(find([recording.save(tmp_path / "traces.jsonl")]), tmp_path, "rows")
    tables = normalize(extracted.dataset)
    with connect_raw(extracted.dataset) as connection:
        for name in ("spans", "logs", "coverage", "metrics"):
            connection.execute(f"CREATE VIEW {name} AS FROM raw_{name}")
        connection.register("errors", tables["errors"])
        figures = aggregate(connection)
    (row,) = figures.operations
    expected = np.quantile(durations, [0.5, 0.95, 0.99])
    assert [row.p50_ms, row.p95_ms, row.p99_ms] == pytest.approx(expected, rel=1e-5)
    assert (row.count, row.errors, row.error_rate) == (400, 8, 0.02)
    assert row.rate_per_second == pytest.approx(400 / 399, rel=1e-2)
    assert figures.window.start == "2024-05-01T12:00:00.000000Z"


def test_recorded_requests_bring_what_their_session_changed_before(tmp_path: Path) -> None:
    recording = Recording()

    def request(method: str, path: str, at: float, session: str | None, status: int = 200) -> str:
        values = {"http.request.method": method, "url.path": path}
        if session:
            values["session.id"] = session
        if method == "POST":
            values |= {
                "selfheal.request.body": '{"id": 1}',
                "selfheal.request.content_type": "application/json",
            }
        return recording.trace("1.1", f"{method} {path}", at, 5, status=status, values=values)

    request("POST", "/other", 0, "b")
    request("POST", "/cart", 1, "a")
    request("GET", "/search", 2, "a")
    judged = request("GET", "/cart", 3, "a", 500)
    request("POST", "/later", 4, "a")
    dataset = recording.dataset(tmp_path)
    (session,) = recorded_requests(dataset, trace_id=judged)
    assert [(one.method, one.path, one.status) for one in session] == [
        ("POST", "/cart", 200),
        ("GET", "/cart", 500),
    ]
    assert (session[0].body, session[0].content_type) == ('{"id": 1}', "application/json")
    assert recorded_requests(dataset, operation="GET /nowhere") == []
    assert len(recorded_requests(dataset, release="1.1", limit=2)) == 2
