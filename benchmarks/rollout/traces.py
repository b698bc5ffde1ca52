"""Simulated rollouts: requests of both releases, block by block and step by step.

Every random number comes from a generator that is seeded with the case, the effect, the
rollout and the step, so that all judges see the same traces.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = (10, 25, 50, 100)
BLOCKS = 40
STEP_SECONDS = 300.0
RATE = 40.0


@dataclass(frozen=True)
class Case:
    """How the service is when nothing is wrong.

    `failing` is the share of failed requests. `tail` is that of requests with a Pareto
    tail of shape 1.2, `sigma` the spread of the others' logarithm. `outages` is the share
    of blocks in which 20 % fail on both sides, `retries` the mean number of failures that
    come together, `drift` the factor by which latency and failures grow over the rollout.
    """

    name: str
    failing: float = 0.05
    sigma: float = 0.5
    tail: float = 0.0
    outages: float = 0.0
    retries: float = 1.0
    drift: float = 1.0


@dataclass(frozen=True)
class Effect:
    """What the new release does: factors on its failures, on all latencies, on the slowest.

    `bursts` is the share of blocks in which 30 % of its requests fail beside the usual.
    """

    name: str
    errors: float = 1.0
    latency: float = 1.0
    slowest: float = 1.0
    bursts: float = 0.0


CASES = (
    Case("steady"),
    Case("sparse errors", failing=0.001),
    Case("heavy tails", tail=0.1),
    Case("outages of both", outages=0.05),
    Case("failures in threes", retries=3.0),
    Case("drift ×1.5", drift=1.5),
)
SAME = Effect("A/A")
EFFECTS = (
    SAME,
    Effect("errors ×2", errors=2.0),
    Effect("bursts of errors", bursts=0.1),
    Effect("latency ×1.3", latency=1.3),
    Effect("slowest tenth ×1.6", slowest=1.6),
)


class Step(NamedTuple):
    """One step per block: requests and failures of both sides, matched latencies (ms).

    `baseline_ms` and `candidate_ms` are lists of arrays of equal length per block.
    """

    baseline: Floats
    baseline_failed: Floats
    candidate: Floats
    candidate_failed: Floats
    baseline_ms: list[Floats]
    candidate_ms: list[Floats]


@dataclass
class Trace:
    """One rollout; its steps are drawn when they are reached."""

    case: Case
    effect: Effect
    number: int
    _steps: dict[int, Step] = field(default_factory=dict)

    def step(self, index: int) -> Step:
        if index not in self._steps:
            self._steps[index] = self._draw(index)
        return self._steps[index]

    def _draw(self, index: int) -> Step:
        seed = f"{self.case.name}/{self.effect.name}/{self.number}/{index}"
        draw = np.random.default_rng(int(hashlib.sha256(seed.encode()).hexdigest()[:16], 16))
        share = STEPS[index] / 100
        block_seconds = STEP_SECONDS / BLOCKS
        # With all traffic on the new release, the old one's is that of the step before.
        of_old = 1 - share if share < 1 else 1 - STEPS[index - 1] / 100
        baseline = draw.poisson(RATE * block_seconds * of_old, BLOCKS).astype(float)
        candidate = draw.poisson(RATE * block_seconds * share, BLOCKS).astype(float)
        now = self._growth(index)
        before = now if share < 1 else self._growth(index - 1)[::-1]
        outage = np.where(draw.random(BLOCKS) < self.case.outages, 0.2, 0.0)
        usual = self.case.failing
        failed = self._failures(draw, baseline, np.minimum(1, usual * before + outage))
        worse = usual * self.effect.errors
        rate = np.minimum(1, worse * now + outage)
        if self.effect.bursts:
            rate = np.where(
                draw.random(BLOCKS) < self.effect.bursts, np.minimum(1, rate + 0.3), rate
            )
        hits = self._failures(draw, candidate, rate)
        load = np.exp(draw.normal(0, 0.05, BLOCKS))
        matched = np.minimum(baseline - failed, candidate - hits).astype(int)
        old = [
            self._latencies(draw, n, SAME) * f for n, f in zip(matched, load * before, strict=True)
        ]
        new = [
            self._latencies(draw, n, self.effect) * f
            for n, f in zip(matched, load * now, strict=True)
        ]
        return Step(baseline, failed, candidate, hits, old, new)

    def _growth(self, index: int) -> Floats:
        place = (index + (np.arange(BLOCKS) + 0.5) / BLOCKS) / len(STEPS)
        return np.asarray(self.case.drift**place, float)

    def _failures(self, draw: np.random.Generator, requests: Floats, rate: Floats) -> Floats:
        together = self.case.retries
        if together == 1:
            return draw.binomial(requests.astype(int), rate).astype(float)
        groups = draw.poisson(requests * rate / together)
        sizes = [float(draw.geometric(1 / together, n).sum()) for n in groups]
        return np.asarray(np.minimum(requests, np.array(sizes)), float)

    def _latencies(self, draw: np.random.Generator, count: int, effect: Effect) -> Floats:
        values = 20 * np.exp(draw.normal(0, self.case.sigma, count))
        if self.case.tail:
            heavy = draw.random(count) < self.case.tail
            values = np.where(heavy, values * (1 + draw.pareto(1.2, count)), values)
        slowest = values > 20 * np.exp(1.28 * self.case.sigma)
        return np.asarray(values * effect.latency * np.where(slowest, effect.slowest, 1.0), float)
