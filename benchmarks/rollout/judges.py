"""Three judges of the same traces, each looking ten times a step.

`sequential` is selfheal's. The others stand for what is in use: `threshold` compares
ratios with fixed limits, as queries of a progressive-delivery controller do;
`mann-whitney` tests block values at 5 %, as automated canary analysis does. Both promote
when the step is over without objection.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from benchmarks.rollout.traces import BLOCKS, STEP_SECONDS, STEPS, Floats, Step, Trace
from selfheal.artifacts.deployment import GateState
from selfheal.config import GateConfig
from selfheal.delivery.gate import levels_of
from selfheal.delivery.guards import Latencies, Levels, judge_errors, judge_latency
from selfheal.delivery.sequential import Counts

GATE = GateConfig(step_seconds=STEP_SECONDS)
MINIMUM_BLOCKS = 8
# Ten looks a step, more than a gate takes.
LOOK_EVERY = 4


class Ending(NamedTuple):
    """How a rollout ended: its state, the step, and the requests that the new release served."""

    state: GateState
    percent: int
    exposed: float


class Look(NamedTuple):
    """What is known after some blocks of a step."""

    step: Step
    blocks: int
    medians: tuple[Floats, Floats]
    p95: tuple[Floats, Floats]
    percent: int

    @property
    def last(self) -> bool:
        return self.blocks == BLOCKS


Judge = Callable[[Look], GateState]


def roll_out(trace: Trace, judge: Judge) -> Ending:
    """Take a trace through its steps; undecided at the end of a step pauses it."""
    exposed = 0.0
    for index, percent in enumerate(STEPS):
        step = trace.step(index)
        sides = (step.baseline_ms, step.candidate_ms)
        medians = tuple(np.array([np.median(v) if len(v) else np.nan for v in s]) for s in sides)
        p95 = tuple(
            np.array([np.quantile(v, 0.95) if len(v) else np.nan for v in s]) for s in sides
        )
        for blocks in range(LOOK_EVERY, BLOCKS + 1, LOOK_EVERY):
            state = judge(Look(step, blocks, medians, p95, percent))  # type: ignore[arg-type]
            if state in ("pass", "fail"):
                break
        exposed += float(step.candidate[:blocks].sum())
        if state != "pass":
            return Ending(state, percent, exposed)
    return Ending("pass", 100, exposed)


def sequential(look: Look) -> GateState:
    """Error rate and latency by selfheal's guards, at the levels of a real gate."""
    step, blocks = look.step, look.blocks
    levels = levels_of(GATE, len(STEPS), look.percent)
    counts = Counts(*(each[:blocks] for each in step[:4]))
    answers = [judge_errors(counts, GATE, levels).state, _latency(look, counts, levels)]
    if "fail" in answers:
        return "fail"
    return "pass" if answers == ["pass", "pass"] else "undecided"


def _latency(look: Look, counts: Counts, levels: Levels) -> GateState:
    old = np.concatenate(look.step.baseline_ms[: look.blocks])
    new = np.concatenate(look.step.candidate_ms[: look.blocks])
    if not len(old):
        return "undecided"
    limit = np.quantile(np.concatenate([old, new]), 0.95)
    before, after = (side[: look.blocks] for side in look.medians)
    seen = ~np.isnan(before)
    tail = [
        float((late > limit).mean() - (early > limit).mean())
        for early, late in zip(
            look.step.baseline_ms[: look.blocks], look.step.candidate_ms[: look.blocks], strict=True
        )
        if len(late)
    ]
    latencies = Latencies(
        np.log(after[seen] / before[seen]),
        np.array(tail),
        float(np.median(new) / np.median(old)),
        float(np.quantile(new, 0.95) / np.quantile(old, 0.95)),
    )
    return judge_latency(latencies, counts, GATE, levels).state


def threshold(look: Look) -> GateState:
    """Sick where a ratio so far is beyond its limit, from 50 requests a side on."""
    total, failed, of_candidate, hits = (each[: look.blocks].sum() for each in look.step[:4])
    if min(total, of_candidate) < GATE.minimum_requests:
        return "undecided"
    rate = failed / total
    old = np.concatenate(look.step.baseline_ms[: look.blocks])
    new = np.concatenate(look.step.candidate_ms[: look.blocks])
    slower = len(old) and np.quantile(new, 0.95) > GATE.maximum_latency_ratio * np.quantile(
        old, 0.95
    )
    fails_more = rate > 0 and hits / of_candidate > GATE.maximum_error_ratio * rate
    if slower or fails_more:
        return "fail"
    return "pass" if look.last else "undecided"


def mann_whitney(look: Look) -> GateState:
    """Sick where the block values of the candidate are larger, at 5 % each."""
    if look.blocks < MINIMUM_BLOCKS:
        return "undecided"
    baseline, failed, candidate, hits = (each[: look.blocks] for each in look.step[:4])
    before = failed / np.maximum(baseline, 1)
    after = hits / np.maximum(candidate, 1)
    pairs = [(before, after), tuple(side[: look.blocks] for side in look.p95)]
    if any(_is_larger(first, second) <= 0.05 for first, second in pairs):
        return "fail"
    return "pass" if look.last else "undecided"


def _is_larger(first: Floats, second: Floats) -> float:
    """Mann-Whitney by the normal approximation, ties corrected."""
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    n, m = len(first), len(second)
    if min(n, m) < MINIMUM_BLOCKS:
        return 1.0
    ranks = rankdata(np.concatenate([first, second]))
    statistic = ranks[n:].sum() - m * (m + 1) / 2 - n * m / 2
    _, ties = np.unique(ranks, return_counts=True)
    total = n + m
    correction = (ties**3 - ties).sum() / (total * (total - 1))
    variance = n * m / 12 * (total + 1 - correction)
    if variance <= 0:
        return 1.0
    return 0.5 * math.erfc((statistic - 0.5) / math.sqrt(2 * variance))


JUDGES: dict[str, Judge] = {
    "sequential": sequential,
    "threshold": threshold,
    "mann-whitney": mann_whitney,
}
