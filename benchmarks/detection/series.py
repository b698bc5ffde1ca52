"""Series with a known truth: six kinds of noise, with and without a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
Noise = Callable[[int, np.random.Generator], Series]

LENGTH = 150
DAY = 24


class Labelled(NamedTuple):
    """A series whose level is higher from index `at` on; None: it never changes."""

    values: Series
    at: int | None


def normal(length: int, generator: np.random.Generator) -> Series:
    """Coefficient of variation 10 %."""
    return np.maximum(1 + generator.normal(0, 0.1, length), 0.05)


def log_normal(length: int, generator: np.random.Generator) -> Series:
    """σ = 0.25: as wide as the median of a few requests."""
    return generator.lognormal(0, 0.25, length)


def autocorrelated(length: int, generator: np.random.Generator) -> Series:
    """AR(1) with φ = 0.6 in the logarithm, standard deviation 10 %."""
    shocks = generator.normal(0, 0.1 * np.sqrt(1 - 0.6**2), length + 50)
    for place in range(1, len(shocks)):
        shocks[place] += 0.6 * shocks[place - 1]
    return np.exp(shocks[50:])


def spiky(length: int, generator: np.random.Generator) -> Series:
    """7 % noise, and every twentieth value two to six times too high."""
    values = np.maximum(1 + generator.normal(0, 0.07, length), 0.05)
    spikes = generator.random(length) < 0.05
    values[spikes] *= generator.uniform(2, 6, int(spikes.sum()))
    return values


def p95_of_40(length: int, generator: np.random.Generator) -> Series:
    """The 95th percentile of 40 requests a bucket, log-normal with σ = 0.5."""
    return np.quantile(generator.lognormal(0, 0.5, (length, 40)), 0.95, axis=1)


def daily(length: int, generator: np.random.Generator) -> Series:
    """A day of 24 values with ±30 %, from a random hour on, and 10 % noise."""
    phase = 2 * np.pi * (np.arange(length) / DAY + generator.random())
    return (1 + 0.3 * np.sin(phase)) * generator.lognormal(0, 0.1, length)


NOISES: dict[str, Noise] = {
    "normal": normal,
    "log-normal": log_normal,
    "autocorrelated": autocorrelated,
    "spiky": spiky,
    "P95 of 40": p95_of_40,
    "daily": daily,
}


def sample(noise: str, shift: float, count: int) -> Iterator[Labelled]:
    """`count` series; those with a shift (0.1: 10 %) step up between a fifth and four fifths."""
    generator = np.random.default_rng([list(NOISES).index(noise), round(shift * 100)])
    for _ in range(count):
        values = NOISES[noise](LENGTH, generator)
        at = None
        if shift:
            at = int(generator.integers(LENGTH // 5, LENGTH - LENGTH // 5 + 1))
            values[at:] *= 1 + shift
        yield Labelled(values, at)
