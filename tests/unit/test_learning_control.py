"""The control tells the load from the change."""

from __future__ import annotations

from pathlib import Path

import pytest
from selfheal_handlers.learning._examples import anomalies

from selfheal.artifacts import Dataset
from selfheal.artifacts.dataset import write_tables
from selfheal.learning.control import control_ratio
from selfheal.learning.observation import Comparison


def recorded(folder: Path, factors: dict[str, float], requests: int = 30) -> Dataset:
    """Operations that take 1–30 ms in release 1.0 and `factors` times that in 1.1."""
    import pyarrow as pa

    rows = [
        {
            "service": "pricing",
            "release": release,
            "operation": operation,
            "kind": "server",
            "parent_span_id": None,
            "status": "ok",
            "http_status": 200,
            "duration_ms": float(number + 1) * (factor if release == "1.1" else 1),
            "start_ns": number,
            "span_id": f"{operation} {release} {number}",
            "trace_id": f"{operation} {release} {number}",
        }
        for operation, factor in factors.items()
        for release in ("1.0", "1.1")
        for number in range(requests)
    ]
    return write_tables({"spans": pa.Table.from_pylist(rows)}, folder, "dataset")


@pytest.mark.parametrize("measure", ["p50", "p95"])
def test_the_median_of_the_others_is_the_control(tmp_path: Path, measure: str) -> None:
    dataset = recorded(tmp_path, {"healed": 9.0, "a": 2.0, "b": 3.0, "c": 2.5})
    (anomaly,) = anomalies().anomalies
    found = control_ratio(dataset, anomaly, "1.0", "1.1", measure=measure, healed={"healed"})
    assert found == pytest.approx(2.5)


def test_few_controls_or_few_requests_are_no_control(tmp_path: Path) -> None:
    (anomaly,) = anomalies().anomalies
    few = recorded(tmp_path / "few", {"healed": 9.0, "a": 2.0, "b": 3.0})
    scarce = recorded(tmp_path / "scarce", {"a": 2.0, "b": 3.0, "c": 2.5}, requests=19)
    for dataset in (few, scarce):
        found = control_ratio(dataset, anomaly, "1.0", "1.1", measure="p95", healed={"healed"})
        assert found is None


def test_what_production_cannot_show_neither_proves_nor_spoils_a_success() -> None:
    from selfheal.learning.assessment import assess, assess_all, improvement_of
    from selfheal.learning.observation import Comparison

    common = {"service": "shop", "measure": None, "judgement": "no_data"}
    untested = Comparison(
        **common, anomaly_id="a", operation="rates", observable=False, reason="in the repository"
    )
    healed = Comparison(**(common | {"judgement": "quiet"}), anomaly_id="b", operation="GET /quote")
    both = assess_all([improvement_of(untested), improvement_of(healed)], minimum=0.1)
    assert both.verdict == "success"
    assert assess(improvement_of(untested), 0.1).verdict == "undecided"
    assert assess_all([improvement_of(untested)], minimum=0.1).verdict == "undecided"


def test_a_quiet_night_is_no_improvement(tmp_path: Path) -> None:
    """Everything got faster by half: the operation did too, and the change did nothing."""
    from selfheal.learning.assessment import assess, improvement_of

    quiet = compared(tmp_path / "quiet", {"POST /total": 0.5, "a": 0.5, "b": 0.5, "c": 0.5})
    assert quiet.improvement == pytest.approx(0.5)
    assert quiet.shared == pytest.approx(0.5)
    assert quiet.effect == pytest.approx(0.0, abs=1e-9)
    judged = assess(improvement_of(quiet), 0.1)
    assert judged.verdict == "undecided"
    assert "beyond what the other operations are" in judged.reason

    healed = compared(tmp_path / "healed", {"POST /total": 0.1, "a": 0.5, "b": 0.5, "c": 0.5})
    assert healed.effect == pytest.approx(0.8)
    busy = compared(tmp_path / "busy", {"POST /total": 1.0, "a": 2.0, "b": 2.0, "c": 2.0})
    assert busy.improvement == pytest.approx(0.0)
    assert busy.effect == pytest.approx(0.5)


def test_without_a_control_the_improvement_stands_as_measured_and_says_so(tmp_path: Path) -> None:
    from selfheal.learning.assessment import improvement_of

    alone = compared(tmp_path, {"POST /total": 0.5})
    assert alone.effect is None
    assert improvement_of(alone).improvement == pytest.approx(0.5)
    assert not improvement_of(alone).controlled


@pytest.mark.parametrize(("after", "expected"), [(40, 1.0), (10, 0.25), (0, 0.0)])
def test_errors_have_a_control_too(tmp_path: Path, after: int, expected: float) -> None:
    from selfheal.learning.control import control_error_ratio

    (anomaly,) = anomalies().anomalies
    dataset = failing(tmp_path, 40, after)
    found = control_error_ratio(dataset, anomaly, "1.0", "1.1", healed={"POST /total"})
    assert found == pytest.approx(expected)


def test_few_failures_are_no_control(tmp_path: Path) -> None:
    from selfheal.learning.control import control_error_ratio

    (anomaly,) = anomalies().anomalies
    dataset = failing(tmp_path, 19, 0)
    assert control_error_ratio(dataset, anomaly, "1.0", "1.1", healed={"POST /total"}) is None


def compared(folder: Path, factors: dict[str, float]) -> Comparison:
    """The slow operation of release 1.0 beside 1.1, where every operation changed so."""
    from selfheal.learning.observation import measures_of

    (anomaly,) = anomalies().anomalies
    slow = anomaly.model_copy(update={"kind": "performance", "operation": "POST /total"})
    releases = {"good": None, "before": "1.0", "after": "1.1"}
    measured = measures_of(slow, recorded(folder, factors), releases, {"POST /total"})
    return Comparison(
        anomaly_id=slow.id,
        service=slow.service,
        operation=slow.operation,
        measure="p95_ms",
        judgement="quiet",
        **measured,
    )


def failing(folder: Path, before: int, after: int) -> Dataset:
    """100 requests to another operation in each release, some of which fail."""
    import pyarrow as pa

    rows = [
        {
            "service": "pricing",
            "release": release,
            "operation": operation,
            "kind": "server",
            "parent_span_id": None,
            "status": "error" if number < failed else "ok",
            "http_status": 500 if number < failed else 200,
            "duration_ms": 1.0,
        }
        for release, failed in (("1.0", before), ("1.1", after))
        for operation in ("POST /total", "other")
        for number in range(100)
    ]
    return write_tables({"spans": pa.Table.from_pylist(rows)}, folder, "dataset")
