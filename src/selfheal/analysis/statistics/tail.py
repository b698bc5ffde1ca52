"""How rare a value is, learned while values come: constant time and memory per value."""

from __future__ import annotations

import math


class Tail:
    """The upper tail of a stream of non-negative values.

    Values above a running quantile follow a generalised Pareto distribution whatever
    the rest does (J. Pickands, Ann. Stat. 3, 1975; on streams A. Siffer et al., KDD
    2017). Its parameters come from running moments of the excesses (J. R. M. Hosking,
    J. R. Wallis, Technometrics 29, 1987), which forget with `memory` excesses.
    """

    def __init__(self, *, share: float = 0.05, memory: float = 200.0) -> None:
        self.share = share
        self.memory = memory
        self.threshold = 0.0
        self.step = 0.0
        self.excesses = 0
        self.mean = 0.0
        self.square = 0.0

    def learn_from(self, values: list[float]) -> None:
        """Begin with the values of a warm-up."""
        ordered = sorted(values)
        self.threshold = ordered[min(len(ordered) - 1, int((1 - self.share) * len(ordered)))]
        self.step = 0.05 * (self.threshold or ordered[-1] or 1e-9)
        for value in values:
            if value > self.threshold:
                self._add(value - self.threshold)

    def probability(self, value: float) -> float:
        """That a value is larger than this one, at the most `share`-exact above the threshold."""
        excess = value - self.threshold
        if excess <= 0:
            return 1.0
        # Before there are excesses to learn from, the tail is taken for a heavy one.
        scale, shape = self.threshold or 1e-9, 0.25
        if self.excesses >= 5 and self.mean > 0:
            variance = max(self.square - self.mean**2, 1e-12 * self.mean**2)
            ratio = self.mean**2 / variance
            shape = min(max(0.5 * (1 - ratio), 0.0), 0.4)
            scale = self.mean * (1 - shape)
        if shape < 1e-6:
            return self.share * math.exp(-min(excess / scale, 700.0))
        return float(self.share * (1 + shape * excess / scale) ** (-1 / shape))

    def learn(self, value: float) -> None:
        """Take a usual value in; unusual ones should come clipped."""
        if value > self.threshold:
            self._add(value - self.threshold)
            self.threshold += self.step * (1 - self.share)
        else:
            self.threshold -= self.step * self.share
        self.threshold = max(self.threshold, 0.0)
        self.step += (0.05 * self.threshold - self.step) / 500

    def _add(self, excess: float) -> None:
        self.excesses += 1
        weight = 1 / min(self.excesses, self.memory)
        self.mean += weight * (excess - self.mean)
        self.square += weight * (excess * excess - self.square)
