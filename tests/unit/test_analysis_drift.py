"""What slows all steps alike while a release runs is the host, and no step is accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from recording import Recording

from selfheal.analysis.drift import drifts
from selfheal.analysis.releases import compare
from selfheal.config import DetectConfig

STEPS = tuple(f"shop.step{number}" for number in range(6))


def significant_drifts(tmp_path: Path, own: dict[str, float]) -> set[str]:
    """Steps of a release whose last half runs on a busy host; `own` slows some steps more."""
    recording = Recording()
    generator = np.random.default_rng(7)
    for number in range(900):
        busy = number >= 450
        steps = []
        for place, name in enumerate(STEPS):
            lasting = 0.5 * generator.lognormal(0, 0.1) * (1.2 if busy else 1)
            lasting *= own.get(name, 1) if busy else 1
            steps.append((name, 4.0 * place, 4.0 * place + lasting))
        recording.trace(
            "1.0", "GET /", number / 10, 40 * generator.lognormal(0, 0.1), steps=tuple(steps)
        )
    dataset = recording.dataset(tmp_path)
    (comparison,) = compare(dataset)
    found = drifts(dataset, "shop", comparison.candidate, DetectConfig())
    return {drift.operation for drift in found if drift.p_value <= 0.003 and drift.ratio >= 1.1}


def test_a_busy_host_accuses_no_step(tmp_path: Path) -> None:
    assert significant_drifts(tmp_path, {}) == set()


def test_the_step_that_slows_beyond_the_others_is_found(tmp_path: Path) -> None:
    assert significant_drifts(tmp_path, {"shop.step2": 1.5}) == {"shop.step2"}
