"""Log templates: what errs anew is told apart from what only varies in its numbers."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording import Recording

from selfheal.analysis import DetectionData, Findings, judge
from selfheal.analysis.errors import detect_errors
from selfheal.analysis.log_templates import DrainMiner, masked, pattern
from selfheal.analysis.messages import detect_messages
from selfheal.analysis.releases import compare
from selfheal.artifacts import Dataset
from selfheal.config import DetectConfig

CONFIG = DetectConfig()
WORDS = st.text(alphabet="abcdefgh(){}[].*+?^$|\\\"'<>=:/-", min_size=1, max_size=8)


def detection(dataset: Dataset) -> DetectionData:
    return DetectionData(dataset=dataset, comparisons=compare(dataset))


def usual(recording: Recording, release: str | None, start: float, count: int = 300) -> None:
    """Requests with an info message each, a warning now and then, and a rare error."""
    generator = np.random.default_rng(int(start) + 1)
    for number in range(count):
        at = start + number / 3
        recording.trace(release, "POST /orders", at, 5)
        recording.log(release, at, "INFO", f"order {number} of user-{number % 7} taken")
        recording.log(release, at, "INFO", "stock checked", logger="shop.stock")
        if generator.random() < 0.05:
            recording.log(release, at, "WARN", f"retry {number} after {number % 9}.5 s")
        if generator.random() < 0.02:
            recording.log(release, at, "ERROR", f"payment {number:08x} refused: limit")


def found(findings: Findings) -> dict[str, str]:
    return {one.evidence["template"]: one.evidence["change"] for one in findings.anomalies}


def test_a_new_error_message_is_one_anomaly_whatever_its_ids(tmp_path: Path) -> None:
    recording = Recording()
    usual(recording, "1.0", 0)
    usual(recording, "1.1", 200)
    for number in range(40):
        values = {"code.file.path": "/srv/shop/stock.py", "code.line.number": 17}
        recording.log(
            "1.1", 200 + 2.5 * number, "ERROR", f"shelf {number} at 10.0.0.{number} lost",
            logger="shop.stock", values=values,
        )  # fmt: skip
    dataset = recording.dataset(tmp_path)
    (anomaly,) = detect_messages(detection(dataset), CONFIG).anomalies
    assert (anomaly.kind, anomaly.operation, anomaly.count) == ("error", "shop.stock", 40)
    assert anomaly.evidence["template"] == "shelf <*> at <*> lost"
    assert anomaly.evidence["frames"] == [
        {"file": "/srv/shop/stock.py", "line": 17, "function": ""}
    ]
    assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
    assert judge(anomaly, dataset, baseline="1.1", candidate="1.0").state == "quiet"
    assert judge(anomaly, dataset, baseline="1.0", candidate="2.0").state == "no_data"
    assert detect_messages(detection(dataset), CONFIG).anomalies == [anomaly]


def test_without_drain_messages_are_an_open_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording()
    usual(recording, "1.0", 0, count=10)
    monkeypatch.setitem(sys.modules, "drain3.drain", None)
    (question,) = detect_messages(detection(recording.dataset(tmp_path)), CONFIG).undecided
    assert question.reason == "unavailable: the package drain3 is not installed."
    assert question.needed == "Install it with: pip install 'selfheal[templates]'"


def test_equal_releases_raise_nothing(tmp_path: Path) -> None:
    recording = Recording()
    usual(recording, "1.0", 0)
    usual(recording, "1.1", 200, count=600)
    findings = detect_messages(detection(recording.dataset(tmp_path)), CONFIG)
    assert findings.anomalies == []


def test_a_warning_that_became_frequent_has_risen(tmp_path: Path) -> None:
    recording = Recording()
    usual(recording, "1.0", 0)
    usual(recording, "1.1", 200)
    for number in range(80):
        recording.log("1.1", 200 + number, "WARN", f"retry {number} after 3.5 s")
    dataset = recording.dataset(tmp_path)
    findings = detect_messages(detection(dataset), CONFIG)
    assert found(findings) == {"retry <*> after <*> s": "rising"}
    (anomaly,) = findings.anomalies
    assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
    assert judge(anomaly, dataset, baseline="1.1", candidate="1.0").state == "quiet"


def test_a_steady_message_that_is_gone_is_told_from_one_in_other_words(tmp_path: Path) -> None:
    recording = Recording()
    usual(recording, "1.0", 0)
    for number in range(300):
        at = 200 + number / 3
        recording.trace("1.1", "POST /orders", at, 5)
        recording.log("1.1", at, "INFO", f"took the order {number}")
    dataset = recording.dataset(tmp_path)
    findings = detect_messages(detection(dataset), CONFIG)
    assert found(findings) == {"stock checked": "vanished"}
    assert "other words" in findings.undecided[0].reason
    (anomaly,) = findings.anomalies
    assert anomaly.severity == "low"
    assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
    assert judge(anomaly, dataset, baseline="1.1", candidate="1.0").state == "quiet"


def test_records_of_an_exception_are_left_to_its_fingerprint(tmp_path: Path) -> None:
    recording = Recording()
    usual(recording, "1.0", 0)
    usual(recording, "1.1", 200)
    error = (
        "KeyError",
        "1",
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\nKeyError: 1',
    )
    for number in range(30):
        at = 200 + 3 * number
        trace = recording.trace("1.1", "GET /cart", at, 5, status=500, error=error)
        recording.log("1.1", at, "ERROR", "request failed", trace_id=trace)
    data = detection(recording.dataset(tmp_path))
    assert len(detect_errors(data, CONFIG).anomalies) == 1
    assert detect_messages(data, CONFIG).anomalies == []


def test_in_one_release_an_error_message_is_new_if_all_of_it_came_late(tmp_path: Path) -> None:
    recording = Recording()
    usual(recording, None, 0)
    for number in range(20):
        recording.log(None, 60 + 2 * number, "ERROR", f"disk {number} is full")
        recording.log(None, 5 * number, "ERROR", f"mirror {number} is late")
    findings = detect_messages(detection(recording.dataset(tmp_path)), CONFIG)
    assert found(findings) == {"disk <*> is full": "new"}
    assert (findings.anomalies[0].first_seen or "").startswith("2024-05-01T12:01:00")


def test_one_burst_of_a_rare_error_is_an_open_question(tmp_path: Path) -> None:
    recording = Recording()
    usual(recording, "1.0", 0)
    usual(recording, "1.1", 200)
    for number in range(12):
        recording.log("1.1", 250 + number / 100, "ERROR", f"mirror {number} is late")
    findings = detect_messages(detection(recording.dataset(tmp_path)), CONFIG)
    assert findings.anomalies == []
    assert "mirror <*> is late" in findings.undecided[0].reason


MESSAGES = st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None)
@given(messages=MESSAGES)
def test_every_message_fits_the_pattern_of_its_template(messages: list[str]) -> None:
    with duckdb.connect() as connection:
        query = f"SELECT {masked('unnest($m)')}"
        plain = [row[0] for row in connection.execute(query, {"m": messages}).fetchall()]
        templates = DrainMiner().templates(plain)
        patterns = [pattern(template) for template in templates]
        query = (
            "SELECT bool_and(regexp_matches(m, p)) FROM (SELECT unnest($m) AS m, unnest($p) AS p)"
        )
        rows = connection.execute(query, {"m": plain, "p": patterns}).fetchall()
    assert rows == [(True,)]
    assert DrainMiner().templates(plain) == templates
