"""The detect phase, beat by beat, and as the runner runs it: independent beats side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from selfheal_handlers.anomaly import HANDLERS

from benchmarks.queries.tables import row
from selfheal.analysis.aggregate import aggregate
from selfheal.analysis.model import DetectionData
from selfheal.analysis.releases import compare
from selfheal.artifacts import Telemetry
from selfheal.artifacts.dataset import describe
from selfheal.artifacts.envelope import read_artifact
from selfheal.config import DetectConfig

BESIDE = (
    "detect_performance_anomalies",
    "detect_behavioral_anomalies",
    "detect_coverage_gaps",
    "detect_error_patterns",
)


def run(folder: Path, repetitions: int) -> None:
    """Print the seconds of each beat, and of the whole with two workers.

    CPU seconds of all threads do not depend on what else the machine does.
    """
    del repetitions
    telemetry = read_artifact(folder / "telemetry.json", "telemetry")
    assert isinstance(telemetry, Telemetry)
    row("beat", "s", "CPU s")
    begun, before = time.perf_counter(), time.process_time()
    data = _timed("load_telemetry_data", _load, folder)
    prepared = time.perf_counter() - begun
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(_warm, range(2)))
        begun = time.perf_counter()
        parts = list(pool.map(_beat, BESIDE, [data.model_dump()] * 4, [folder] * 4))
        beside = time.perf_counter() - begun
    for name, seconds, busy, _ in parts:
        row(name, f"{seconds:.2f}", f"{busy:.2f}")
    found = [one for *_, findings in parts for one in findings]
    begun = time.perf_counter()
    _timed("aggregate_anomaly_results", aggregate, found, data, DetectConfig())
    whole = prepared + beside + time.perf_counter() - begun
    cpu = time.process_time() - before + sum(busy for _, _, busy, _ in parts)
    row("whole phase, two workers", f"{whole:.2f}", f"{cpu:.2f}")


def _load(folder: Path) -> DetectionData:
    dataset = describe(folder, "dataset")
    return DetectionData(dataset=dataset, comparisons=compare(dataset))


def _warm(_: int) -> None:
    import duckdb
    import numpy
    import scipy.stats

    del duckdb, numpy, scipy.stats


def _beat(name: str, data: dict[str, Any], folder: Path) -> tuple[str, float, float, list[Any]]:
    loaded = DetectionData.model_validate(data, context={"base": folder})
    handler = next(one for one in HANDLERS if one.name == name)
    begun, before = time.perf_counter(), time.process_time()
    found = handler(load_telemetry_data=loaded, config=DetectConfig())
    return name, time.perf_counter() - begun, time.process_time() - before, found


def _timed(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    begun, before = time.perf_counter(), time.process_time()
    result = function(*arguments)
    row(name, f"{time.perf_counter() - begun:.2f}", f"{time.process_time() - before:.2f}")
    return result
