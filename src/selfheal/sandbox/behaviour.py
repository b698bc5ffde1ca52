"""What a change does to the calls that passing tests make: the same inputs, other outcomes.

Of several changes that make the failing tests pass, the one that alters least of what
passing tests rely on is the likeliest to be meant. Each call of a changed function by a
passing test is held against the same test's call with the same arguments before the change;
what differs between two runs without any change is noise, and not counted.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from selfheal.artifacts.validation import Check
from selfheal.sandbox.forkserver import Call, Ran

LISTED = 10
# Literals that say little of where they come from.
PLAIN = frozenset(map(repr, (0, 1, -1, True, False, None, "", b"", 0.0, 1.0)))

Runs = Mapping[str, Ran]


# How much trust goes where every call comes out otherwise; what a new literal leaves of it.
# Calls near a failing one may be as wrong as that is: they say less.
DIFFERING, NEAR, NEW_LITERAL = 0.9, 0.4, 0.8
# Fewer mutants of a change say nothing of whether tests notice it.
FEW_MUTANTS = 2
# Differences are told apart by fifths of the calls: a fix is meant to change some of them.
STEPS = 5


class Behaviour(NamedTuple):
    """How many calls were `compared`, and how many of them came out otherwise; some `listed`.

    `literals` are new in the changed code, those `expected` stand in a failing test as well.
    `near` is how many calls near those of failing tests gave something before the change, of
    which `near_differing` come out otherwise; `came` is equal for changes for which all of
    them come out alike, and empty where there are none.
    """

    compared: int = 0
    differing: int = 0
    listed: tuple[str, ...] = ()
    literals: int = 0
    expected: tuple[str, ...] = ()
    near: int = 0
    near_differing: int = 0
    came: str = ""

    def with_others(self, compared: int, differing: Sequence[str]) -> Behaviour:
        """With other observations counted as well: `differing` are those that differ, in words."""
        return self._replace(
            compared=self.compared + compared,
            differing=self.differing + len(differing),
            listed=(*differing, *self.listed)[:LISTED],
        )

    @property
    def trust(self) -> float:
        """A factor (0–1): less, the larger the share of calls that come out otherwise."""
        share = self.differing / self.compared if self.compared else 0.0
        near = self.near_differing / self.near if self.near else 0.0
        return (1 - DIFFERING * share) * (1 - NEAR * near) * NEW_LITERAL**self.literals


def behaviour(
    before: Runs,
    again: Runs,
    after: Runs,
    literals: Counter[str] | None = None,
    asserted: frozenset[str] = frozenset(),
) -> Behaviour:
    """Compare the recorded calls of tests, two runs without a change and one with it.

    `literals` are those that the change brings, `asserted` those of the failing tests.
    """
    old, same, new = _outcomes(before), _outcomes(again), _outcomes(after)
    compared, listed = 0, []
    for key in sorted(old.keys() & new.keys()):
        if [call.outcome for call in old[key]] != [call.outcome for call in same.get(key, ())]:
            continue
        for one, other in zip(old[key], new[key], strict=False):
            compared += 1
            if one.outcome != other.outcome:
                listed.append(_told(key[0], one, other))
    brought = literals or Counter()
    return Behaviour(
        compared,
        len(listed),
        tuple(listed[:LISTED]),
        sum(brought.values()),
        tuple(sorted(each for each in brought if each in asserted and each not in PLAIN)),
    )


def near_by(found: Behaviour, before: Runs, again: Runs, after: Runs) -> Behaviour:
    """With the calls near those of failing tests: of such as gave something before.

    What raised before is left out: a fix may well answer it.
    """
    old, same, new = _near(before), _near(again), _near(after)
    known = {key: came for key, came in old.items() if same.get(key) == came}
    both = [key for key, came in known.items() if key in new and came[1].startswith("gives")]
    differing = sum(new[key] != known[key] for key in both)
    steady = sorted((key, new[key]) for key in known if key in new)
    came = hashlib.sha256(repr(steady).encode()).hexdigest()[:16] if steady else ""
    return found._replace(near=len(both), near_differing=differing, came=came)


def _near(runs: Runs) -> dict[tuple[str, str, str], tuple[str, str]]:
    return {
        (test, call.function, call.given): (call.outcome, call.outcome_short)
        for test, ran in runs.items()
        for call in ran.calls
    }


def _outcomes(runs: Runs) -> dict[tuple[str, str, str], list[Call]]:
    found: defaultdict[tuple[str, str, str], list[Call]] = defaultdict(list)
    for test, ran in runs.items():
        if ran.outcome == "passed":
            for call in ran.calls:
                found[test, call.function, call.given].append(call)
    return dict(found)


def _told(test: str, one: Call, other: Call) -> str:
    return (
        f"{one.function} with {one.given_short} {one.outcome_short} before "
        f"and {other.outcome_short} after ({test})"
    )


def new_literals(before: str | None, after: str | None) -> Counter[str]:
    """The literals (as ``repr``) that occur more often after a change, with how much more."""
    return _literals(after) - _literals(before)


def _literals(text: str | None) -> Counter[str]:
    try:
        tree = ast.parse(text or "")
    except (SyntaxError, ValueError, RecursionError):
        return Counter()
    return Counter(repr(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant))


def asserted_literals(sources: Mapping[str, str], tests: Iterable[str]) -> frozenset[str]:
    """The literals (as ``repr``) in tests (node ids); `sources` are texts by path.

    Those of a whole file where a node id names no function in it.
    """
    found: set[str] = set()
    for test in tests:
        path, _, name = test.partition("::")
        function = name.partition("[")[0].rpartition("::")[2]
        try:
            tree = ast.parse(sources.get(path, ""))
        except (SyntaxError, ValueError, RecursionError):
            continue
        named: list[ast.AST] = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
        ]
        for node in named or [tree]:
            inner = (each for each in ast.walk(node) if isinstance(each, ast.Constant))
            found |= {repr(each.value) for each in inner}
    return frozenset(found)


def behaviour_check(found: Behaviour | None, reason: str = "") -> Check:
    """The check of a candidate; it condemns nobody, and orders those that pass."""
    name = "behaviour"
    if found is None or not found.compared:
        why = reason or "no passing test calls the changed code, and no request was recorded"
        counts = _literal_counts(found) if found else {}
        return Check(name=name, verdict="unavailable", summary=why, required=False, counts=counts)
    counts = {"compared": found.compared, "differing": found.differing, **_literal_counts(found)}
    if not found.differing:
        why = f"{found.compared} calls by passing tests and recorded requests come out as before"
    else:
        of = f"{found.differing} of {found.compared}"
        why = f"{of} calls by passing tests and recorded requests come out otherwise"
        more = found.differing - len(found.listed)
        why += f": {'; '.join(found.listed)}" + (f"; and {more} more" if more > 0 else "")
    if found.expected:
        why += f"; it brings what a failing test expects: {', '.join(found.expected)}"
    return Check(name=name, verdict="passed", summary=why, required=False, counts=counts)


def _literal_counts(found: Behaviour) -> dict[str, int]:
    return {"new_literals": found.literals, "expected_literals": len(found.expected)}


def order_of(checks: Sequence[Check]) -> tuple[bool, bool, int, int]:
    """The order of candidates that pass, by their checks; nothing is said against one without.

    Last those that bring what a failing test expects, before them those whose own changes
    no test notices, then by the share of calls that come out otherwise, and new literals.
    """
    counts = {check.name: check.counts for check in checks}
    found, mutants = counts.get("behaviour", {}), counts.get("mutants", {})
    total = int(mutants.get("total", 0))
    unnoticed = total >= FEW_MUTANTS and 2 * int(mutants.get("killed", 0)) < total
    compared = int(found.get("compared", 0))
    share = STEPS * int(found.get("differing", 0)) // compared if compared else 0
    expected = bool(found.get("expected_literals"))
    return expected, unnoticed, share, int(found.get("new_literals", 0))


def altered(checks: Sequence[Check]) -> float:
    """The share (0–1) of compared calls that come out otherwise; 0 where none was compared."""
    counts = next((check.counts for check in checks if check.name == "behaviour"), {})
    compared = int(counts.get("compared", 0))
    return int(counts.get("differing", 0)) / compared if compared else 0.0
