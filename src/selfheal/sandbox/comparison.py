"""Two variants measured in turn: the ratio of their times, with an interval."""

from __future__ import annotations

from collections.abc import Sequence

from selfheal.artifacts import Model

RESAMPLES = 2000
LEVEL = 0.95


class Comparison(Model):
    """`ratio` is after over before (below 1: faster), with its bootstrap interval.

    Seconds are medians over all rounds.
    """

    ratio: float
    low: float
    high: float
    before_seconds: float
    after_seconds: float
    rounds: int


def compare(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]
) -> Comparison | None:
    """Compare seconds measured in interleaved rounds: ``before[r]`` and ``after[r]`` are neighbours.

    The ratio is the geometric mean over the rounds of the ratio of the rounds' medians,
    its interval the percentile bootstrap over rounds at 95 % with a fixed seed: rounds,
    not single requests, are exchangeable on a machine whose speed drifts (Kalibera and
    Jones, "Rigorous benchmarking in reasonable time", ISMM 2013). None without rounds.
    """
    import numpy as np

    pairs = [(one, other) for one, other in zip(before, after, strict=True) if one and other]
    if not pairs:
        return None
    logs = np.array([np.log(np.median(other) / np.median(one)) for one, other in pairs])
    drawn = np.random.default_rng(0).integers(0, len(logs), (RESAMPLES, len(logs)))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(logs[drawn].mean(axis=1), (tail, 1 - tail))
    return Comparison(
        ratio=float(np.exp(logs.mean())),
        low=float(np.exp(low)),
        high=float(np.exp(high)),
        before_seconds=float(np.median([value for one, _ in pairs for value in one])),
        after_seconds=float(np.median([value for _, other in pairs for value in other])),
        rounds=len(pairs),
    )
