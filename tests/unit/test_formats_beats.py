"""Beat logs: each thing that was played is one span, however many lines tell of it.

The first dialect is read from a real console log; of the second no log is at hand, its
lines are written as they are documented.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from samples import SAMPLES, only, read, written

from selfheal.artifacts import Dataset

FRAMES = SAMPLES / "conductor-frames.json"
SHORT = """\
beats.ts:12 🎼 EventBus: Subscribed to "canvas:create" (2 total subscribers)
Conductor.ts:10 Emit: canvas:create at 2025-11-10T21:56:16.932Z (perf: 1234.50ms)
✅ Beat 1: 15.20ms
Emit: canvas:draw at 2025-11-10T21:56:16.950Z (perf: 1250.00ms)
✅ Beat 2: 1.80ms
🎊 Sequence Complete: Canvas Create (17ms)
"""


def console() -> Iterator[tuple[str, str]]:
    """The lines of the real log with their times."""
    for frame in json.loads(FRAMES.read_text())["frames"]:
        for event in frame["events"]:
            yield frame["ts"], event["raw"]


def played(dataset: Dataset) -> list[dict[str, Any]]:
    return dataset.rows(
        "SELECT operation, duration_ms, status, code_function, start_ns, trace_id, span_id, "
        "parent_span_id, attributes ->> 'beat.part' AS part FROM spans ORDER BY id"
    )


def test_a_duration_that_is_printed_three_times_counts_once(tmp_path: Path) -> None:
    spans = played(read(tmp_path, FRAMES).dataset)
    lines = [line for _, line in console()]
    for part, printed in (
        ("beat", sum("BeatExecutor: Beat" in line for line in lines)),
        ("movement", sum("PerformanceTracker: Movement" in line for line in lines)),
        ("sequence", sum("SequenceExecutor: Sequence" in line for line in lines)),
    ):
        assert sum(span["part"] == part for span in spans) == printed > 0
    assert [(span["operation"], span["duration_ms"]) for span in spans[:4]] == [
        ("Header UI Theme Get", 144.0),
        ("Header UI Theme Get/Get Current Theme", 138.3),
        ("app:ui:theme:get", 81.7),
        ("app:ui:theme:notify", 46.3),
    ]
    # The conductor says "Cleaned up failed movement" after each one that went well.
    assert {span["status"] for span in spans} == {"ok"}


def test_a_sequence_is_a_trace_of_its_movements_and_beats(tmp_path: Path) -> None:
    sequence, movement, *beats = played(read(tmp_path, FRAMES).dataset)[:4]
    assert sequence["parent_span_id"] is None
    assert movement["parent_span_id"] == sequence["span_id"]
    assert {beat["parent_span_id"] for beat in beats} == {movement["span_id"]}
    assert len({span["trace_id"] for span in (sequence, movement, *beats)}) == 1
    assert [beat["code_function"] for beat in beats] == ["getCurrentTheme", "notifyUi"]


def test_state_changes_are_told_to_their_beat_also_when_they_come_late(tmp_path: Path) -> None:
    dataset = read(tmp_path, FRAMES).dataset
    changes = dataset.rows(
        "SELECT operation, attributes -> 'state.added' AS added, "
        "attributes -> 'state.changed' AS changed FROM spans "
        "WHERE operation LIKE 'control:panel:ui:init:%' ORDER BY start_ns"
    )
    assert [(row["operation"][22:], row["added"], row["changed"]) for row in changes][:2] == [
        ("config", '["configLoaded"]', None),
        # Both lines were printed while the next beats played.
        ("resolver", '["resolver","resolverInitialized"]', '["resolver"]'),
    ]
    first = dataset.rows(
        "SELECT l.attributes, s.operation FROM logs AS l JOIN spans AS s USING (trace_id, span_id) "
        "WHERE logger = 'DataBaton' ORDER BY l.id LIMIT 1"
    )[0]
    assert first["operation"] == "app:ui:theme:get"
    assert json.loads(first["attributes"]) == {
        "beat.sequence": "Header UI Theme Get",
        "beat.event": "app:ui:theme:get",
        "beat.handler": "getCurrentTheme",
        "beat.plugin": "HeaderThemePlugin",
        "beat.request_id": "header-ui-theme-get-symphony-1762811779999-dk1n41nz7",
        "state.added": ["currentTheme", "theme"],
        "state.values": {"currentTheme": "dark", "theme": "dark"},
    }


def test_queue_and_subscriptions_are_told(tmp_path: Path) -> None:
    dataset = read(tmp_path, FRAMES).dataset
    assert only(
        dataset,
        "SELECT attributes ->> 'queue.wait_ms' AS waited FROM spans "
        "WHERE operation = 'Header UI Theme Get'",
    ) == {"waited": "3.0"}
    assert dataset.rows(
        "SELECT attributes FROM logs WHERE logger = 'EventBus' AND attributes IS NOT NULL ORDER BY id LIMIT 1"
    ) == [
        {
            "attributes": '{"subscription.topic":"musical-conductor:beat:started",'
            '"subscription.subscribers":1}'
        }
    ]


@pytest.mark.parametrize(
    "line",
    [
        "{time} {text}",
        "Conductor.ts:42 {time} {text}",
        "[{time}] {text}",
        "{time} src/a/B.tsx:7 {text}",
    ],
)
def test_prefixes_and_times_in_any_order_tell_the_same(tmp_path: Path, line: str) -> None:
    text = "\n".join(line.format(time=time, text=text) for time, text in console())
    ingested = read(tmp_path, written(tmp_path, "console.log", text))
    assert ingested.sources[0].format == "beat-log"
    assert (ingested.refused.total, ingested.events.without_timestamp) == (0, 0)
    told = ("operation", "duration_ms", "status", "code_function", "start_ns", "part")
    assert [[span[name] for name in told] for span in played(ingested.dataset)] == [
        [span[name] for name in told] for span in played(read(tmp_path, FRAMES).dataset)
    ]


def test_without_times_durations_stay_and_times_are_missing(tmp_path: Path) -> None:
    text = "\n".join(text for _, text in console())
    spans = played(read(tmp_path, written(tmp_path, "console.log", text)).dataset)
    with_times = played(read(tmp_path, FRAMES).dataset)
    assert [span["duration_ms"] for span in spans] == [span["duration_ms"] for span in with_times]
    assert {span["start_ns"] for span in spans} == {None}


def test_the_short_dialect(tmp_path: Path) -> None:
    dataset = read(tmp_path, written(tmp_path, "console.log", SHORT)).dataset
    spans = played(dataset)
    assert [(span["operation"], span["duration_ms"], span["part"]) for span in spans] == [
        ("Canvas Create", 17.0, "sequence"),
        ("canvas:create", 15.2, "beat"),
        ("canvas:draw", 1.8, "beat"),
    ]
    assert [span["start_ns"] for span in spans] == [
        1762811776932000000,
        1762811776932000000,
        1762811776950000000,
    ]
    first = dataset.rows("SELECT logger, attributes FROM logs ORDER BY id LIMIT 1")[0]
    assert first["logger"] == "EventBus"
    assert json.loads(first["attributes"])["code.file.path"] == "beats.ts"


def test_both_dialects_about_one_beat_are_one_span_and_the_next_beat_another(
    tmp_path: Path,
) -> None:
    text = """\
