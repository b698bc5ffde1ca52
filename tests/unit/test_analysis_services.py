"""Objectives and root candidates: budgets are counted, and nobody healthy is accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recording import Recording

from selfheal.analysis import DetectionData, judge
from selfheal.analysis.aggregate import aggregate
from selfheal.analysis.errors import detect_errors
from selfheal.analysis.messages import detect_messages
from selfheal.analysis.objectives import detect_objectives, read_objectives
from selfheal.analysis.performance import detect_performance
from selfheal.analysis.releases import compare
from selfheal.artifacts import Anomalies, Anomaly, Dataset
from selfheal.config import DetectConfig
from selfheal.errors import ConfigurationError

SLO = """
slo:
  - {measure: p95, target: 50, operation: GET /cart}
  - {measure: error_rate, target: 0.01}
  - {measure: availability, target: 0.9}
  - {measure: throughput, target: 500}
  - {measure: p99, target: 10, service: other}
  - {measure: p50, target: 10, operation: GET /nowhere}
"""


def detection(dataset: Dataset) -> DetectionData:
    return DetectionData(dataset=dataset, comparisons=compare(dataset))


def test_objectives_that_are_missed_are_found_with_their_burn_rate(tmp_path: Path) -> None:
    recording = Recording()
    for number in range(400):
        slow, failed = number % 4 == 0, number % 20 == 0
        recording.trace(
            "1.0", "GET /cart", number / 10, 80 if slow else 20, status=500 if failed else 200
        )
    dataset = recording.dataset(tmp_path)
    config = DetectConfig(slo=read_objectives(SLO, "slo.yaml"))
    findings = detect_objectives(detection(dataset), config)
    found = {one.evidence["measure"]: one for one in findings.anomalies}
    assert set(found) == {"p95", "error_rate", "throughput"}
    assert found["p95"].evidence["burn_rate"] == pytest.approx(5)
    assert found["error_rate"].evidence["burn_rate"] == pytest.approx(5)
    assert (found["p95"].severity, found["throughput"].severity) == ("medium", "critical")
    assert [question.operation for question in findings.undecided] == ["GET /nowhere"]
    for anomaly in found.values():
        assert judge(anomaly, dataset, baseline="", candidate="1.0").state == "anomalous"
        assert judge(anomaly, dataset, baseline="", candidate="2.0").state == "no_data"


def outage(folder: Path, hours: float, objective: str) -> list[Anomaly]:
    """Two days of a request every 90 s, all of which fail (or stay out) for some hours."""
    recording = Recording()
    for number in range(48 * 40):
        late = 30 <= number / 40 < 30 + hours
        if late and "throughput" in objective:
            continue
        recording.trace("1.0", "GET /cart", number * 90, 20, status=500 if late else 200)
    config = DetectConfig(slo=read_objectives(f"[{objective}]", "slo.yaml"))
    dataset = recording.dataset(folder)
    found = detect_objectives(detection(dataset), config).anomalies
    for anomaly in found:
        assert judge(anomaly, dataset, baseline="", candidate="1.0").state == "anomalous"
    return found


@pytest.mark.parametrize(
    ("objective", "burn_rate"),
    [
        ("{measure: availability, target: 0.95}", 20),
        ("{measure: throughput, target: 0.01}", None),
    ],
)
def test_an_outage_of_an_hour_is_not_diluted_by_two_good_days(
    tmp_path: Path, objective: str, burn_rate: float | None
) -> None:
    (anomaly,) = outage(tmp_path, 1.5, objective)
    burst = anomaly.evidence["burst"]
    assert (anomaly.severity, burst["seconds"], burst["severity"]) == ("critical", 3600, "critical")
    assert anomaly.evidence["burn_rate"] < 1.0
    assert burn_rate is None or burst["burn_rate"] == burn_rate
    assert "for 1 h" in anomaly.title
    assert "2024-05-02T18:00" <= str(anomaly.first_seen) <= "2024-05-02T18:35"


def test_an_outage_of_minutes_may_be_within_the_budget(tmp_path: Path) -> None:
    assert outage(tmp_path, 0.2, "{measure: availability, target: 0.95}") == []


def test_a_few_bad_requests_are_no_missed_objective(tmp_path: Path) -> None:
    recording = Recording()
    for number in range(60):
        recording.trace("1.0", "GET /cart", number, 20, status=500 if number == 7 else 200)
    config = DetectConfig(slo=read_objectives("[{measure: error_rate, target: 0.01}]", "slo.yaml"))
    findings = detect_objectives(detection(recording.dataset(tmp_path)), config)
    assert findings.anomalies == []
    assert "chance explains" in findings.undecided[0].reason


def test_a_mistake_in_the_file_is_named_with_its_place() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_objectives("slo: [{measure: p95, target: 5}, {measure: p96, target: 1}]", "slo.yaml")
    assert str(caught.value.where) == "slo.yaml#/1/measure"
    with pytest.raises(ConfigurationError, match="no YAML"):
        read_objectives("slo: [", "slo.yaml")


def chain(recording: Recording, release: str, start: float, change: str, seed: int = 0) -> None:
    """web calls orders and stock, orders calls payments; one of them may be slow or failing."""
    generator = np.random.default_rng([seed, int(start)])
    for number in range(300):
        noise = generator.lognormal(0, 0.2, 4)
        pay = 6.0 * noise[0] * (3 if change == "slow payments" else 1)
        orders = pay + 5 * noise[1] * (3 if change == "slow orders" else 1)
        web = orders + 6 + 3 * noise[2]
        bad = change == "failing payments" and generator.random() < 0.2
        at = start + number / 5
        recording.trace(release, "GET /", at, web, service="web", status=500 if bad else 200)
        root = recording.requests[-1]["resourceSpans"]
        trace = root[0]["scopeSpans"][0]["spans"][0]["traceId"]
        parent = root[0]["scopeSpans"][0]["spans"][0]["spanId"]
        below = [("orders", "POST /orders", orders, bad), ("payments", "POST /pay", pay, bad)]
        for service, operation, lasting, failed in below:
            error = ("TimeoutError", "bank", "Traceback: x\nTimeoutError: bank")
            recording.trace(
                release, operation, at + 0.001, lasting, service=service,
                status=500 if failed else 200,
                error=error if failed and service == "payments" else None,
            )  # fmt: skip
            made = recording.requests.pop()["resourceSpans"]
            span = made[0]["scopeSpans"][0]["spans"][0]
            span |= {"traceId": trace, "parentSpanId": parent}
            parent = span["spanId"]
            root += made


def anomalies(tmp_path: Path, change: str) -> Anomalies:
    recording = Recording()
    chain(recording, "1.0", 0, "nothing")
    chain(recording, "1.1", 100, change)
    data = detection(recording.dataset(tmp_path))
    config = DetectConfig()
    found = [*detect_performance(data, config).anomalies, *detect_errors(data, config).anomalies]
    return aggregate(found, data, config)


@pytest.mark.parametrize(
    ("change", "service"),
    [
        ("slow payments", "payments"),
        ("slow orders", "orders"),
        ("failing payments", "payments"),
    ],
)
def test_the_service_where_it_begins_is_named_first(
    tmp_path: Path, change: str, service: str
) -> None:
    found = anomalies(tmp_path, change)
    assert found.roots[0].service == service
    assert found.roots[0].score > 0.8
    assert all(root.score < 0.6 for root in found.roots[1:])


def test_on_a_healthy_window_nobody_is_accused(tmp_path: Path) -> None:
    assert anomalies(tmp_path, "nothing").roots == []


def ranked(folder: Path, recording: Recording) -> Anomalies:
    data = detection(recording.dataset(folder))
    config = DetectConfig()
    found = [detect_errors(data, config), detect_messages(data, config)]
    return aggregate([one for each in found for one in each.anomalies], data, config)


def test_errors_that_were_always_there_accuse_nobody(tmp_path: Path) -> None:
    recording = Recording()
    chain(recording, "1.0", 0, "failing payments")
    found = ranked(tmp_path, recording)
    assert {one.service for one in found.anomalies} >= {"payments"}
    assert found.roots == []


def test_a_new_error_in_the_logs_accuses_its_service_before_those_that_call_it(
    tmp_path: Path,
) -> None:
    recording = Recording()
    chain(recording, "1.0", 0, "nothing")
    for number in range(60):
        for service, text in (("payments", "bank pool exhausted"), ("orders", "payment was odd")):
            recording.log("1.0", number, "INFO", "all is well", service=service)
            if number >= 36:
                recording.log("1.0", number, "ERROR", text, service=service)
    found = ranked(tmp_path, recording)
    assert [root.service for root in found.roots] == ["payments", "orders"]
    assert found.roots[0].evidence["logs"] == 1.0
    assert found.roots[1].evidence["logs"] == 0.0
