"""Streams: early, rarely wrong, at the same cost for every value."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.analysis import DetectionData
from selfheal.analysis.metrics import detect_metrics
from selfheal.analysis.releases import compare
from selfheal.analysis.series import SeriesDetector, deviations, read_csv
from selfheal.analysis.statistics.tail import Tail
from selfheal.errors import TelemetryError
from selfheal.telemetry import ingest
from selfheal.telemetry.formats import value_rows as value_rows_format
from selfheal.telemetry.sources import Head

START = 1_714_521_600.0


def daily(generator: np.random.Generator, length: int = 2000) -> np.ndarray:
    """A value every five minutes with a daily pattern."""
    phase = 2 * np.pi * np.arange(length) / 288
    return 50 + 20 * np.sin(phase) + generator.normal(0, 3, length)


def alarms(values: np.ndarray) -> list[tuple[int, str | None]]:
    points = [(START + 300.0 * place, float(value)) for place, value in enumerate(values)]
    found = deviations(points)
    return [(round((one.time - START) / 300), one.deviation) for one in found]


def test_a_usual_week_raises_hardly_anything() -> None:
    generator = np.random.default_rng(1)
    assert sum(len(alarms(daily(generator))) for _ in range(5)) <= 2


@pytest.mark.parametrize(
    ("kind", "delay"), [("spike", 2), ("level", 12), ("flat", 60)], ids=["spike", "level", "flat"]
)
def test_what_is_unusual_is_found_soon(kind: str, delay: int) -> None:
    generator = np.random.default_rng(2)
    values = daily(generator)
    if kind == "spike":
        values[1500] += 60
    elif kind == "level":
        values[1500:] += 40
    else:
        values[1500:] = values[1500]
    after = [place for place, _ in alarms(values) if place >= 1500]
    assert after
    assert after[0] - 1500 <= delay


def test_an_alarm_ends_when_the_new_level_has_become_usual() -> None:
    generator = np.random.default_rng(3)
    values = 50 + generator.normal(0, 2, 3000)
    values[1000:] += 30
    after = [place for place, _ in alarms(values) if place >= 1000]
    assert 1 <= len(after) <= 3


def test_memory_does_not_grow_with_the_series() -> None:
    detector = SeriesDetector()
    generator = np.random.default_rng(4)

    def size() -> int:
        parts = [*vars(detector).values(), *(vars(s) for s in detector.seasons.values())]
        parts += [v for s in detector.seasons.values() for v in vars(s).values()]
        return sum(sys.getsizeof(part) for part in parts)

    sizes = []
    for place in range(12_000):
        detector.update(START + 300.0 * place, float(generator.normal()))
        if place % 4000 == 3999:
            sizes.append(size())
    assert sizes[-1] == sizes[-2]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=400), st.integers(0, 5))
def test_any_finite_series_has_readings(values: list[float], repeats: int) -> None:
    detector = SeriesDetector(warm_up=20)
    for place, value in enumerate(values * (1 + repeats)):
        reading = detector.update(START + place, value)
        assert 0 <= reading.score <= 1


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(TelemetryError, match="no number"):
        SeriesDetector().update(0, float("nan"))


def test_the_tail_is_that_of_the_values() -> None:
    generator = np.random.default_rng(5)
    values = np.abs(generator.normal(size=20_000))
    tail = Tail()
    tail.learn_from([float(value) for value in values[:500]])
    for value in values[500:]:
        tail.learn(float(value))
    assert tail.probability(0.5) == 1
    # Cautious by design: a light tail is not taken for lighter than exponential.
    assert 0.5e-3 < tail.probability(3.29) < 4e-3
    assert tail.probability(10) < 1e-5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timestamp,value\n2024-05-01 00:00:00,1\n2024-05-01T00:05:00+00:00,2\n", 300),
        ("1714521600,1\n1714521900,2\n", 300),
        ("1714521600000,1\n1714521900000,2\n", 300),
        ("1714521600000000000,1\n1714521900000000000,2\n\n", 300),
    ],
)
def test_csv_files_of_all_time_formats_are_read(tmp_path: Path, text: str, expected: float) -> None:
    file = tmp_path / "series.csv"
    file.write_text(text)
    (first, one), (second, two) = read_csv(file)
    assert (one, two, second - first) == (1, 2, expected)
    assert first == START


def test_a_broken_row_is_named(tmp_path: Path) -> None:
    file = tmp_path / "series.csv"
    file.write_text("timestamp,value\n1714521600,1\nlater,2\n")
    with pytest.raises(TelemetryError) as caught:
        list(read_csv(file))
    assert str(caught.value.where).endswith("series.csv:3")


def test_gauges_of_the_telemetry_are_watched(tmp_path: Path) -> None:
    import json

    from selfheal.telemetry import ingest

    generator = np.random.default_rng(6)
    values = 50 + generator.normal(0, 2, 600)
    values[500:] += 40
    points = [
        {"timeUnixNano": str(round((START + 10 * place) * 1e9)), "asDouble": float(value)}
        for place, value in enumerate(values)
    ]
    metric = {"name": "process.cpu.utilization", "unit": "%", "gauge": {"dataPoints": points}}
    resource = {
        "attributes": [
            {"key": "service.name", "value": {"stringValue": "shop"}},
            {"key": "service.version", "value": {"stringValue": "1.0"}},
        ]
    }
    request = {
        "resourceMetrics": [
            {"resource": resource, "scopeMetrics": [{"scope": {}, "metrics": [metric]}]}
        ]
    }
    span = {
        "traceId": "1" * 32, "spanId": "1" * 16, "name": "GET /", "kind": 2,
        "startTimeUnixNano": str(round(START * 1e9)),
        "endTimeUnixNano": str(round(START * 1e9) + 1000),
    }  # fmt: skip
    traces = {
        "resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": [span]}]}]
    }
    (tmp_path / "metrics.jsonl").write_text(json.dumps(request) + "\n")
    (tmp_path / "traces.jsonl").write_text(json.dumps(traces) + "\n")
    dataset = ingest(
        [tmp_path / "metrics.jsonl", tmp_path / "traces.jsonl"], tmp_path, "dataset"
    ).dataset
    data = DetectionData(dataset=dataset, comparisons=compare(dataset))
    (anomaly,) = detect_metrics(data).anomalies
    assert anomaly.operation == "process.cpu.utilization"
    assert (
        "2024-05-01T01:23:20" <= anomaly.evidence["deviations"][-1]["at"] <= "2024-05-01T01:25:40"
    )


def value_rows(folder: Path, name: str, rows: list[str]) -> Path:
    file = folder / name
    file.write_text("\n".join(rows) + "\n")
    return file


def test_a_csv_of_values_is_telemetry_and_its_level_shift_is_found(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    rows = ["timestamp,value"]
    for minute in range(900):
        at = datetime(2024, 5, 1, tzinfo=UTC) + timedelta(minutes=minute)
        value = 50 + generator.normal(0, 2) + (25 if minute >= 700 else 0)
        # Every fiftieth is missing: no line, or no value.
        if minute % 100:
            rows.append(f"{at:%Y-%m-%d %H:%M:%S},{'' if minute % 50 == 0 else round(value, 3)}")
    ingested = ingest([value_rows(tmp_path, "cpu_load.csv", rows)], tmp_path, "dataset")
    assert ingested.refused.total == 0
    dataset = ingested.dataset
    data = DetectionData(dataset=dataset, comparisons=compare(dataset))
    (anomaly,) = detect_metrics(data).anomalies
    assert (anomaly.operation, anomaly.evidence["violation"]) == ("cpu_load", "level")
    assert (anomaly.first_seen or "")[:16] == "2024-05-01T11:41"


def test_rows_of_several_values_are_series_by_the_names_of_their_head(tmp_path: Path) -> None:
    rows = [
        "time,cart.cpu,cart.mem",
        "1714564800,0.5,1",
        "1714564860,,2",
        "1714564920,x,3",
        "soon,1,1",
    ]
    ingested = ingest([value_rows(tmp_path, "data.csv", rows)], tmp_path, "dataset")
    query = "SELECT name, value, time_ns FROM metrics ORDER BY name, time_ns"
    told = [(row["name"], row["value"]) for row in ingested.dataset.rows(query)]
    assert told == [("cart.cpu", 0.5), ("cart.mem", 1.0), ("cart.mem", 2.0)]
    assert [refused.line for refused in ingested.refused.listed] == [4, 5]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\nc,d\n",
        "timestamp,level,message\n2024-05-01 12:00:00,INFO,hello\n",
        "1,2\n3,4\n",
        "time,value\n",
    ],
)
def test_other_tables_are_no_series(text: str) -> None:
    assert not value_rows_format.is_series(Head.of(text.encode()))
