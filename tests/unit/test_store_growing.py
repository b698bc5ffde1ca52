"""A store that grows: nothing is read twice, nothing is missed, whatever happens to the files."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfheal.cli.main import main
from selfheal.errors import InvalidInput, LockedError, NotFound
from selfheal.store import growing
from selfheal.store.growing import Addition, add
from selfheal.store.ledger import Content, settled
from selfheal.store.local import LocalStore
from selfheal.store.manifest import read_manifest, writing
from selfheal.store.parts import Growing
from selfheal.telemetry import ingest

RESOURCES = Path(__file__).parents[1] / "resources"
FIRST_NS = 1_760_000_000 * 10**9


def span(number: int) -> str:
    """One OTLP JSON line; every seventh span fails with an exception."""
    failed = number % 7 == 0
    event = {
        "name": "exception",
        "timeUnixNano": str(FIRST_NS + number),
        "attributes": [
            {"key": "exception.type", "value": {"stringValue": "KeyError"}},
            {"key": "exception.message", "value": {"stringValue": f"'{number}'"}},
        ],
    }
    record = {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "name": f"step {number % 3}",
        "kind": 2,
        "startTimeUnixNano": str(FIRST_NS + number),
        "endTimeUnixNano": str(FIRST_NS + number + 1000),
        "status": {"code": 2 if failed else 0},
        "events": [event] if failed else [],
    }
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [record]}]}]}) + "\n"


def record(number: int) -> str:
    """One record of a text log, every third with a traceback over several lines."""
    first = f"2026-01-01 00:{number // 60:02}:{number % 60:02} ERROR shop: number {number}\n"
    if number % 3:
        return first
    return (
        first + "Traceback (most recent call last):\n"
        f'  File "cart.py", line {number + 1}, in add\n    total()\n\nValueError: {number}\n'
    )


def asked(store: Path, sql: str) -> list[list[Any]]:
    local = LocalStore(Growing(store))
    rows = local.query(sql).rows
    local.close()
    return rows


def content_of(store: Path | LocalStore) -> dict[str, list[list[Any]]]:
    """Everything that a store says, apart from numbers that depend on the order of reading."""
    local = store if isinstance(store, LocalStore) else LocalStore(Growing(store))
    found = {
        name: local.query(f"SELECT * EXCLUDE ({without}) FROM {name} ORDER BY ALL").rows
        for name, without in {
            "spans": "id, source, line",
            "logs": "id, source, line",
            "errors": "source, line",
            "metrics": "source, line",
            "coverage": "release",
        }.items()
    }
    local.close()
    return found


def states(addition: Addition) -> dict[str, str]:
    return {file.path: file.state for file in addition.files}


def test_the_same_files_twice_change_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = add([RESOURCES / "telemetry", RESOURCES / "clickhouse"], store)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    second = add([RESOURCES / "telemetry", RESOURCES / "clickhouse"], store)
    assert set(states(second).values()) == {"unchanged"}
    assert second.rows == first.rows
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_a_store_says_what_a_run_would_say(tmp_path: Path) -> None:
    add([RESOURCES / "telemetry"], tmp_path / "store")
    once = ingest([RESOURCES / "telemetry"], tmp_path / "run", "dataset").dataset
    assert content_of(tmp_path / "store") == content_of(LocalStore(once))


def test_a_growing_file_is_continued_with_its_own_line_numbers(tmp_path: Path) -> None:
    file, store = tmp_path / "traces.jsonl", tmp_path / "store"
    file.write_text("".join(map(span, range(5))))
    assert states(add([file], store)) == {"traces.jsonl": "new"}
    file.write_text("".join(map(span, range(12))))
    added = add([file], store)
    assert states(added) == {"traces.jsonl": "continued"}
    assert (added.files[0].lines_read, added.files[0].events_kept) == (7, 7)
    assert asked(
        store, "SELECT list(line ORDER BY line), max(source), count(DISTINCT id) FROM spans"
    )[0] == [list(range(1, 13)), 0, 12]
    assert asked(store, "SELECT count(*) FROM errors") == [[2]]


def test_a_refused_line_is_told_by_its_place_in_the_file(tmp_path: Path) -> None:
    file, store = tmp_path / "traces.jsonl", tmp_path / "store"
    file.write_text("".join(map(span, range(5))))
    add([file], store)
    file.write_text("".join(map(span, range(6))) + "nonsense\n")
    added = add([file], store)
    assert added.refused_total == 1
    assert [(line.file, line.line) for line in added.refused] == [("traces.jsonl", 7)]


@pytest.mark.parametrize("cut", [1, 60, -1])
def test_a_line_that_is_being_written_is_read_once_it_is_whole(tmp_path: Path, cut: int) -> None:
    file, store = tmp_path / "traces.jsonl", tmp_path / "store"
    whole = span(0) + span(1) + span(2)
    file.write_text(span(0) + span(1)[:cut])
    add([file], store)
    file.write_text(whole)
    add([file], store)
    assert asked(store, "SELECT count(*), count(DISTINCT span_id) FROM spans") == [[3, 3]]


def test_a_last_line_without_an_end_is_read_and_not_twice(tmp_path: Path) -> None:
    file, store = tmp_path / "traces.jsonl", tmp_path / "store"
    file.write_text(span(0) + span(1).rstrip("\n"))
    assert add([file], store).rows["spans"] == 2
    file.write_text(span(0) + span(1) + span(2))
    assert add([file], store).rows["spans"] == 3


@pytest.mark.parametrize("cut", [45, 70, 110, 160])
def test_a_traceback_that_is_being_written_is_one_record_in_the_end(
    tmp_path: Path, cut: int
) -> None:
    text = record(1) + record(3) + record(4)
    file, store, whole = tmp_path / "app.log", tmp_path / "store", tmp_path / "whole"
    file.write_text(text[:cut])
    add([file], store)
    file.write_text(text)
    add([file], store)
    add([file], whole)
    assert content_of(store) == content_of(whole)
    assert asked(store, "SELECT count(*) FROM logs") == [[3]]


def test_rotated_files_are_recognised(tmp_path: Path) -> None:
    """Renamed and continued, compressed, and copied and truncated."""
    logs, store = tmp_path / "logs", tmp_path / "store"
    logs.mkdir()
    current = logs / "app.jsonl"
    current.write_text("".join(map(span, range(4))))
    add([logs], store)

    with current.open("a") as file:
        file.write(span(4))
    current.rename(logs / "app.jsonl.1")
    current.write_text(span(5) + span(6))
    added = add([logs], store)
    assert states(added) == {"app.jsonl": "new", "app.jsonl.1": "continued"}
    assert added.files[1].moved_from == str(current)

    compressed = gzip.compress((logs / "app.jsonl.1").read_bytes())
    (logs / "app.jsonl.2.gz").write_bytes(compressed)
    (logs / "app.jsonl.1").unlink()
    shutil.copy(current, logs / "app.jsonl.1")
    current.write_text(span(7))
    added = add([logs], store)
    assert states(added) == {
        "app.jsonl": "new",
        "app.jsonl.1": "unchanged",
        "app.jsonl.2.gz": "unchanged",
    }
    numbers = [[f"{number + 1:016x}"] for number in range(8)]
    assert asked(store, "SELECT span_id FROM spans ORDER BY 1") == numbers
    assert read_manifest(store).sources == ["app.jsonl", "app.jsonl", "app.jsonl"]


def test_files_that_begin_alike_are_two_files(tmp_path: Path) -> None:
    store = tmp_path / "store"
    one, other = tmp_path / "one.log", tmp_path / "other.log"
    one.write_text(record(1))
    add([one], store)
    other.write_text(record(1) + record(2))
    one.write_text(record(1) + record(4))
    assert states(add([one, other], store)) == {"one.log": "continued", "other.log": "new"}
    assert asked(store, "SELECT count(*) FROM logs") == [[4]]


def test_the_next_version_of_a_report_replaces_it(tmp_path: Path) -> None:
    report, store = tmp_path / "coverage.json", tmp_path / "store"
    text = (RESOURCES / "telemetry" / "coverage-1.0.json").read_text()
    report.write_text(text)
    before = add([report], store).rows["coverage"]
    changed = json.loads(text)
    for file in changed["files"].values():
        file["executed_lines"], file["missing_lines"] = [], file["executed_lines"]
    report.write_text(json.dumps(changed))
    added = add([report], store)
    assert states(added) == {"coverage.json": "replaced"}
    assert 0 < added.rows["coverage"] <= before
    assert asked(store, "SELECT count(*) FROM coverage WHERE covered") == [[0]]


@pytest.mark.parametrize("step", ["_part", "normalize", "write_tables", "commit", "sync"])
def test_a_failure_anywhere_changes_nothing(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, store = tmp_path / "logs", tmp_path / "store"
    logs.mkdir()
    (logs / "a.jsonl").write_text(span(0) + span(1))
    add([logs], store)
    before = content_of(store)
    (logs / "a.jsonl").write_text(span(0) + span(1) + span(2))
    (logs / "b.log").write_text(record(3))

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(growing._Addition if step == "_part" else growing, step, fail)
        with pytest.raises(OSError, match="full"):
            add([logs], store)
    assert content_of(store) == before
    added = add([logs], store)
    assert (added.rows["spans"], added.rows["logs"]) == (3, 1)
    named = {part.id for part in read_manifest(store).parts}
    assert {path.name for path in (store / "parts").iterdir()} == named


def test_killed_at_any_time_it_loses_and_doubles_nothing(tmp_path: Path) -> None:
    logs, store = tmp_path / "logs", tmp_path / "store"
    logs.mkdir()
    dice = random.Random(7)
    written = 0
    command = [
        sys.executable,
        "-m",
        "selfheal.cli.main",
        "ingest",
        str(logs),
        "--store",
        str(store),
    ]
    for attempt in range(5):
        with (logs / "a.jsonl").open("a") as file:
            file.writelines(map(span, range(written, written + 40)))
        (logs / f"{attempt}.log").write_text(record(attempt))
        written += 40
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # What is protected is the state after the kill, whenever it comes.
        time.sleep(dice.uniform(0.3, 1.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (store / "store.json").exists():
            spans = asked(store, "SELECT count(*), count(DISTINCT span_id) FROM spans")[0]
            assert spans[0] == spans[1]
    add([logs], store)
    assert asked(store, "SELECT count(*), count(DISTINCT span_id) FROM spans") == [[written] * 2]
    assert asked(store, "SELECT count(*) FROM logs") == [[5]]


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["traces.jsonl", "app.log"]),
            st.sampled_from(["append", "append half", "rotate", "truncate", "ingest"]),
            st.integers(1, 5),
        ),
        min_size=4,
        max_size=12,
    )
)
def test_whatever_happens_to_the_files_each_event_is_there_once(
    steps: list[tuple[str, str, int]],
) -> None:
    """Everything that lay whole in a file when an ingest looked is in the store, once."""
    with tempfile.TemporaryDirectory() as scratch:
        logs, store = Path(scratch) / "logs", Path(scratch) / "store"
        logs.mkdir()
        made = {"traces.jsonl": span, "app.log": record}
        number, rotations = 0, 0
        pending: dict[str, str] = {"traces.jsonl": "", "app.log": ""}
        expected = {"traces.jsonl": 0, "app.log": 0}
        for name, action, count in [
            *steps,
            ("traces.jsonl", "append", 1),
            ("app.log", "append", 1),
        ]:
            file = logs / name
            if action.startswith("append"):
                text = pending[name] + "".join(made[name](number + i) for i in range(count))
                number += count
                expected[name] += count
                cut = len(text) - 25 if action == "append half" else len(text)
                pending[name] = text[cut:]
                with file.open("a") as out:
                    out.write(text[:cut])
            elif action != "ingest" and file.exists() and not pending[name]:
                add([logs], store)
                rotations += 1
                if action == "rotate":
                    file.rename(logs / f"{name}.{rotations}")
                else:
                    file.write_text("")
            elif action == "ingest" and any(logs.iterdir()):
                add([logs], store)
        added = add([logs], store)
        assert added.rows["spans"] == expected["traces.jsonl"]
        assert added.rows["logs"] == expected["app.log"]


def test_edges_are_those_of_the_content_however_it_is_kept(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(20_000)
    plain, compressed = tmp_path / "plain", tmp_path / "compressed.gz"
    plain.write_bytes(content)
    compressed.write_bytes(gzip.compress(content))
    for length in (1, 100, 4096, 4097, 8000, 20_000):
        edges = {Content(path, path.stat().st_size).edges(length) for path in (plain, compressed)}
        assert len(edges) == 1
        assert None not in edges
    assert Content(plain, 20_000).edges(20_001) is None


def test_what_is_settled_of_a_format(tmp_path: Path) -> None:
    file = tmp_path / "rest"
    for format, content, length in [
        ("otlp-json", b"{}\n{}\n{", 6),
        ("otlp-json", b"{\n  1\n}\n", 0),
        ("otlp-json", b"x" * 3_000_000, 0),
        ("otlp-json", b"x" * 3_000_000 + b"\nrest", 3_000_001),
        ("json-lines", b'{"a": 1}\n{"a": 2}\nTraceback\n', 9),
        ("text", record(1).encode() + record(3).encode(), len(record(1))),
        ("text", record(1).encode() + record(3).encode() * 20_000, None),
        ("junit-xml", b"<a>\n</a>\n", 0),
        ("access-log", "a\nb\n".encode("utf-16"), 0),
    ]:
        file.write_bytes(content)
        wanted = len(content) - len(record(3)) if length is None else length
        assert settled(format, file, at_start=True) == wanted, (format, content[:40])


def test_two_at_once_and_folders_of_others_are_refused(tmp_path: Path) -> None:
    file, store = tmp_path / "traces.jsonl", tmp_path / "store"
    file.write_text(span(0))
    store.mkdir()
    with writing(store), pytest.raises(LockedError):
        add([file], store)
    with pytest.raises(InvalidInput, match="other things"):
        add([file], tmp_path)
    with pytest.raises(NotFound, match="no store"):
        Growing(tmp_path)
    (store / "store.json").write_text('{"generation": "many"}')
    with pytest.raises(InvalidInput, match="no store that this release can read"):
        add([file], store)


def test_the_commands_fill_a_store_and_ask_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, store = tmp_path / "traces.jsonl", tmp_path / "store"
    file.write_text("".join(map(span, range(9))))
    assert main(["ingest", str(file), "--store", str(store)]) == 0
    assert "the store holds 9 spans" in capsys.readouterr().out
    assert main(["ingest", str(file), "--store", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["state"] == "unchanged"
    assert main(["query", "operation-errors", "--store", str(store), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sum(row["errors"] for row in rows) == 2
    assert main(["ingest", str(file)]) == 2
    assert "--store FOLDER" in capsys.readouterr().err
