"""Detectors find what was put into a recording, say nothing about the rest, and judge alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recording import Recording

from selfheal.analysis import DetectionData, Findings, guards, health, judge
from selfheal.analysis.aggregate import aggregate
from selfheal.analysis.behaviour import detect_behaviour
from selfheal.analysis.errors import detect_errors
from selfheal.analysis.performance import detect_performance
from selfheal.analysis.releases import compare
from selfheal.analysis.untested import detect_untested
from selfheal.artifacts import Anomaly, Dataset
from selfheal.config import DetectConfig, GateConfig
from selfheal.errors import ConfigurationError

CONFIG = DetectConfig()
OPERATIONS = tuple(
    f"GET /{name}" for name in ("cart", "deals", "home", "orders", "search", "terms")
)
TRACEBACK = 'Traceback (most recent call last):\n  File "cart.py", line 3, in total\nKeyError: 1'


def record(
    recording: Recording,
    release: str,
    start: float,
    factors: dict[str, float] | None = None,
    *,
    common: float = 1.0,
    failing: dict[str, float] | None = None,
    seed: int = 0,
    requests: int = 900,
) -> None:
    """Requests of one release at 10 a second over six operations, noisy, with a drifting host."""
    generator = np.random.default_rng([seed, int(start)])
    levels = np.exp(np.repeat(generator.normal(0, 0.05, requests // 30 + 1), 30))
    for number in range(requests):
        operation = OPERATIONS[int(generator.integers(len(OPERATIONS)))]
        base = 4 + 2 * OPERATIONS.index(operation)
        lasting = base * levels[number] * generator.lognormal(0, 0.25) * common
        lasting *= (factors or {}).get(operation, 1)
        failed = generator.random() < (failing or {}).get(operation, 0)
        error = ("KeyError", str(number), TRACEBACK) if failed else None
        recording.trace(
            release, operation, start + number / 10, lasting,
            status=500 if failed else 200, error=error, instance="ab"[number % 2],
        )  # fmt: skip


def detection(dataset: Dataset) -> DetectionData:
    return DetectionData(dataset=dataset, comparisons=compare(dataset))


def operations(findings: Findings) -> list[str]:
    return [anomaly.operation for anomaly in findings.anomalies]


def test_the_slower_operation_is_found_and_only_that(tmp_path: Path) -> None:
    recording = Recording()
    record(recording, "1.0", 0)
    record(recording, "1.1", 100, {"GET /orders": 1.5})
    dataset = recording.dataset(tmp_path)
    findings = detect_performance(detection(dataset), CONFIG)
    (anomaly,) = findings.anomalies
    assert (anomaly.operation, anomaly.detector.name) == ("GET /orders", "latency_by_release")
    assert anomaly.evidence["ratio"] == pytest.approx(1.5, rel=0.15)
    low, high = anomaly.evidence["interval"]
    assert low < 1.5 < high
    assert detect_performance(detection(dataset), CONFIG) == findings

    assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
    assert judge(anomaly, dataset, baseline="1.1", candidate="1.0").state == "quiet"
    assert judge(anomaly, dataset, baseline="1.0", candidate="2.0").state == "no_data"


def test_equal_releases_raise_nothing(tmp_path: Path) -> None:
    alarms = 0
    for seed in range(4):
        recording = Recording()
        record(recording, "1.0", 0, seed=seed)
        record(recording, "1.1", 100, seed=seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        alarms += len(detect_performance(detection(recording.dataset(folder)), CONFIG).anomalies)
    assert alarms <= 1


def test_a_slower_host_accuses_no_operation(tmp_path: Path) -> None:
    recording = Recording()
    record(recording, "1.0", 0)
    record(recording, "1.1", 100, {"GET /orders": 2}, common=1.4)
    findings = detect_performance(detection(recording.dataset(tmp_path)), CONFIG)
    assert operations(findings) == ["GET /orders"]
    assert any("the host may be the reason" in question.reason for question in findings.undecided)


def test_side_by_side_a_common_slowness_is_the_release(tmp_path: Path) -> None:
    recording = Recording()
    record(recording, "1.0", 0)
    record(recording, "1.1", 1, common=1.6)
    dataset = recording.dataset(tmp_path)
    findings = detect_performance(detection(dataset), CONFIG)
    assert set(operations(findings)) == set(OPERATIONS)
    assert (
        judge(findings.anomalies[0], dataset, baseline="1.0", candidate="1.1").state == "anomalous"
    )


def test_a_step_within_a_release_is_found_in_time(tmp_path: Path) -> None:
    recording = Recording()
    record(recording, "1.0", 0, requests=600)
    record(recording, "1.0", 60, {"GET /cart": 2}, requests=600)
    findings = detect_performance(detection(recording.dataset(tmp_path)), CONFIG)
    (anomaly,) = findings.anomalies
    assert (anomaly.operation, anomaly.detector.name) == ("GET /cart", "latency_over_time")
    assert anomaly.first_seen is not None
    assert "2024-05-01T12:00:5" <= anomaly.first_seen <= "2024-05-01T12:01:05"


def test_too_little_data_is_undecided_not_healthy(tmp_path: Path) -> None:
    recording = Recording()
    for number in range(4):
        recording.trace("1.0", "GET /cart", number, 5)
        recording.trace("1.1", "GET /cart", 10 + number, 50)
    dataset = recording.dataset(tmp_path)
    findings = detect_performance(detection(dataset), CONFIG)
    assert findings.anomalies == []
    (question,) = findings.undecided
    assert question.needed == "8 buckets of each release"


def test_new_and_risen_errors_are_found_and_old_ones_are_not(tmp_path: Path) -> None:
    recording = Recording()
    record(recording, "1.0", 0, failing={"GET /cart": 0.2, "GET /terms": 0.03})
    record(recording, "1.1", 100, failing={"GET /cart": 0.2, "GET /terms": 0.3, "GET /home": 0.05})
    dataset = recording.dataset(tmp_path)
    findings = detect_errors(detection(dataset), CONFIG)
    assert {anomaly.operation: anomaly.evidence["new"] for anomaly in findings.anomalies} == {
        "GET /home": True,
        "GET /terms": False,
    }
    new = next(anomaly for anomaly in findings.anomalies if anomaly.evidence["new"])
    assert new.evidence["frames"] == [{"file": "cart.py", "line": 3, "function": "total"}]
    assert judge(new, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
    assert judge(new, dataset, baseline="1.1", candidate="1.0").state == "quiet"
    few = Recording()
    few.trace("1.2", "GET /home", 0, 5)
    folder = tmp_path / "few"
    folder.mkdir()
    small = few.dataset(folder)
    assert judge(new, small, baseline="1.0", candidate="1.2").state == "inconclusive"
    certain = {"expected_rate": 1.0}
    assert judge(new, small, baseline="1.0", candidate="1.2", parameters=certain).state == "quiet"


def test_without_a_baseline_failures_are_still_reported(tmp_path: Path) -> None:
    recording = Recording()
    record(recording, "1.0", 0, failing={"GET /cart": 0.2})
    assert operations(detect_errors(detection(recording.dataset(tmp_path)), CONFIG)) == [
        "GET /cart"
    ]


def test_one_release_alone_is_no_data_not_no_anomaly(tmp_path: Path) -> None:
    recording = Recording()
    record(recording, "1.0", 0)
    data = detection(recording.dataset(tmp_path))
    for detect, name in (
        (detect_performance, "latency_by_release"),
        (detect_behaviour, "order_contract"),
    ):
        (question,) = detect(data, CONFIG).undecided
        assert question.detector == name
        assert question.operation == data.comparisons[0].service
        assert question.reason == "no data: the telemetry has no release to compare 1.0 with"
        assert question.needed == "an earlier release, or detect.baseline_release"


STEPS = (("check", 0.1, 0.5), ("reserve", 0.6, 1.0), ("charge", 1.1, 1.5), ("mail", 1.2, 1.9))


def behave(tmp_path: Path, change: str) -> list[Anomaly]:
    """Orders in two releases; optional gift wrapping and concurrent mail are legal."""
    recording = Recording()
    for release, start in (("1.0", 0), ("1.1", 200)):
        for number in range(120):
            steps = list(STEPS)
            if number % 3 == 0:
                steps.append(("wrap", 2.0, 2.2))
            if number % 2:
                steps[3] = ("mail", 1.0, 1.4)
            if release == "1.1" and number % 4 == 0:
                if change == "missing":
                    del steps[0]
                elif change == "duplicated":
                    steps.append(("charge", 2.3, 2.5))
                elif change == "swapped":
                    steps[0], steps[1] = ("check", 0.6, 1.0), ("reserve", 0.1, 0.5)
                elif change == "extra":
                    steps.append(("refund", 2.3, 2.5))
            recording.trace(release, "POST /orders", start + number, 3, steps=tuple(steps))
            recording.trace(release, "POST /returns", start + number, 3, steps=(("refund", 1, 2),))
    findings = detect_behaviour(detection(recording.dataset(tmp_path)), CONFIG)
    assert findings.undecided == []
    for anomaly in findings.anomalies:
        dataset = recording.dataset(tmp_path)
        assert judge(anomaly, dataset, baseline="1.0", candidate="1.1").state == "anomalous"
        assert judge(anomaly, dataset, baseline="1.1", candidate="1.0").state == "quiet"
    return findings.anomalies


def test_legal_variety_and_concurrency_raise_nothing(tmp_path: Path) -> None:
    assert behave(tmp_path, "nothing") == []


@pytest.mark.parametrize(
    ("change", "step", "other"),
    [
        ("missing", "check", None),
        ("duplicated", "charge", None),
        ("extra", "refund", None),
        ("swapped", "check", "reserve"),
    ],
)
def test_a_broken_order_is_named(tmp_path: Path, change: str, step: str, other: str | None) -> None:
    (anomaly,) = behave(tmp_path, change)
    evidence = anomaly.evidence
    assert (evidence["violation"], evidence["step"], evidence["other"]) == (change, step, other)
    assert (evidence["broken"], evidence["traces"], evidence["support"] >= 100) == (30, 120, True)
    assert len(evidence["trace_ids"]) == 5


def test_a_changed_program_is_a_question_not_an_accusation(tmp_path: Path) -> None:
    recording = Recording()
    for release, start, steps in (("1.0", 0, STEPS), ("1.1", 200, STEPS[1:])):
        for number in range(60):
            recording.trace(release, "POST /orders", start + number, 3, steps=steps)
    findings = detect_behaviour(detection(recording.dataset(tmp_path)), CONFIG)
    assert findings.anomalies == []
    assert [question.operation for question in findings.undecided] == ["POST /orders"]


def test_code_that_runs_without_a_test_is_found(tmp_path: Path) -> None:
    sample = Path(__file__).parents[1] / "resources" / "telemetry" / "coverage-1.0.json"
    recording = Recording()
    for function in ("shopping.never_called", "shopping.total"):
        values = {
            "code.function.name": function,
            "code.file.path": "/srv/shop/shopping.py",
            "code.line.number": 20,
        }
        for number in range(3):
            recording.trace(
                "1.0", "GET /", number, 5, steps=((function, 1, 2),), step_values=values
            )
    dataset = recording.dataset(tmp_path, sample)
    (anomaly,) = detect_untested(detection(dataset)).anomalies
    assert (anomaly.evidence["file"], anomaly.evidence["function"]) == (
        "shopping.py",
        "shopping.never_called",
    )
    assert (anomaly.evidence["executed_count"], anomaly.evidence["total_lines"]) == (3, 1)
    assert judge(anomaly, dataset, baseline="", candidate="1.0").state == "anomalous"


def test_no_coverage_data_is_no_data(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "GET /", 0, 5)
    findings = detect_untested(detection(recording.dataset(tmp_path)))
    assert findings.anomalies == []
    assert findings.undecided[0].reason.startswith("no data")


def test_health_is_its_written_formula_and_nothing_is_no_data(tmp_path: Path) -> None:
    recording = Recording()
    for number in range(1000):
        recording.trace("1.0", "GET /", number, 40, status=500 if number < 5 else 200)
    measured = health(recording.dataset(tmp_path))
    assert measured.score == pytest.approx(0.3 * 80 + 0.4 * 50 + 0.3 * 100)
    assert [component.score for component in measured.components] == [80, 50, 100]
    log = tmp_path / "log" / "app.log"
    log.parent.mkdir()
    log.write_text('{"level": "info", "msg": "hello"}\n')
    silent = Recording().dataset(log.parent, log)
    assert health(silent).state == "no_data"
    assert health(silent).score is None


def test_a_repeated_step_of_a_slower_operation_joins_its_anomaly(tmp_path: Path) -> None:
    recording = Recording()
    for release, start, times in (("1.0", 0, 1), ("1.1", 200, 8)):
        for number in range(120):
            steps = tuple(("price", 1 + n, 1.9 + n) for n in range(times))
            lasting = (3 + 2 * times) * (1 + number % 7 / 50)
            recording.trace(release, "GET /cart", start + number, lasting, steps=steps)
    data = detection(recording.dataset(tmp_path))
    found = [*detect_performance(data, CONFIG).anomalies, *detect_behaviour(data, CONFIG).anomalies]
    (anomaly,) = aggregate([*found, *found], data, CONFIG).anomalies
    assert anomaly.kind == "performance"
    assert anomaly.evidence["repeated_steps"] == ["price"]


def test_guards_fail_a_worse_candidate_and_pass_an_equal_one(tmp_path: Path) -> None:
    recording = Recording()
    record(recording, "old", 0)
    record(recording, "equal", 1, seed=1)
    record(recording, "slow", 1, common=2.0, seed=2)
    record(recording, "failing", 1, failing={"GET /cart": 0.3}, seed=3)
    dataset = recording.dataset(tmp_path)

    def states(candidate: str, **gate: float) -> dict[str, str]:
        found = guards(dataset, baseline="old", candidate=candidate, gate=GateConfig(**gate))
        return {name: judgement.state for name, judgement in found.items()}

    assert states("equal") == {"error_rate": "quiet", "latency": "quiet"}
    assert states("slow") == {"error_rate": "quiet", "latency": "anomalous"}
    assert states("failing") == {"error_rate": "anomalous", "latency": "quiet"}
    assert states("absent") == {"error_rate": "no_data", "latency": "no_data"}
    assert states("equal", minimum_requests=5000)["error_rate"] == "inconclusive"


def test_an_unknown_release_is_the_users_mistake(tmp_path: Path) -> None:
    recording = Recording()
    recording.trace("1.0", "GET /", 0, 5)
    dataset = recording.dataset(tmp_path)
    with pytest.raises(ConfigurationError, match=r"It has 1\.0\."):
        compare(dataset, candidate="7")
