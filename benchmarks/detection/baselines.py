"""What one might use instead: each takes a series and gives the places of its changes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]


def static_threshold(series: Series) -> list[int]:
    """The first value above mean + 3 standard deviations of the first fifth."""
    start = len(series) // 5
    limit = series[:start].mean() + 3 * series[:start].std()
    above = np.flatnonzero(series[start:] > limit)
    return [start + int(above[0])] if len(above) else []


def bare_ratio(series: Series) -> list[int]:
    """Where the mean of ten values is most above that of the ten before, if more than 1.1 times."""
    means = np.convolve(series, np.ones(10) / 10, "valid")
    ratios = means[10:] / means[:-10]
    place = int(ratios.argmax())
    return [10 + place] if ratios[place] > 1.1 else []


def adwin(series: Series, confidence: float = 0.002) -> list[int]:
    """Adaptive windowing (A. Bifet, R. Gavaldà, SDM 2007), every cut of the window looked at."""
    found, start = [], 0
    for end in range(10, len(series) + 1):
        while end - start >= 10:
            window = series[start:end]
            cuts = np.arange(5, len(window) - 4)
            sums = np.cumsum(window)
            first = sums[cuts - 1] / cuts
            second = (sums[-1] - sums[cuts - 1]) / (len(window) - cuts)
            harmonic = 1 / (1 / cuts + 1 / (len(window) - cuts))
            logarithm = math.log(2 * math.log(len(window)) / confidence)
            limit = np.sqrt(2 / harmonic * window.var() * logarithm) + 2 * logarithm / (
                3 * harmonic
            )
            gap = np.abs(first - second) - limit
            if gap.max() <= 0:
                break
            start += int(cuts[gap.argmax()])
            found.append(start)
    return found


def pelt_bic(series: Series) -> list[int]:
    """Optimal segmentation of the mean with the BIC penalty 2σ²·log n (ruptures)."""
    import ruptures

    spread = 1.4826 * np.median(np.abs(np.diff(series))) / math.sqrt(2)
    penalty = 2 * spread**2 * math.log(len(series))
    found = ruptures.Pelt(model="l2", min_size=8, jump=1).fit(series).predict(pen=penalty)
    return [int(place) for place in found[:-1]]
