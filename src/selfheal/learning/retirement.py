"""When a pattern proposes nothing any more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from selfheal.artifacts.patterns import Retirement

BOUND = 0.5
LEVEL = 0.9
SELFHEAL = "selfheal"


def retirement(shipped: Sequence[str], before: Retirement | None) -> Retirement | None:
    """The retirement of a pattern whose shipped uses ended so (`merged` is well).

    What a person retired stays so. Otherwise it follows from the uses alone: the one-sided
    upper bound on its success, from the posterior under Beta(1, 1), is below `BOUND`.
    """
    if before is not None and before.by != SELFHEAL:
        return before
    well = sum(outcome == "merged" for outcome in shipped)
    bound = upper_bound(well, len(shipped))
    if bound >= BOUND:
        return None
    reason = (
        f"{len(shipped) - well} of {len(shipped)} shipped fixes were taken back or did not help: "
        f"with {LEVEL:.0%} confidence fewer than {bound:.0%} do, and {BOUND:.0%} is asked"
    )
    return Retirement(by=SELFHEAL, reason=reason)


def upper_bound(well: int, shipped: int) -> float:
    """The one-sided upper bound on the share of shipped uses that go well."""
    if not shipped:
        return 1.0
    from scipy.stats import beta

    return float(beta(1 + well, 1 + shipped - well).ppf(LEVEL))


def incidents_to_retire(well: int = 0) -> int:
    """How many shipped fixes have to be taken back until a pattern with `well` good ones retires."""
    return next(bad for bad in count(1) if upper_bound(well, well + bad) < BOUND)
