"""A pattern whose fixes are taken back retires after a counted number of incidents."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from test_learning_ledger import use

from selfheal.artifacts import Pattern, Patterns
from selfheal.artifacts.patterns import EditTemplate, Retirement, pattern_id
from selfheal.learning.ledger import DECAY, confidence, decayed, recorded
from selfheal.learning.retirement import incidents_to_retire
from selfheal.repair.ranking import applicable, exploration, matching_pattern, retired_pattern

TEMPLATE = EditTemplate(
    form="expression",
    before="HOLE_1.get(HOLE_2)",
    after="HOLE_1[HOLE_2]",
    holes={"HOLE_1": "name", "HOLE_2": "name"},
)


def after(outcomes: list[str], **fields: Any) -> Pattern:
    """The one pattern of a library after shipped uses that ended so, one a run."""
    uses = [
        use(run=f"run-{number:03d}", outcome=outcome).model_copy(update=fields)  # type: ignore[arg-type]
        for number, outcome in enumerate(outcomes)
    ]
    (pattern,) = recorded(Patterns(patterns=[]), uses).patterns
    return pattern


def test_a_poisoned_pattern_is_retired_after_three_incidents() -> None:
    assert incidents_to_retire() == 3
    assert after(["rolled_back"] * 2).retired is None
    retired = after(["rolled_back"] * 3).retired
    assert retired is not None
    assert retired.by == "selfheal"
    assert "3 of 3 shipped fixes were taken back" in retired.reason


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 15))
def test_the_more_it_has_healed_the_more_it_takes(well: int) -> None:
    needed = incidents_to_retire(well)
    assert after(["merged"] * well + ["rolled_back"] * (needed - 1)).retired is None
    assert after(["merged"] * well + ["ineffective"] * needed).retired is not None
    assert incidents_to_retire(well + 1) >= needed


def test_a_retired_pattern_proposes_and_recommends_nothing() -> None:
    pattern = after(["merged", *["rolled_back"] * 6], templates=[TEMPLATE])
    assert pattern.templates == [TEMPLATE]
    library = Patterns(patterns=[pattern])
    assert pattern.retired is not None
    assert applicable(library, "error", {}) == []
    assert matching_pattern(library, "error", "p", "p", {}) is None
    assert retired_pattern(library, "error", "p", "p", {}) is None
    known = pattern.model_copy(update={"id": pattern_id("error", {}, "s", "t")})
    assert retired_pattern(Patterns(patterns=[known]), "error", "s", "t", {}) == known


def test_a_person_takes_it_back_into_service_and_its_past_is_not_held_against_it() -> None:
    pattern = after(["rolled_back"] * 3)
    runs = [entry.run_id for entry in pattern.provenance]
    pardoned = pattern.model_copy(update={"retired": None, "pardoned": runs})
    again = use(run="run-100", outcome="rolled_back")
    (found,) = recorded(Patterns(patterns=[pardoned]), [again]).patterns
    assert found.retired is None


def test_what_a_person_retired_stays_so() -> None:
    pattern = after(["merged"]).model_copy(
        update={"retired": Retirement(by="ada", reason="too clever")}
    )
    (found,) = recorded(Patterns(patterns=[pattern]), [use(run="run-100")]).patterns
    assert found.retired == Retirement(by="ada", reason="too clever")


def test_what_happens_now_counts_more_than_what_happened_long_ago() -> None:
    assert decayed(["a", "c", "b", "c"]) == [DECAY**2, 1, DECAY, 1]
    fell = after(["merged"] * 20 + ["rolled_back"] * 5).confidence
    rose = after(["rolled_back"] * 5 + ["merged"] * 20).confidence
    assert fell < confidence(20, 25)[0] < rose


def test_only_fixes_that_held_teach_a_template() -> None:
    assert after(["merged"], templates=[TEMPLATE]).templates == [TEMPLATE]
    assert after(["rolled_back"], templates=[TEMPLATE]).templates == []
    (twice,) = after(["merged", "merged"], templates=[TEMPLATE]).templates
    assert twice == TEMPLATE.model_copy(update={"support": 2})


def test_exploring_is_repeatable_and_greater_where_less_is_known() -> None:
    new, old = after(["merged"]), after(["merged"] * 60)
    draws = [(exploration(new, str(n)), exploration(old, str(n))) for n in range(200)]
    assert draws == [(exploration(new, str(n)), exploration(old, str(n))) for n in range(200)]
    mean = [sum(abs(draw) for draw in side) / 200 for side in zip(*draws, strict=True)]
    assert mean[0] > 3 * mean[1]
    assert exploration(None, "d") == 0
