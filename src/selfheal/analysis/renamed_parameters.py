"""What a parameter is called now that a docstring tells of and the code does not have."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

# Of the letters of two names; the next best has to be clearly less alike.
ALIKE, CLEARLY = 0.6, 0.1


def present_name(old: str, told: Sequence[str], parameters: Sequence[str]) -> str | None:
    """The parameter that took a name's place; None where that is not sure.

    `told` are the names that the docstring tells of, in its order, `parameters` those of the
    code. It is the only one that nobody tells of where `old` is the only one that is gone,
    else the one between the same neighbours, else the one with the likest name.
    """
    new = [name for name in parameters if name not in told]
    gone = [name for name in told if name not in parameters]
    if len(new) == len(gone) == 1:
        return new[0]
    likest = _likest(old, new)
    return likest if likest is not None else _between(old, told, parameters)


def _likest(old: str, new: Sequence[str]) -> str | None:
    words = set(old.split("_"))
    within = [name for name in new if (own := set(name.split("_"))) <= words or words <= own]
    if len(within) == 1:
        return within[0]
    ranked = sorted(
        ((SequenceMatcher(None, old, name).ratio(), name) for name in new), reverse=True
    )
    if not ranked or ranked[0][0] < ALIKE:
        return None
    clear = len(ranked) == 1 or ranked[0][0] - ranked[1][0] >= CLEARLY
    return ranked[0][1] if clear else None


def _between(old: str, told: Sequence[str], parameters: Sequence[str]) -> str | None:
    """The one parameter between its neighbours, where the docstring keeps to the code's order."""
    kept = [parameters.index(name) for name in told if name in parameters]
    if not kept or kept != sorted(kept):
        return None
    place = list(told).index(old)
    before = [parameters.index(name) for name in told[:place] if name in parameters]
    after = [parameters.index(name) for name in told[place + 1 :] if name in parameters]
    start, stop = max(before, default=-1) + 1, min(after, default=len(parameters))
    others = [name for name in told if name not in parameters and name != old]
    found = [name for name in parameters[start:stop] if name not in told]
    return found[0] if len(found) == 1 and not others else None
