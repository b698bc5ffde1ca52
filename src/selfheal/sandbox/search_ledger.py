"""What became of the attempts of a search, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from selfheal.artifacts.patch import Tried
from selfheal.repair import Edit
from selfheal.sandbox.search_model import FATES, Attempt, Fate, Verdict

UNTRIED: tuple[Fate, ...] = ("not_run", "not_tried")


def why(verdict: Verdict) -> str:
    """The reason of a verdict, with the test that it speaks of."""
    return f"{FATES[verdict.fate]}: {verdict.detail}" if verdict.detail else FATES[verdict.fate]


def ledger(judged: Iterable[tuple[Attempt, Verdict]]) -> list[Tried]:
    """What became of the attempts, by strategy and operator."""
    counts: dict[str, Counter[Fate]] = {}
    for attempt, verdict in judged:
        counts.setdefault(attempt.label, Counter())[verdict.fate] += 1
    return [
        Tried(
            strategy=label,
            tried=sum(n for fate, n in found.items() if fate not in UNTRIED),
            fell={FATES[fate]: found[fate] for fate in sorted(found) if fate != "plausible"},
            plausible=found["plausible"],
        )
        for label, found in sorted(counts.items())
    ]


def fallen(given: Sequence[Edit], judged: Sequence[tuple[Attempt, Verdict]]) -> dict[int, str]:
    """Why edits of strategies fell, by their place among those given."""
    fates = {id(attempt.edit): verdict for attempt, verdict in judged}
    found = {}
    for number, edit in enumerate(given):
        verdict = fates.get(id(edit))
        if verdict is not None and verdict.fate not in ("plausible", "not_tried"):
            found[number] = why(verdict)
    return found


def note(found: int, *, undecided: bool, cut: bool, enough: bool, ended: bool) -> str:
    """How a search ended, in words; `found` edits made the failing tests pass."""
    if undecided:
        return (
            "too many unlike edits made the failing tests pass, and no other test tells them "
            "apart: which of them is right cannot be told"
        )
    if cut:
        return "the time limit cut the search"
    if enough:
        return "enough edits made the failing tests pass"
    if ended:
        return "what was left is less likely than edits that made the failing tests pass"
    return f"all proposed edits were tried: {found} made the failing tests pass"
