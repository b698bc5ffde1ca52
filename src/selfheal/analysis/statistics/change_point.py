"""Where a series changes its level, if it does.

The statistic is Pettitt's, on ranks (A. N. Pettitt, Applied Statistics 28, 1979),
standardised at each place so that the middle is not favoured. It knows no units and
does not mind outliers. What would pass for a change is taken out first: a pattern that
repeats, and, where values linger, AR(1) dependence (prewhitening, as H. von Storch
1995). Ranks of exchangeable values have one null distribution for all noise, so the
maximum's p-value comes from a table that is simulated once per length.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from selfheal.analysis.statistics.resampling import SEED
from selfheal.analysis.statistics.seasonality import lag_one, period_of, seasonal_profile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIMULATIONS = 9999
# Several levels are looked for, so each is tested at a level well below the usual one.
SIGNIFICANCE = 0.003
_EXACT = 512
_CAUTION = 0.5


class ChangePoint(NamedTuple):
    """The series is higher (or `rises` is false: lower) from index `at` on."""

    at: int
    p_value: float
    rises: bool


def upward_change(series: NDArray[np.float64], *, margin: int) -> ChangePoint | None:
    """The most likely upward step, at least `margin` values from both ends.

    The p-value is one-sided. None where the series is not longer than twice the margin.
    """
    return _most_likely(without_season(series), margin, falls=False)


def change_points(
    series: NDArray[np.float64], *, margin: int = 8, significance: float = SIGNIFICANCE
) -> list[ChangePoint]:
    """All changes of level, up or down, in order: binary segmentation.

    The series is split at its most likely change as long as that one's two-sided
    p-value is at the most `significance`; levels are at least `margin` values long.
    """
    clean = without_season(series)
    found: list[ChangePoint] = []
    parts = [(0, len(clean))]
    while parts:
        first, end = parts.pop()
        change = _most_likely(clean[first:end], margin, falls=True)
        if change is not None and change.p_value <= significance:
            at = first + change.at
            found.append(change._replace(at=at))
            parts += [(first, at), (at, end)]
    return sorted(found)


def without_season(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """The series with its repeating pattern taken out; logarithms if all values are positive.

    Durations and rates vary in proportion, so that patterns are factors.
    """
    import numpy as np

    values = np.asarray(series, np.float64)
    if len(values) and values.min() > 0:
        values = np.log(values)
    period = period_of(values)
    return values if period is None else values - seasonal_profile(values, period)


def _most_likely(values: NDArray[np.float64], margin: int, *, falls: bool) -> ChangePoint | None:
    import numpy as np

    if len(values) <= 2 * margin:
        return None
    heights = _standardised(values, margin)
    sides = np.abs(heights) if falls else heights
    place = int(sides.argmax())
    at = margin + place
    levels = np.where(np.arange(len(values)) < at, np.median(values[:at]), np.median(values[at:]))
    # The place was chosen to leave little; an underestimate lets noise pass for a change.
    lingering = lag_one(values - levels, caution=_CAUTION)
    if lingering > 0:
        heights = _standardised(values[1:] - lingering * values[:-1], margin)
        sides = np.abs(heights) if falls else heights
    p_value = _p_value(float(sides.max()), len(values), margin)
    return ChangePoint(
        at, min(1.0, 2 * p_value if falls else p_value), bool(levels[-1] > levels[0])
    )


def _standardised(values: NDArray[np.float64], margin: int) -> NDArray[np.float64]:
    """Per place k in [margin, n - margin]: how high the ranks from k on are, in sigmas."""
    import numpy as np
    from scipy.stats import rankdata

    n = len(values)
    ranks = np.asarray(rankdata(values), np.float64)
    # With ties ranks vary less: the variance of what is there, not of 1…n.
    variance = float(ranks.var()) * n / (n - 1)
    return np.asarray(_heights(ranks[None, :], margin, variance)[0], np.float64)


def _heights(ranks: NDArray[np.float64], margin: int, variance: float) -> NDArray[np.float64]:
    import numpy as np

    n = ranks.shape[1]
    places = np.arange(margin, n - margin + 1)
    before = np.cumsum(ranks, axis=1)[:, places - 1]
    if variance <= 0:
        return np.zeros(before.shape)
    spread = np.sqrt(variance * places * (n - places) / n)
    return np.asarray(((n + 1) / 2 * places - before) / spread, np.float64)


def _p_value(height: float, n: int, margin: int) -> float:
    """One-sided; the length rounded up, which raises it by less than the simulation's error."""
    import numpy as np

    step = 1 if n <= 32 else 2 ** (int(math.log2(n)) - 4)
    length = -(-n // step) * step
    # The tail depends on the share of the series that the margin is; beyond this length
    # ranks are as good as normal.
    if length > _EXACT:
        margin, length = max(2, margin * _EXACT // length), _EXACT
    maxima = _maxima(length, margin)
    extreme = len(maxima) - int(np.searchsorted(maxima, height - 1e-9))
    return (1 + extreme) / (1 + len(maxima))


@lru_cache(maxsize=128)
def _maxima(n: int, margin: int) -> NDArray[np.float64]:
    """The maximum over all places for random orders of 1…n, sorted."""
    import numpy as np

    generator = np.random.default_rng(SEED)
    variance = n * (n + 1) / 12
    found = []
    for start in range(0, SIMULATIONS, 1000):
        rows = min(1000, SIMULATIONS - start)
        ranks = np.argsort(generator.random((rows, n)), axis=1).astype(np.float64) + 1
        found.append(_heights(ranks, margin, variance).max(axis=1))
    return np.sort(np.concatenate(found))
