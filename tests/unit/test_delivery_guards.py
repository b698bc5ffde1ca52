"""Guards on telemetry: which requests are compared, and what the answers rest on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from selfheal.artifacts import Dataset
from selfheal.artifacts.dataset import write_tables
from selfheal.config import GateConfig
from selfheal.delivery.guards import Levels, Scope, block_ns_of, forecast, guards

SECOND = 1_000_000_000
BEGAN = 1_000 * SECOND
GATE = GateConfig(step_seconds=40, minimum_requests=20)
LEVELS = Levels(fail=0.005, well=0.3)
SCOPE = Scope(old="1.0", new="1.1", began_ns=BEGAN, block_ns=block_ns_of(GATE))

Chance = Callable[[str, np.random.Generator], float]


def world(
    folder: Path,
    *,
    failing: Chance = lambda _release, _draw: 0.0,
    slower: float = 1.0,
    share: float = 0.3,
    offset: int = 0,
    instance: str = "1.0-1",
) -> Dataset:
    """40 s of 60 requests a second; `offset` moves the old release's in time (seconds)."""
    draw = np.random.default_rng(1)
    spans, errors = [], []
    for number, start in enumerate(np.sort(draw.integers(0, 40 * SECOND, 2400))):
        release = "1.1" if draw.random() < share else "1.0"
        operation = "GET /a" if number % 3 else "GET /b"
        usual = 5.0 if operation == "GET /a" else 80.0
        failed = bool(draw.random() < failing(release, draw))
        began = BEGAN + int(start) + (offset * SECOND if release == "1.0" else 0)
        spans.append(
            {
                "service": "shop",
                "operation": operation,
                "kind": "server",
                "parent_span_id": None,
                "trace_id": f"{number:032x}",
                "span_id": f"{number:016x}",
                "release": release,
                "instance": instance if release == "1.0" else "1.1-1",
                "start_ns": began,
                "duration_ms": usual
                * float(np.exp(draw.normal(0, 0.3)))
                * (slower if release == "1.1" else 1),
                "status": "error" if failed else "ok",
                "http_status": 500 if failed else 200,
            }
        )
        if failed:
            errors.append(
                {
                    "fingerprint": "f-known",
                    "exception_type": "KeyError",
                    "time_ns": began,
                    "release": release,
                    "trace_id": f"{number:032x}",
                }
            )
    texts = ("fingerprint", "exception_type", "release", "trace_id")
    schema = pa.schema([("time_ns", pa.int64()), *((name, pa.string()) for name in texts)])
    tables = {"spans": pa.Table.from_pylist(spans), "errors": pa.Table.from_pylist(errors, schema)}
    return write_tables(tables, folder, "dataset")


def states(dataset: Dataset, scope: Scope = SCOPE) -> dict[str, str]:
    return {name: answer.state for name, answer in guards(dataset, scope, GATE, LEVELS).items()}


WELL = {"error_rate": "pass", "latency": "pass", "new_errors": "pass"}


def test_a_release_like_the_old_one_is_well(tmp_path: Path) -> None:
    assert states(world(tmp_path)) == WELL


def test_more_failures_and_slower_requests_are_told_apart(tmp_path: Path) -> None:
    sick = world(tmp_path / "a", failing=lambda release, _: 0.3 if release == "1.1" else 0.02)
    assert states(sick) == {**WELL, "error_rate": "fail", "new_errors": "fail"}
    assert states(world(tmp_path / "b", slower=1.8)) == {**WELL, "latency": "fail"}


def test_the_old_release_of_another_time_is_no_baseline_unless_it_has_no_traffic(
    tmp_path: Path,
) -> None:
    """At 100 % the old release's requests before the step are compared, counted backwards."""
    before = world(tmp_path, offset=-40)
    assert set(states(before).values()) == {"no_data"}
    assert states(before, SCOPE._replace(concurrent=False)) == WELL


def test_only_instances_of_equal_age_are_compared_where_there_are_some(tmp_path: Path) -> None:
    dataset = world(tmp_path, instance="1.0-3")
    assert states(dataset, SCOPE._replace(peers=("1.0-3",))) == WELL
    silent = guards(dataset, SCOPE._replace(peers=("1.0-9",)), GATE, LEVELS)
    assert silent["error_rate"].state == "no_data"


def test_the_block_that_is_still_being_filled_is_left_out(tmp_path: Path) -> None:
    evidence = guards(world(tmp_path), SCOPE, GATE, LEVELS)["latency"].evidence
    assert evidence["blocks"] == 39


def test_a_step_foresees_what_it_can_see_from_the_old_release_alone(tmp_path: Path) -> None:
    dataset = world(tmp_path, share=0.0)
    seen = forecast(dataset, "1.0", 30, GATE, LEVELS)
    assert 600 < seen["requests"] < 850
    assert 0.0 < seen["visible_failure_rate"] < 0.1
    assert 1.14 < seen["visible_latency_ratio"] < 1.6
    less = forecast(dataset, "1.0", 5, GATE, LEVELS)
    assert less["visible_failure_rate"] > seen["visible_failure_rate"]
    assert forecast(dataset, "0.9", 30, GATE, LEVELS)["requests"] is None
