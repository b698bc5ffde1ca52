"""State invariants: what always held and breaks is named; chance and free values are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording import Recording, attributes

from selfheal.analysis import DetectionData, judge
from selfheal.analysis.invariants import detect_invariants
from selfheal.analysis.releases import compare
from selfheal.artifacts import Anomaly, Dataset
from selfheal.config import DetectConfig
from selfheal.telemetry import ingest

CONFIG = DetectConfig()
State = dict[str, Any]
Spoil = Callable[[int, State], None]


def told(recording: Recording, release: str, start: float, spoil: Spoil | None, seed: int) -> None:
    """80 orders; after `place` the state tells of items, sums, a stamp and a free number."""
    generator = np.random.default_rng([seed, int(start)])
    for number in range(80):
        items = int(generator.integers(1, 9))
        state: State = {
            "items": items,
            "paid": 100 * items - int(generator.integers(0, 90)),
            "owed": 100 * items,
            "total": 100 * items,
            "handled": number * 2 + int(generator.integers(0, 2)),
            "balance": round(float(generator.normal(0, 50)), 2),
            "name": f"order-{number}",
        }
        if number % 2:
            state["gift"] = True
        if spoil is not None and number % 4 == 0:
            spoil(number, state)
        recording.trace(
            release, "POST /orders", start + number, 9, steps=(("place", 1, 5),),
            step_values={"state.values": json.dumps(state)},
        )  # fmt: skip


def lose(key: str) -> Spoil:
    return lambda _, state: state.pop(key)


def put(key: str, value: Callable[[int, State], Any]) -> Spoil:
    return lambda number, state: state.update({key: value(number, state)})


def detected(folder: Path, spoil: Spoil | None, seed: int = 0) -> tuple[Dataset, list[Anomaly]]:
    recording = Recording()
    told(recording, "1.0", 0, None, seed)
    told(recording, "1.1", 100, spoil, seed)
    dataset = recording.dataset(folder)
    data = DetectionData(dataset=dataset, comparisons=compare(dataset))
    return dataset, detect_invariants(data, CONFIG).anomalies


def together(*spoils: Spoil) -> Spoil:
    def spoil(number: int, state: State) -> None:
        for one in spoils:
            one(number, state)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (
            together(
                lose("name"),
                put("handled", lambda number, _: number - 9),
                put("total", lambda _, state: state["total"] + 1),
            ),
            {"name is always present", "handled never decreases", "owed = total"},
        ),
        (put("paid", lambda _, state: state["owed"] + 7), {"paid ≤ owed", "paid ≤ total"}),
        (put("paid", lambda _, state: -5 * state["items"]), {"paid never negative"}),
    ],
)
def test_a_broken_invariant_is_named(tmp_path: Path, spoil: Spoil, expected: set[str]) -> None:
    dataset, anomalies = detected(tmp_path, spoil)
    names = {one.evidence["told"] for one in anomalies}
    assert expected <= names
    # What is broken besides follows from the same key.
    keys = {part for name in expected for part in name.split()}
    assert all(keys & set(name.split()) for name in names)
    for anomaly in anomalies:
        assert anomaly.kind == "state"
        assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
        assert judge(anomaly, dataset, baseline="1.1", candidate="1.0").state == "quiet"
        assert judge(anomaly, dataset, baseline="1.0", candidate="2.0").state == "no_data"


def test_free_values_break_nothing(tmp_path: Path) -> None:
    found = []
    for seed in range(2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        found += detected(folder, None, seed)[1]
    assert found == []


def test_a_step_that_always_wrote_a_table_and_does_no_more_is_found(tmp_path: Path) -> None:
    recording = Recording()
    for release, start in (("1.0", 0), ("1.1", 100)):
        for number in range(60):
            forgets = release == "1.1" and number % 3 == 0
            fails = number % 10 == 7
            trace = recording.trace(
                release, "POST /orders", start + number, 5, steps=(("orders.place", 1, 3),)
            )
            spans = recording.requests[-1]["resourceSpans"][0]["scopeSpans"][0]["spans"]
            if fails:
                spans[1]["status"] = {"code": 2}
            if forgets or fails:
                continue
            query = recording._span(
                trace, spans[1]["spanId"], "query", 3, int(spans[1]["startTimeUnixNano"]), 1
            )
            query["attributes"] = attributes({"db.query.text": "INSERT INTO orders VALUES (?)"})
            spans.append(query)
    dataset = recording.dataset(tmp_path)
    data = DetectionData(dataset=dataset, comparisons=compare(dataset))
    (anomaly,) = detect_invariants(data, CONFIG).anomalies
    assert anomaly.evidence["told"] == "orders is always changed"
    assert anomaly.operation == "orders.place"
    assert 18 <= anomaly.count <= 20
    assert len(anomaly.evidence["trace_ids"]) == 5
    assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
    assert judge(anomaly, dataset, baseline="1.1", candidate="1.0").state == "quiet"


def test_beat_logs_teach_a_counter_that_falls_late(tmp_path: Path) -> None:
    lines = []
    for number in range(120):
        count = number if number < 100 or number % 2 else number - 50
        at = f"2025-11-10T21:{number // 60:02}:{number % 60:02}.000Z"
        lines.append(
            f'{at} ▶️ SequenceExecutor: Starting sequence "Count"\n'
            f"{at} 🎽 DataBaton: ~seen | seq=Count beat=1 event=ui:count handler=count "
            f'preview={{"seen":{count}}}\n'
        )
    log = tmp_path / "conductor.log"
    log.write_text("".join(lines))
    dataset = ingest([log], tmp_path, "dataset").dataset
    data = DetectionData(dataset=dataset, comparisons=compare(dataset))
    (anomaly,) = detect_invariants(data, CONFIG).anomalies
    assert (anomaly.evidence["told"], anomaly.operation) == ("seen never decreases", "seen")
    assert (anomaly.first_seen or "").startswith("2025-11-10T21:01:40")
