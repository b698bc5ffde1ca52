"""Which of several edits that pass is the likeliest to be right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from selfheal.repair import Edit, Problem, edited
from selfheal.repair.strategies import OF_FAULTS
from selfheal.sandbox.behaviour import Behaviour
from selfheal.sandbox.search_model import Attempt

# A guard that a strategy gave stands behind the search space: it mends less, and hides more.
OF_GUARDS = 0.1

# What is less likely than this passes rather by chance.
UNLIKELY = 0.1
# So many edits that pass are many; so large a share of their weight has to do the same.
MANY, ALIKE = 4, 1 / 3


def likelihood(attempt: Attempt) -> float:
    """How likely an attempt is, beside others of the same search."""
    if attempt.code is not None:
        return attempt.code.score
    return attempt.edit.fit * (1.0 if attempt.edit.strategy in OF_FAULTS else OF_GUARDS)


def least_change(
    attempts: Sequence[Attempt],
    looks: Sequence[Behaviour],
    problem: Problem,
    *,
    guessed: bool,
) -> list[Attempt]:
    """Those first that alter least of what passing tests rely on.

    Where they are `guessed`, thousands of pairs of which some pass by chance, those are left
    out that alter a call which passing tests make.
    """
    kept = [
        (attempt, look)
        for attempt, look in zip(attempts, looks, strict=True)
        if not (guessed and look.differing)
    ]
    orders = [
        (
            bool(look.expected),
            not restores(attempt.edit, problem.sources, problem.good_sources),
            -look.trust * likelihood(attempt),
        )
        for attempt, look in kept
    ]
    return [kept[n][0] for n in sorted(range(len(kept)), key=lambda n: (orders[n], n))]


def undecided(
    best: Attempt, attempts: Sequence[Attempt], looks: Sequence[Behaviour], *, guarded: bool
) -> bool:
    """Whether edits that pass do so many different things that which is right cannot be told.

    What they do is what calls near those of the failing tests give; how much each weighs is how
    likely it is. The best is not doubted where passing tests run what it changes (`guarded`:
    else the failing tests alone say what is right), unless even it is unlikely.
    """
    if guarded and likelihood(best) >= UNLIKELY:
        return False
    weights: dict[str, float] = {}
    for attempt, look in zip(attempts, looks, strict=True):
        weights[look.came] = weights.get(look.came, 0) + look.trust * likelihood(attempt)
    own = next(look.came for each, look in zip(attempts, looks, strict=True) if each is best)
    return bool(own) and len(attempts) >= MANY and weights[own] < ALIKE * sum(weights.values())


def restores(edit: Edit, sources: Mapping[str, str], good: Mapping[str, str]) -> bool:
    """Whether all lines that an edit writes stood there when all was well, and are gone since.

    Lines are counted: the like of one that is gone may stand elsewhere in the file.
    """
    for path, text in edited(edit, sources).items():
        now = _lines(sources.get(path))
        written = _lines(text) - now
        if not written or not written <= _lines(good.get(path)) - now:
            return False
    return True


def ranked(best: Sequence[Attempt]) -> list[Edit]:
    """Edits whose fit keeps their order."""
    return [
        attempt.edit.model_copy(update={"fit": round(1 - number / 10, 6)})
        for number, attempt in enumerate(best)
    ]


def _lines(text: str | None) -> Counter[str]:
    return Counter(line.strip() for line in (text or "").splitlines())
