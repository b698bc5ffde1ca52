"""The release judge: false alarms on pairs of equal releases, power on slower ones.

Requests of a minute share a level (a cluster), neighbouring minutes resemble each
other. Every pair is an operation of one service that ran in two releases, and is judged
by itself through the same SQL as in production.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from benchmarks.detection.datasets import MINUTE, START, write
from benchmarks.detection.report import Goal, percent, table
from selfheal.analysis.latency import compare_latency
from selfheal.analysis.model import Comparison
from selfheal.analysis.releases import two_sides
from selfheal.config import DetectConfig

MINUTES = 30
REQUESTS = 20
SLOWER = (0.1, 0.2, 0.3)


class Clusters(NamedTuple):
    """Spread of the minutes' levels (σ of the logarithm) and how much of it lingers (φ)."""

    spread: float
    lingering: float


CASES = {
    "independent": Clusters(0.0, 0.0),
    "clustered": Clusters(0.1, 0.0),
    "clustered, wide": Clusters(0.2, 0.0),
    "lingering": Clusters(0.1, 0.5),
}
# Only the share of all pairs counts for the goals.
Judges = dict[str, Callable[[NDArray[np.float64], NDArray[np.float64]], bool]]
BASELINES: Judges = {
    "P95 over 1.1 times": lambda before, after: bool(
        np.quantile(after, 0.95) > 1.1 * np.quantile(before, 0.95)
    ),
    "Mann-Whitney on requests": lambda before, after: bool(
        mannwhitneyu(after.ravel(), before.ravel(), alternative="greater").pvalue <= 0.05
    ),
}


def durations(
    case: Clusters, count: int, slower: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """In ms: pairs × 2 releases × minutes × requests; the second release is slower."""
    levels = generator.normal(0, 1, (count, 2 * MINUTES + 20))
    for minute in range(1, levels.shape[1]):
        levels[:, minute] = (
            case.lingering * levels[:, minute - 1]
            + np.sqrt(1 - case.lingering**2) * levels[:, minute]
        )
    levels = np.exp(case.spread * levels[:, 20:]).reshape(count, 2, MINUTES)
    levels[:, 1] *= 1 + slower
    return 20 * levels[..., None] * generator.lognormal(0, 0.4, (count, 2, MINUTES, REQUESTS))


def judged(requests: NDArray[np.float64]) -> list[bool]:
    """What the judge says of every pair."""
    count = len(requests)
    pair, release, minute, place = np.indices(requests.shape)
    start = START + ((release * MINUTES + minute) * MINUTE + place * (MINUTE // REQUESTS)).ravel()
    lasting = requests.ravel()
    number = np.arange(lasting.size)
    with tempfile.TemporaryDirectory(prefix="selfheal-benchmark-") as folder:
        dataset = write(
            Path(folder),
            {
                "trace_id": [f"{one:032x}" for one in number],
                "span_id": [f"{one:016x}" for one in number],
                "service": "shop",
                "release": np.where(release.ravel() == 0, "1.0", "1.1").tolist(),
                "operation": [f"{one:05}" for one in pair.ravel()],
                "kind": "server",
                "status": "ok",
                "start_ns": start,
                "end_ns": start + (lasting * 1e6).astype(np.int64),
                "duration_ms": lasting,
            },
        )
        sides = two_sides(dataset, "shop", "1.0", "1.1")
        assert isinstance(sides, Comparison)
        config = DetectConfig()
        latency = compare_latency(dataset, sides, config, keep_common_factor=True)
    assert len(latency.tests) == count
    return [test.p_value <= config.significance for test in latency.tests]


def run(count: int) -> list[Goal]:
    """`count` pairs of every case and size."""
    print(
        f"\nRelease judge: {count} pairs of each case and size, "
        f"{MINUTES} minutes of {REQUESTS} requests a side"
    )
    shares: dict[str, dict[str, list[float]]] = {name: {} for name in ("selfheal", *BASELINES)}
    for case_number, (case_name, case) in enumerate(CASES.items()):
        for slower in (0.0, *SLOWER):
            generator = np.random.default_rng([case_number, round(100 * slower)])
            requests = durations(case, count, slower, generator)
            found = {"selfheal": judged(requests)}
            found |= {
                name: [judge(*pair) for pair in requests] for name, judge in BASELINES.items()
            }
            for name, verdicts in found.items():
                shares[name].setdefault(case_name, []).append(sum(verdicts) / count)
    heads = ["false alarms", *(f"power at +{percent(slower)}" for slower in SLOWER)]
    for name, cases in shares.items():
        rows = [[case, *(percent(share) for share in row)] for case, row in cases.items()]
        table([name, *heads], rows)
    own = np.asarray(list(shares["selfheal"].values()))
    return [
        Goal("release judge: false alarms, %", 100 * float(own[:, 0].mean()), "≤", 5),
        Goal("release judge: power at +30 %, %", 100 * float(own[:, -1].mean()), "≥", 95),
        Goal(
            "release judge: false alarms in the worst case, %", 100 * float(own[:, 0].max()), "≤", 5
        ),
    ]
