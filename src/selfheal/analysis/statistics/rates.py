"""Exact comparison of rates, and how much data an answer needs."""

from __future__ import annotations

import math


def rate_is_higher(
    first: int, first_exposure: float, second: int, second_exposure: float, *, ratio: float = 1.0
) -> float:
    """One-sided exact p-value of whether the second rate is more than `ratio` times the first.

    Counts over positive exposures (requests). Given the sum of two Poisson counts the
    second is binomial with share r·e2 / (e1 + r·e2) under the null hypothesis
    (J. Przyborowski, H. Wilenski, Biometrika 31, 1940).
    """
    from scipy.stats import binom

    total = first + second
    if total == 0:
        return 1.0
    share = ratio * second_exposure / (first_exposure + ratio * second_exposure)
    return float(binom.sf(second - 1, total, share))


def proportion_is_higher(first: int, of_first: int, second: int, of_second: int) -> float:
    """One-sided exact p-value (Fisher) of whether the second proportion is higher."""
    from scipy.stats import hypergeom

    total, hits = of_first + of_second, first + second
    return float(hypergeom.sf(second - 1, total, hits, of_second))


def never_was(of_first: int, second: int, of_second: int) -> float:
    """One-sided p-value of whether what never was in `of_first` cases happens now.

    That it never was is why it is asked, and among many such things some are rare and
    were missed. So the second proportion has to exceed what the first may hide as well:
    its exact 95 % upper bound, 1 - 0.05^(1/n).
    """
    from scipy.stats import binom

    hidden = 1 - 0.05 ** (1 / of_first)
    beyond = float(binom.sf(second - 1, of_second, hidden))
    return max(proportion_is_higher(0, of_first, second, of_second), beyond)


def trials_to_see(probability: float, significance: float) -> int:
    """How many trials without a hit rule out, at a level, that hits have this probability.

    The smallest n with (1 - p)^n <= significance.
    """
    if probability >= 1:
        return 1
    return math.ceil(math.log(significance) / math.log1p(-probability))
