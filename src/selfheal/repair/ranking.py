"""The order in which candidates are tried.

A candidate's base is what the evidence says: the location's score, how well the
template fits the facts, and how small the change is. The pattern library's confidence
weighs as much as all of that together, so that what healed a like trouble before comes
first; what the library does not know has a prior.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from selfheal.artifacts.model import AnomalyKind
from selfheal.artifacts.patterns import Pattern, Patterns

WEIGHTS = {"location": 0.25, "fit": 0.5, "cost": 0.25}
LIBRARY_WEIGHT = 0.5
PRIOR = 0.3


def matching_pattern(
    library: Patterns | None,
    kind: AnomalyKind,
    strategy: str,
    template: str,
    context: Mapping[str, Any],
) -> tuple[Pattern, float] | None:
    """The library's best pattern for an edit, and the confidence that it lends.

    A pattern fits if kind and strategy agree and no fact of its context contradicts
    ours. One with the same template lends all its confidence; another variant of the
    strategy, only half of what it is above the prior.
    """
    found: list[tuple[float, str, Pattern]] = []
    for pattern in library.patterns if library else ():
        known = pattern.applicability
        if known.kind != kind or pattern.edit.get("strategy", pattern.name) != strategy:
            continue
        facts = {name: value for name, value in known.context.items() if name in _FACTS}
        if any(context.get(name) != value for name, value in facts.items()):
            continue
        other = pattern.edit.get("template", template) != template
        lent = PRIOR + (pattern.confidence - PRIOR) / 2 if other else pattern.confidence
        found.append((lent if not other else lent - 1e-9, pattern.id, pattern))
    if not found:
        return None
    exact = [each for each in found if each[2].edit.get("template", template) == template]
    lent, _, pattern = max(exact or found, key=lambda each: (each[0], each[1]))
    return pattern, lent


_FACTS = ("exception_type", "slow_pattern")


def cost_score(added: int, removed: int) -> float:
    """1 for the smallest change, falling with the logarithm of the lines touched."""
    return 1 / (1 + math.log1p(max(added + removed - 1, 0)) / 2)


def score_parts(
    location: float, fit: float, cost: float, library: float | None
) -> tuple[float, dict[str, float]]:
    """The score (0–1) and the parts that it is made of."""
    base = {"location": location, "fit": fit, "cost": cost}
    parts = {
        name: round((1 - LIBRARY_WEIGHT) * WEIGHTS[name] * value, 6) for name, value in base.items()
    }
    parts["library"] = round(LIBRARY_WEIGHT * (PRIOR if library is None else library), 6)
    return round(sum(parts.values()), 6), parts


def changed_lines(patch: str, paths: Iterable[str] | None = None) -> tuple[int, int]:
    """Lines added and removed by a patch, of some of its files."""
    from selfheal.repair.diff import parse_patch

    wanted = None if paths is None else set(paths)
    added = removed = 0
    for file in parse_patch(patch):
        if wanted is None or file.path in wanted:
            for _, body in file.hunks:
                added += sum(line.startswith("+") for line in body)
                removed += sum(line.startswith("-") for line in body)
    return added, removed
