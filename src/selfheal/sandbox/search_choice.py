"""Which of several edits that pass is the likeliest to be right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from selfheal.repair import Edit, edited
from selfheal.repair.strategies import OF_FAULTS
from selfheal.sandbox.search_model import Attempt

# A guard that a strategy gave stands behind the search space: it mends less, and hides more.
OF_GUARDS = 0.1


def likelihood(attempt: Attempt) -> float:
    """How likely an attempt is, beside others of the same search."""
    if attempt.code is not None:
        return attempt.code.score
    return attempt.edit.fit * (1.0 if attempt.edit.strategy in OF_FAULTS else OF_GUARDS)


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