⏱️ PerformanceTracker: Beat 1 completed in 7.25ms
✅ Completed in 7.25ms
✅ Beat 1: 7.20ms
✅ BeatExecutor: Beat 1 (a:b) completed in 7ms
⏱️ PerformanceTracker: Beat 1 completed in 8.00ms
"""
    spans = played(read(tmp_path, written(tmp_path, "console.log", text)).dataset)
    assert [(span["operation"], span["duration_ms"]) for span in spans] == [
        ("a:b", 7.25),
        ("unknown sequence/beat 1", 8.0),
    ]


def test_a_failed_beat_is_an_error_with_its_stack(tmp_path: Path) -> None:
    text = """\
⏱️ PerformanceTracker: Started timing beat 2 for Canvas Create
❌ BeatExecutor: Beat 2 (canvas:draw) failed: TypeError: Cannot read properties of undefined (reading 'x')
    at draw (src/canvas.ts:10:5)
    at async run (src/main.ts:3:1)
❌ SequenceExecutor: Sequence "Canvas Create" failed: TypeError: Cannot read properties of undefined (reading 'x')
"""
    dataset = read(tmp_path, written(tmp_path, "console.log", text)).dataset
    assert {span["status"] for span in played(dataset)} == {"error"}
    error = only(dataset, "SELECT operation, exception_type, frames, handled FROM errors")
    assert (error["operation"], error["exception_type"]) == ("Canvas Create", "TypeError")
    assert error["handled"] is False
    assert json.loads(error["frames"])[-1] == {
        "file": "src/canvas.ts",
        "line": 10,
        "function": "draw",
    }
    assert only(dataset, "SELECT count(*) AS errors FROM logs WHERE severity = 'error'") == {
        "errors": 2
    }


def test_changes_in_one_group_or_several(tmp_path: Path) -> None:
    text = "🎽 DataBaton: +key,~other,third | seq=S beat=3 event=a:b handler=? plugin=P\n"
    dataset = read(tmp_path, written(tmp_path, "console.log", text)).dataset
    assert json.loads(only(dataset, "SELECT attributes FROM logs")["attributes"]) == {
        "beat.sequence": "S",
        "beat.event": "a:b",
        "beat.plugin": "P",
        "beat.number": 3,
        "state.added": ["key"],
        "state.changed": ["other", "third"],
    }
