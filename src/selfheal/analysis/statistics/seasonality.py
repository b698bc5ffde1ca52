"""What repeats and what lingers in a series: its period, its profile, its autocorrelation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHORTEST_PERIOD = 4
# A peak of the autocorrelation counts if it stands this much above what lies before it.
_PROMINENCE = 0.5
_SPREADS = 3.0


def period_of(series: NDArray[np.float64]) -> int | None:
    """The length of the pattern that repeats at least three times, None where none does.

    The first high local peak of the autocorrelation function of the clipped series; of
    the lags around it, the one whose multiples fit best. A change of level makes the
    function fall slowly, without a peak.
    """
    import numpy as np

    n = len(series)
    if n < 3 * SHORTEST_PERIOD:
        return None
    correlation = _autocorrelation(series)
    lags = np.arange(SHORTEST_PERIOD, n // 3 + 1)
    peaks = [
        int(lag)
        for lag in lags
        if correlation[lag - 1] <= correlation[lag] >= correlation[lag + 1]
        and correlation[lag] > 2.5 / math.sqrt(n)
        and correlation[lag] - correlation[1:lag].min() > _PROMINENCE
    ]
    if not peaks:
        return None
    highest = max(correlation[lag] for lag in peaks)
    first = min(lag for lag in peaks if correlation[lag] >= 0.8 * highest)
    slack = 1 + first // 12
    near = [lag for lag in lags if abs(lag - first) <= slack]
    return int(max(near, key=lambda lag: correlation[lag : 2 * n // 3 + 1 : lag].mean()))


def seasonal_profile(series: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """What repeats, as a series of the same length with mean 0 over a period.

    Per phase the median distance from the running median over one period, which a
    change of level does not move.
    """
    import numpy as np

    n = len(series)
    width = period + 1 - period % 2
    half = width // 2
    trend = np.median(np.lib.stride_tricks.sliding_window_view(series, width), axis=1)
    distance = series[half : n - half] - trend
    phase = np.arange(half, n - half) % period
    profile = np.asarray([np.median(distance[phase == place]) for place in range(period)])
    return np.asarray((profile - profile.mean())[np.arange(n) % period], np.float64)


def lag_one(residuals: NDArray[np.float64], *, caution: float = 0.0) -> float:
    """The coefficient of an AR(1) process, 0 to 0.95; 0 where chance explains it.

    Values beyond three robust standard deviations are clipped. The estimate is freed of
    its bias towards 0 ((1 + 3φ)/n per fitted level, M. G. Kendall, Biometrika 41, 1954; two
    were fitted). `caution` standard errors are added where an underestimate would do harm.
    """
    import numpy as np

    n = len(residuals)
    spread = 1.4826 * float(np.median(np.abs(residuals)))
    if n < SHORTEST_PERIOD or spread <= 0:
        return 0.0
    clipped = np.clip(residuals, -_SPREADS * spread, _SPREADS * spread)
    power = float(np.dot(clipped, clipped))
    if power <= 0:  # subnormal values
        return 0.0
    estimate = float(np.dot(clipped[1:], clipped[:-1])) / power
    estimate += 2 * (1 + 3 * estimate) / n
    if estimate <= 1 / math.sqrt(n):
        return 0.0
    return min(estimate + caution * math.sqrt(max(1 - estimate**2, 0) / n), 0.95)


def of_dependent(p_value: float, lingering: float) -> float:
    """A one-sided p-value of exchangeable values, for values with the AR(1) coefficient `lingering`.

    Sums of such values vary (1 + φ)/(1 - φ) times as much, so that the normal score of
    the p-value is divided by the root of it (G. V. Bayley, J. M. Hammersley, 1946).
    """
    from scipy.stats import norm

    if lingering <= 0 or p_value in (0.0, 1.0):
        return p_value
    return float(norm.sf(norm.isf(p_value) * math.sqrt((1 - lingering) / (1 + lingering))))


def _autocorrelation(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Per lag, of the series clipped at three robust standard deviations; 0 if it is constant."""
    import numpy as np

    n = len(series)
    distance = series - np.median(series)
    spread = 1.4826 * float(np.median(np.abs(distance)))
    if spread > 0:
        distance = np.clip(distance, -_SPREADS * spread, _SPREADS * spread)
    distance = distance - distance.mean()
    power = np.abs(np.fft.rfft(distance, 2 * n)) ** 2
    products = np.fft.irfft(power)[:n]
    if products[0] <= 0:
        return np.zeros(n)
    return np.asarray(products / products[0] * n / (n - np.arange(n)), np.float64)
