"""Traffic and state: what vanished, surges, or is written by a step that never did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from recording import Recording

from selfheal.analysis import DetectionData, judge
from selfheal.analysis.releases import compare
from selfheal.analysis.state import detect_state
from selfheal.analysis.traffic import detect_traffic
from selfheal.artifacts import Dataset
from selfheal.config import DetectConfig

CONFIG = DetectConfig()


def detection(dataset: Dataset) -> DetectionData:
    return DetectionData(dataset=dataset, comparisons=compare(dataset))


def mixed(recording: Recording, release: str, start: float, seed: int, **shares: float) -> None:
    """900 requests at ten a second, drawn by the shares of the operations."""
    generator = np.random.default_rng([seed, int(start)])
    names = sorted(shares)
    weights = np.asarray([shares[name] for name in names])
    for number, name in enumerate(generator.choice(names, 900, p=weights / weights.sum())):
        recording.trace(release, f"GET /{name}", start + number / 10, 5)


def test_vanished_surging_and_dropping_operations_are_found_and_new_ones_asked_about(
    tmp_path: Path,
) -> None:
    recording = Recording()
    mixed(recording, "1.0", 0, 1, cart=0.3, home=0.3, search=0.2, deals=0.1, terms=0.1)
    mixed(recording, "1.1", 100, 1, cart=0.3, home=0.3, deals=0.3, terms=0.03, fresh=0.2)
    dataset = recording.dataset(tmp_path)
    findings = detect_traffic(detection(dataset), CONFIG)
    assert {one.operation: one.evidence["violation"] for one in findings.anomalies} == {
        "GET /search": "vanished",
        "GET /deals": "surge",
        "GET /terms": "drop",
    }
    assert [question.operation for question in findings.undecided] == ["GET /fresh"]
    for anomaly in findings.anomalies:
        assert anomaly.kind == "behavioral"
        assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
        assert judge(anomaly, dataset, baseline="1.1", candidate="1.0").state == "quiet"
        assert judge(anomaly, dataset, baseline="1.0", candidate="2.0").state == "no_data"


def test_an_equal_mix_of_more_or_less_traffic_raises_nothing(tmp_path: Path) -> None:
    for seed in range(3):
        recording = Recording()
        shares = {"cart": 0.3, "home": 0.4, "search": 0.2, "terms": 0.1}
        mixed(recording, "1.0", 0, seed, **shares)
        mixed(recording, "1.1", 100, seed, **shares)
        folder = tmp_path / str(seed)
        folder.mkdir()
        findings = detect_traffic(detection(recording.dataset(folder)), CONFIG)
        assert findings.anomalies == []
        assert findings.undecided == []


def test_a_surge_of_all_traffic_is_found_in_time(tmp_path: Path) -> None:
    recording = Recording()
    generator = np.random.default_rng(3)
    for second in range(120):
        for place in range(int(generator.poisson(4 if second < 70 else 20))):
            recording.trace("1.0", "GET /", second + place / 50, 5)
    dataset = recording.dataset(tmp_path)
    (anomaly,) = detect_traffic(detection(dataset), CONFIG).anomalies
    assert anomaly.evidence["violation"] == "surge"
    assert anomaly.first_seen is not None
    assert "2024-05-01T12:01:05" <= anomaly.first_seen <= "2024-05-01T12:01:15"
    assert judge(anomaly, dataset, baseline="", candidate="1.0").state == "no_data"


def test_a_step_that_changes_what_it_never_changed_is_found(tmp_path: Path) -> None:
    recording = Recording()
    for release, start in (("1.0", 0), ("1.1", 100)):
        for number in range(60):
            statement = "INSERT INTO orders (id) VALUES (?)"
            if release == "1.1" and number % 3 == 0:
                statement = "UPDATE stock SET amount = 0"
            trace = recording.trace(
                release, "POST /orders", start + number, 5, steps=(("orders.place", 1, 3),)
            )
            spans = recording.requests[-1]["resourceSpans"][0]["scopeSpans"][0]["spans"]
            query = recording._span(
                trace, spans[1]["spanId"], "query", 3, int(spans[1]["startTimeUnixNano"]), 1
            )
            query["attributes"] = [{"key": "db.query.text", "value": {"stringValue": statement}}]
            spans.append(query)
    dataset = recording.dataset(tmp_path)
    (anomaly,) = detect_state(detection(dataset), CONFIG).anomalies
    assert (anomaly.kind, anomaly.operation, anomaly.evidence["key"]) == (
        "state",
        "orders.place",
        "stock",
    )
    assert (anomaly.count, anomaly.evidence["executions"]) == (20, 60)
    assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
    assert judge(anomaly, dataset, baseline="1.1", candidate="1.0").state == "quiet"


def baton(minute: int, second: int, beat: int, change: str) -> str:
    at = f"2025-11-10T21:{minute:02}:{second:02}.000Z"
    names = {1: "resolveTheme", 2: "notifyUi"}
    return (
        f'{at} ▶️ SequenceExecutor: Starting sequence "Theme Get"\n'
        f"{at} 🎵 BeatExecutor: Executing beat {beat} (ui:{names[beat]}) for Theme Get\n"
        f"{at} 🎽 DataBaton: {change} | seq=Theme Get beat={beat} event=ui:{names[beat]} handler={names[beat]}\n"
        f"{at} ✅ BeatExecutor: Beat {beat} (ui:{names[beat]}) completed in 2.00ms\n"
        f'{at} ✅ SequenceExecutor: Sequence "Theme Get" completed in 3ms\n'
    )


def test_beat_logs_teach_which_handler_changes_which_key(tmp_path: Path) -> None:
    lines = []
    for number in range(120):
        late = number >= 70
        lines.append(baton(number // 60, number % 60, 1, "+currentTheme"))
        spoils = late and number % 2 == 0
        lines.append(
            baton(number // 60, number % 60, 2, "~currentTheme" if spoils else "No changes")
        )
    log = tmp_path / "conductor.log"
    log.write_text("".join(lines))
    from selfheal.telemetry import ingest

    dataset = ingest([log], tmp_path, "dataset").dataset
    (anomaly,) = detect_state(detection(dataset), CONFIG).anomalies
    assert (anomaly.operation, anomaly.evidence["key"]) == ("notifyUi", "currentTheme")
    assert anomaly.evidence["usual_writers"] == ["resolveTheme"]
