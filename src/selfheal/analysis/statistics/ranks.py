"""Rank comparison of two samples: is the second one larger?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RankComparison(NamedTuple):
    """`p_value` is one-sided (second sample larger); `cliffs_delta` is in [-1, 1]."""

    p_value: float
    cliffs_delta: float


def is_larger(first: NDArray[np.float64], second: NDArray[np.float64]) -> RankComparison:
    """Mann-Whitney U test of two independent samples, with its effect size.

    Both samples are one-dimensional and not empty. The p-value is exact for small
    samples without ties, else by the normal approximation with ties corrected
    (H. B. Mann, D. R. Whitney, Ann. Math. Stat. 18, 1947). Cliff's delta is the
    probability that a value of the second sample is larger, minus that it is smaller:
    2U/(nm) - 1 (N. Cliff, Psychological Bulletin 114, 1993).
    """
    from scipy.stats import mannwhitneyu

    result = mannwhitneyu(second, first, alternative="greater")
    delta = 2 * float(result.statistic) / (len(first) * len(second)) - 1
    return RankComparison(float(result.pvalue), delta)
