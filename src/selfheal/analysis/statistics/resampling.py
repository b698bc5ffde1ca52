"""Permutation and bootstrap over exchangeable units (buckets), never over requests.

Seeds are fixed: equal data give equal numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEED = 20_240_229
PERMUTATIONS = 4999
RESAMPLES = 999


def exceeds_more(
    exceeding: NDArray[np.int64],
    totals: NDArray[np.int64],
    in_second: NDArray[np.bool_],
    *,
    permutations: int = PERMUTATIONS,
) -> float:
    """One-sided permutation test of whether a threshold is exceeded more often in the second group.

    Per unit (bucket): `exceeding` requests over the threshold out of `totals`, and
    whether the unit is of the second group. With the pooled P95 as the threshold this
    tests a shift of the P95 as Mood's median test does one of the median, and permuting
    units instead of requests keeps what is dependent together (block permutation). The
    p-value is (1 + as extreme) / (1 + permutations) (B. Phipson, G. K. Smyth, 2010).
    """
    import numpy as np

    generator = np.random.default_rng(SEED)
    second = int(in_second.sum())
    observed = _difference(exceeding, totals, np.flatnonzero(in_second)[None, :])[0]
    extreme = 0
    for start in range(0, permutations, 500):
        rows = min(500, permutations - start)
        # Which units come first is all that counts: no need to sort them.
        order = np.argpartition(generator.random((rows, len(totals))), second - 1, axis=1)[
            :, :second
        ]
        extreme += int((_difference(exceeding, totals, order) >= observed - 1e-12).sum())
    return (1 + extreme) / (1 + permutations)


def _difference(
    exceeding: NDArray[np.int64], totals: NDArray[np.int64], chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share over the threshold in the chosen units minus that in the others, per row."""
    import numpy as np

    over, among = exceeding[chosen].sum(axis=1), totals[chosen].sum(axis=1)
    rest = np.maximum(totals.sum() - among, 1)
    return np.asarray(over / np.maximum(among, 1) - (exceeding.sum() - over) / rest, np.float64)


def ratio_interval(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Percentile interval of median(second) / median(first) by a circular block bootstrap.

    Both are series of units in order of time with positive values. Blocks of length
    n^(1/3) keep short-range dependence (D. N. Politis, J. P. Romano, 1992).
    """
    import numpy as np

    generator = np.random.default_rng(SEED)
    ratios = _resampled_medians(second, generator, resamples) / _resampled_medians(
        first, generator, resamples
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high)


def _resampled_medians(
    series: NDArray[np.float64], generator: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    import numpy as np

    n = len(series)
    block = max(1, round(n ** (1 / 3)))
    blocks = -(-n // block)
    starts = generator.integers(0, n, size=(resamples, blocks))
    places = (starts[:, :, None] + np.arange(block)) % n
    return np.asarray(np.median(series[places.reshape(resamples, -1)[:, :n]], axis=1), np.float64)
