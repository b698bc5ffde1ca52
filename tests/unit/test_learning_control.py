"""The control tells the load from the change."""

from __future__ import annotations

from pathlib import Path

import pytest
from selfheal_handlers.learning._examples import anomalies

from selfheal.artifacts import Dataset
from selfheal.artifacts.dataset import write_tables
from selfheal.learning.control import control_ratio


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
