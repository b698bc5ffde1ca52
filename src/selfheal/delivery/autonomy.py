"""Autonomy that is earned: what the ledger has measured of a kind and a strategy.

The bound is the 2.5 % quantile of the success rate's posterior under a uniform prior,
Beta(1 + successes, 1 + failures): the lower end of the central 95 % interval (Gelman et
al., Bayesian Data Analysis, 3rd ed., §2.4). Without a single use it is 0.025.
"""

from __future__ import annotations

from collections.abc import Iterable

from selfheal.artifacts import Patterns
from selfheal.artifacts.model import AnomalyKind, Model

_SUCCESSES = frozenset({"validated", "merged"})
_FAILURES = frozenset({"failed", "ineffective", "rolled_back"})


class Earned(Model):
    """The record of one strategy against one kind of anomaly, and whether `level` is reached."""

    kind: AnomalyKind
    strategy: str
    successes: int
    tried: int
    lower_bound: float
    level: float

    @property
    def holds(self) -> bool:
        return self.lower_bound >= self.level

    @property
    def summary(self) -> str:
        sign = "≥" if self.holds else "<"
        return (
            f"{self.strategy} against {self.kind}: {self.successes} of {self.tried} succeeded, "
            f"lower 95 % bound {self.lower_bound:.2f} {sign} {self.level:.2f}"
        )


def earned(
    library: Patterns | None, pairs: Iterable[tuple[AnomalyKind, str]], level: float
) -> list[Earned]:
    """The record of each kind and strategy, sorted, over all contexts they were used in."""
    return [_of(library, kind, strategy, level) for kind, strategy in sorted(set(pairs))]


def _of(library: Patterns | None, kind: AnomalyKind, strategy: str, level: float) -> Earned:
    from scipy.special import betaincinv

    outcomes = [
        entry.outcome
        for pattern in (library.patterns if library else [])
        if pattern.applicability.kind == kind and pattern.edit.get("strategy") == strategy
        for entry in pattern.provenance
    ]
    successes = sum(outcome in _SUCCESSES for outcome in outcomes)
    failures = sum(outcome in _FAILURES for outcome in outcomes)
    return Earned(
        kind=kind,
        strategy=strategy,
        successes=successes,
        tried=successes + failures,
        lower_bound=round(float(betaincinv(1 + successes, 1 + failures, 0.025)), 6),
        level=level,
    )
