"""The order in which candidates are tried.

A candidate's base is what the evidence says: the location's score, how well the
template fits the facts, and how small the change is. The pattern library's confidence
weighs as much as all of that together, so that what healed a like trouble before comes
first; what the library does not know has a prior.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import Any

from selfheal.artifacts.model import AnomalyKind
from selfheal.artifacts.patterns import Pattern, Patterns, pattern_id

WEIGHTS = {"location": 0.25, "fit": 0.5, "cost": 0.25}
LIBRARY_WEIGHT = 0.5
EXPLORATION_WEIGHT = 0.05
PRIOR = 0.3
MOST_APPLICABLE = 50


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
        own = pattern.edit.get("strategy", pattern.name) == strategy
        if not own or not _fits(pattern, kind, context):
            continue
        other = pattern.edit.get("template", template) != template
        lent = PRIOR + (pattern.confidence - PRIOR) / 2 if other else pattern.confidence
        found.append((lent if not other else lent - 1e-9, pattern.id, pattern))
    if not found:
        return None
    # What happened here comes before what is told of elsewhere.
    exact = [each for each in found if each[2].edit.get("template", template) == template]
    exact = [each for each in exact if each[2].origin is None] or exact
    lent, _, pattern = max(exact or found, key=lambda each: (each[0], each[1]))
    return pattern, lent


def lending_pattern(library: Patterns | None, pattern_id: str) -> tuple[Pattern, float] | None:
    """The pattern whose template an edit follows, and half of what it is above the prior."""
    for pattern in library.patterns if library else ():
        if pattern.id == pattern_id:
            return pattern, PRIOR + (pattern.confidence - PRIOR) / 2
    return None


def retired_pattern(
    library: Patterns | None,
    kind: AnomalyKind,
    strategy: str,
    template: str,
    context: Mapping[str, Any],
) -> Pattern | None:
    """The pattern that an edit would be a use of, where that one is retired."""
    own = pattern_id(kind, dict(context), strategy, template)
    found = (each for each in (library.patterns if library else ()) if each.id == own)
    return next((each for each in found if each.retired is not None), None)


def applicable(
    library: Patterns | None, kind: AnomalyKind, context: Mapping[str, Any]
) -> list[Pattern]:
    """The patterns whose templates may be tried for a trouble, most trusted first."""
    found = [
        pattern
        for pattern in (library.patterns if library else ())
        if pattern.templates and _fits(pattern, kind, context)
    ]
    return sorted(found, key=lambda each: (-each.confidence, each.id))[:MOST_APPLICABLE]


def exploration(pattern: Pattern | None, diagnosis_id: str) -> float:
    """What a draw from the pattern's posterior is above its mean; 0 without a pattern.

    The posterior is taken as normal over its 95 % interval, and the draw is a function of
    both names.
    """
    if pattern is None:
        return 0.0
    digest = hashlib.sha256(f"{pattern.id} {diagnosis_id}".encode()).digest()
    drawn = (int.from_bytes(digest[:8], "big") + 0.5) / 2**64
    low, high = pattern.confidence_interval
    spread = (high - low) / (2 * NormalDist().inv_cdf(0.975))
    return max(-1.0, min(1.0, NormalDist().inv_cdf(drawn) * spread))


def _fits(pattern: Pattern, kind: AnomalyKind, context: Mapping[str, Any]) -> bool:
    """Whether a pattern is in use, of this kind, and no fact of its context contradicts ours.

    What a history was mended of is not known: its patterns fit every kind.
    """
    known = pattern.applicability
    if pattern.retired is not None or (known.kind != kind and pattern.mined is None):
        return False
    facts = {name: value for name, value in known.context.items() if name in _FACTS}
    return all(context.get(name) == value for name, value in facts.items())


_FACTS = ("exception_type", "slow_pattern")


def cost_score(added: int, removed: int) -> float:
    """1 for the smallest change, falling with the logarithm of the lines touched."""
    return 1 / (1 + math.log1p(max(added + removed - 1, 0)) / 2)


def score_parts(
    location: float, fit: float, cost: float, library: float | None, explored: float = 0.0
) -> tuple[float, dict[str, float]]:
    """The score (0–1) and the parts that it is made of."""
    base = {"location": location, "fit": fit, "cost": cost}
    parts = {
        name: round((1 - LIBRARY_WEIGHT) * WEIGHTS[name] * value, 6) for name, value in base.items()
    }
    parts["library"] = round(LIBRARY_WEIGHT * (PRIOR if library is None else library), 6)
    if explored:
        parts["exploration"] = round(EXPLORATION_WEIGHT * explored, 6)
    return round(min(1.0, max(0.0, sum(parts.values()))), 6), parts


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
