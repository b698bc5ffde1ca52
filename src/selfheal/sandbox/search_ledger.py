"""What became of the attempts of a search, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from selfheal.artifacts.patch import Tried
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
