"""Tests that may be looked at as often as one likes: e-processes of two releases side by side.

An e-process is a bet against a hypothesis: a non-negative process that starts at 1 and
has no expected gain while the hypothesis holds. By Ville's inequality it ever reaches
1/α with a probability of at most α, however often one looks and whenever one stops (H. Robbins,
Ann. Math. Stat. 41, 1970; S. R. Howard et al., Ann. Stat. 49, 2021; A. Ramdas et al.,
Statistical Science 38, 2023). The average of e-processes is one as well; here it runs over
a grid of alternatives, for nobody knows beforehand how large an effect will be.

Telemetry comes in blocks of time, the same for both sides. All functions take one entry
per block, oldest first, and give the natural logarithm of the e-process after each block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

POWER = 0.8
_POWER_DEVIATIONS = 0.8416
_RATIOS = (1.15, 64.0, 16)
_DISPERSION = (3.0, 4.0)
_BETS = (0.5, 32.0, 7)
# Most rates of failure are either anywhere or near nothing.
_BELIEFS = ((0.5, 0.5), (0.5, 100.0))


class Counts(NamedTuple):
    """Requests and the failed among them, per block."""

    baseline: NDArray[np.float64]
    baseline_failed: NDArray[np.float64]
    candidate: NDArray[np.float64]
    candidate_failed: NDArray[np.float64]


def rate_is_higher(
    counts: Counts, *, ratio: float = 1.0, dispersion: float | None = None
) -> NDArray[np.float64]:
    """Evidence that the candidate fails at more than `ratio` times the baseline's rate.

    Each block multiplies by the likelihood ratio of the binomial split of its failures
    between the sides (J. Przyborowski, H. Wilenski, Biometrika 31, 1940), for a larger
    ratio of rates against `ratio`. With independent requests of failure probabilities p
    and at the most ratio·p, which may differ from block to block, the expected factor is
    at the most exp(0) = 1, by 1 + x <= exp(x) on each request; so it needs neither rare
    failures nor a constant load. Blocks in which one side had no request do not count.

    Failures that come together (retries, a batch) are fewer independent ones: the ratios are
    raised to the power 1 / `dispersion`, as in quasi-likelihood; default: `dispersion_of`.
    A power below 1 never convicts whom the ratios themselves would not (Jensen), so that an
    estimate of it takes nothing from the error probability.
    """
    import numpy as np

    low, high, size = _RATIOS
    power = 1 / (dispersion_of(counts) if dispersion is None else dispersion)
    return _mixture(power * _log_ratios(counts, ratio * np.geomspace(low, high, size), ratio))


def rate_is_lower(
    counts: Counts, ratio: float, *, most: float, dispersion: float
) -> NDArray[np.float64]:
    """Evidence that the candidate fails at less than `ratio` times the baseline's rate.

    As `rate_is_higher`, with alternatives below `most`, which is at the most `ratio`. They
    do not depend on `ratio`, so that what refutes a ratio refutes all larger ones.
    """
    import numpy as np

    low, high, size = _RATIOS
    alternatives = most / np.geomspace(low, high, size)
    return _mixture(_log_ratios(counts, alternatives, ratio) / dispersion)


def _log_ratios(
    counts: Counts, alternatives: NDArray[np.float64], ratio: float
) -> NDArray[np.float64]:
    """Per block and alternative, the log-likelihood of the split over that under `ratio`."""
    import numpy as np

    exposure, failed, of_candidate, hits = (np.asarray(each, np.float64) for each in counts)
    both = (exposure > 0) & (of_candidate > 0)
    odds = np.where(both, of_candidate / np.where(both, exposure, 1.0), 1.0)[:, None]
    rest = np.log1p(ratio * odds) - np.log1p(alternatives[None, :] * odds)
    share = np.log(alternatives[None, :] / ratio) + rest
    return np.where(both[:, None], hits[:, None] * share + failed[:, None] * rest, 0.0)


def dispersion_of(counts: Counts) -> float:
    """How much more than independent failures those of a block vary between the sides.

    Pearson's statistic of their binomial split, at the sides' ratio over all blocks, per
    degree of freedom (P. McCullagh, J. A. Nelder, Generalized Linear Models, 1989, 4.5). It
    starts at a guess of 3 that weighs as much as four blocks; at least 1. What strikes both
    sides at once does not raise it.
    """
    import numpy as np

    exposure, failed, of_candidate, hits = (np.asarray(each, np.float64) for each in counts)
    seen = (exposure > 0) & (of_candidate > 0) & (failed + hits > 0)
    exposure, failed, of_candidate, hits = (
        each[seen] for each in (exposure, failed, of_candidate, hits)
    )
    guess, weight = _DISPERSION
    both = failed.sum() * of_candidate.sum(), hits.sum() * exposure.sum()
    if min(both) <= 0:
        return max(1.0, guess * weight / (weight + len(hits)))
    odds = both[1] / both[0] * of_candidate / exposure
    share, total = odds / (1 + odds), failed + hits
    pearson = float(((hits - share * total) ** 2 / (total * share * (1 - share))).sum())
    return max(1.0, (guess * weight + pearson) / (weight + len(hits) - 1))


def is_shifted(differences: ArrayLike) -> NDArray[np.float64]:
    """Evidence that differences of pairs lie above 0 where swapping sides should not matter.

    If a pair is exchangeable given the pairs before, its difference x is as likely as -x,
    and exp(λx)/cosh(λx) has expectation 1 for every λ, whatever the tails (A. Ramdas, J.
    Ruf, M. Larsson, W. Koolen, arXiv:2009.03167, on V. H. de la Peña, Ann. Prob. 27, 1999).
    A block adds at the most log 2, so that no outlier decides alone.
    """
    import numpy as np

    low, high, size = _BETS
    bets = np.geomspace(low, high, size)[None, :]
    values = np.asarray(differences, np.float64)[:, None]
    return _mixture(math.log(2) - np.logaddexp(0.0, -2 * bets * values))


def rate_bounds(hits: float, trials: float, level: float) -> tuple[float, float]:
    """Bounds of a rate, each of which holds at all times together but for a probability `level`.

    They hold the rates that the bet of a mixture of two Beta priors has not refuted
    (H. Robbins, 1970; S. R. Howard et al., 2021). Without trials: 0 and 1.
    """
    if trials <= 0:
        return 0.0, 1.0
    limit = _log_marginal(hits, trials) + math.log(level)

    def kept(rate: float) -> bool:
        return _log_likelihood(hits, trials, rate) > limit

    seen = hits / trials
    return _edge(kept, seen, 0.0), _edge(kept, seen, 1.0)


def visible_failure_rate(
    baseline_rate: float,
    requests: tuple[float, float],
    *,
    ratio: float,
    level: float,
    dispersion: float = 1.0,
) -> float | None:
    """The smallest failure rate of the candidate that is convicted with 80 % power.

    `requests` are those expected at the baseline and at the candidate, `level` is the one
    at which `rate_is_higher` with `ratio` convicts. None where not even 1 would be seen.
    """
    import numpy as np

    baseline, candidate = requests
    if min(requests) <= 0:
        return None

    def seen(rate: float) -> bool:
        expected = candidate * rate
        hits = max(0.0, expected - _POWER_DEVIATIONS * math.sqrt(dispersion * expected))
        whole = Counts(
            *(np.array([each]) for each in (baseline, baseline * baseline_rate, candidate, hits))
        )
        path = rate_is_higher(whole, ratio=ratio, dispersion=dispersion)
        return bool(path[-1] >= -math.log(level))

    return _edge(lambda rate: not seen(rate), baseline_rate, 1.0) if seen(1.0) else None


def visible_ratio(spread: float, blocks: int, *, ratio: float, level: float) -> float | None:
    """The smallest ratio of latencies that is convicted with 80 % power in `blocks` blocks.

    `spread` is the standard deviation of a block's log ratio when nothing is wrong; None
    where not even a hundredfold latency would be seen.
    """
    import numpy as np
    from scipy.stats import norm

    if blocks < 1:
        return None
    usual = spread * norm.ppf((np.arange(blocks) + 0.5) / blocks)
    shortfall = _POWER_DEVIATIONS * spread / math.sqrt(blocks)

    def seen(effect: float) -> bool:
        values = effect - math.log(ratio) - shortfall + usual
        return bool(is_shifted(values)[-1] >= -math.log(level))

    most = math.log(100)
    return math.exp(_edge(lambda effect: not seen(effect), 0.0, most)) if seen(most) else None


def convicts(path: NDArray[np.float64], level: float) -> bool:
    """Whether an e-process has ever reached 1 / `level`."""
    return bool(len(path)) and float(path.max()) >= -math.log(level)


def _mixture(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log of the average, over the columns, of the products of exp(steps) so far."""
    import numpy as np

    paths = np.cumsum(steps, axis=0)
    peak = paths.max(axis=1, keepdims=True) if len(paths) else paths
    return np.asarray(peak[:, 0] + np.log(np.exp(paths - peak).mean(axis=1)), np.float64)


def _log_marginal(hits: float, trials: float) -> float:
    beliefs = []
    for first, second in _BELIEFS:
        posterior = _log_beta(first + hits, second + trials - hits)
        beliefs.append(posterior - _log_beta(first, second) - math.log(len(_BELIEFS)))
    peak = max(beliefs)
    return peak + math.log(sum(math.exp(each - peak) for each in beliefs))


def _log_beta(first: float, second: float) -> float:
    return math.lgamma(first) + math.lgamma(second) - math.lgamma(first + second)


def _log_likelihood(hits: float, trials: float, rate: float) -> float:
    told = hits * math.log(rate) if hits and rate else (-math.inf if hits else 0.0)
    misses = trials - hits
    untold = misses * math.log1p(-rate) if misses and rate < 1 else (-math.inf if misses else 0.0)
    return told + untold


def _edge(holds: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where a condition that holds at `inside` ends on the way to `outside`."""
    if holds(outside):
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        if holds(middle):
            inside = middle
        else:
            outside = middle
    return outside
