"""The outcome ledger: every use counts once, and figures follow from the provenance."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.artifacts import Pattern, Patterns
from selfheal.artifacts.patterns import Applicability, Outcomes
from selfheal.errors import InvalidInput
from selfheal.learning.ledger import PROVEN, Outcome, Use, confidence, recorded
from selfheal.learning.library import holds, read_library, update_library

OUTCOMES: tuple[Outcome, ...] = ("failed", "validated", "merged", "ineffective", "rolled_back")


def use(
    pattern: str = "p", run: str = "r", candidate: str = "c", outcome: Outcome = "merged"
) -> Use:
    blank = Pattern(
        id=pattern,
        name=pattern,
        applicability=Applicability(kind="error"),
        edit={},
        outcomes=Outcomes(),
        confidence=0.5,
        confidence_interval=(0.025, 0.975),
        provenance=[],
    )
    return Use(
        pattern=blank, run_id=run, candidate_id=candidate, operation="GET /", outcome=outcome
    )


uses = st.lists(
    st.builds(
        use,
        st.sampled_from("pq"),
        st.sampled_from("rs"),
        st.sampled_from("abc"),
        st.sampled_from(OUTCOMES),
    ),
    unique_by=lambda u: (u.pattern.id, u.run_id, u.candidate_id),
    max_size=12,
)


@settings(deadline=None)
@given(uses)
def test_recording_again_or_in_another_order_changes_nothing(given_uses: list[Use]) -> None:
    once = recorded(Patterns(patterns=[]), given_uses)
    assert recorded(once, given_uses) == once
    assert recorded(Patterns(patterns=[]), given_uses[::-1]) == once
    one_by_one = Patterns(patterns=[])
    for each in given_uses:
        one_by_one = recorded(one_by_one, [each])
    assert one_by_one == once


@settings(deadline=None)
@given(uses)
def test_figures_are_a_fold_over_provenance(given_uses: list[Use]) -> None:
    for pattern in recorded(Patterns(patterns=[]), given_uses).patterns:
        mine = [u.outcome for u in given_uses if u.pattern.id == pattern.id]
        assert pattern.outcomes.tried == len(mine)
        assert pattern.outcomes.validated == sum(outcome in PROVEN for outcome in mine)
        assert pattern.outcomes.rolled_back == mine.count("rolled_back")
        low, high = pattern.confidence_interval
        assert 0 <= low < pattern.confidence < high <= 1


def test_a_use_that_ends_otherwise_replaces_what_was_recorded() -> None:
    library = recorded(Patterns(patterns=[]), [use(outcome="merged")])
    library = recorded(library, [use(outcome="rolled_back")])
    assert library.patterns[0].outcomes == Outcomes(tried=1, validated=1, merged=1, rolled_back=1)
    assert library.patterns[0].confidence == pytest.approx(1 / 3, abs=1e-6)


def test_confidence_is_the_posterior_under_a_uniform_prior() -> None:
    assert confidence(0, 0) == (0.5, (0.025, 0.975))
    mean, (low, high) = confidence(9, 10)
    assert mean == pytest.approx(10 / 12, abs=1e-6)
    # Quantiles of Beta(10, 2), from tables.
    assert (low, high) == pytest.approx((0.587224, 0.977168), abs=1e-4)


def test_the_trusted_pattern_comes_first() -> None:
    library = recorded(
        Patterns(patterns=[]),
        [use("bad", "r1", outcome="failed"), use("good", "r1"), use("good", "r2")],
    )
    assert [pattern.id for pattern in library.patterns] == ["good", "bad"]


def test_the_library_file_is_idempotent_and_says_what_it_holds(tmp_path: Path) -> None:
    given_uses = [use("p", "r1"), use("q", "r1", "d", "failed")]
    assert not holds(read_library(tmp_path), given_uses)
    update_library(tmp_path, given_uses, run_id="r1", produced_by="test")
    first = (tmp_path / "patterns.json").read_bytes()
    update_library(tmp_path, given_uses, run_id="r1", produced_by="test")
    assert (tmp_path / "patterns.json").read_bytes() == first
    assert holds(read_library(tmp_path), given_uses)


def test_a_library_that_is_none_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "patterns.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"patterns\.json"):
        read_library(tmp_path)
