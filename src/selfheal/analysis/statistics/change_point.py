"""Where a series changes its level, if it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from selfheal.analysis.statistics.resampling import SEED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PERMUTATIONS = 1999


class ChangePoint(NamedTuple):
    """The series is higher from index `at` on; `p_value` is one-sided."""

    at: int
    p_value: float


def upward_change(
    series: NDArray[np.float64], *, margin: int, permutations: int = PERMUTATIONS
) -> ChangePoint | None:
    """The most likely upward step of a series, at least `margin` values from both ends.

    Pettitt's rank statistic (A. N. Pettitt, Applied Statistics 28, 1979), standardised
    at each place so that the middle is not favoured, and its maximum's significance by
    permuting blocks of length n^(1/3), which keeps short-range dependence. None where
    the series is shorter than twice the margin.
    """
    import numpy as np
    from scipy.stats import rankdata

    n = len(series)
    if n < 2 * margin:
        return None
    ranks = np.asarray(rankdata(series), np.float64)
    observed = _standardised(ranks[None, :], margin)[0]
    block = max(1, round(n ** (1 / 3)))
    padded = -(-n // block) * block
    blocks = np.arange(padded).reshape(-1, block)
    generator = np.random.default_rng(SEED)
    order = np.argsort(generator.random((permutations, len(blocks))), axis=1)
    places = blocks[order].reshape(permutations, padded)
    shuffled = ranks[places[places < n].reshape(permutations, n)]
    largest = _standardised(shuffled, margin).max(axis=1)
    extreme = int((largest >= observed.max() - 1e-12).sum())
    return ChangePoint(margin + int(observed.argmax()), (1 + extreme) / (1 + permutations))


def _standardised(ranks: NDArray[np.float64], margin: int) -> NDArray[np.float64]:
    """Per row and place k in [margin, n - margin]: how high the ranks from k on are, in sigmas."""
    import numpy as np

    n = ranks.shape[1]
    places = np.arange(margin, n - margin + 1)
    total = ranks.sum(axis=1, keepdims=True)
    before = np.cumsum(ranks, axis=1)[:, places - 1]
    expected = total * (n - places) / n
    spread = np.sqrt(places * (n - places) * (n + 1) / 12)
    return np.asarray((total - before - expected) / spread, np.float64)
