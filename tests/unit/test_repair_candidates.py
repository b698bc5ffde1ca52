"""Candidates: ranked by evidence and by what worked before, whole in one diff, reverts kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repair_problems import problem_of

from selfheal.artifacts.patterns import Applicability, Outcomes, Pattern, Patterns
from selfheal.repair import (
    Edit,
    FileChange,
    SuspectChange,
    candidates,
    documentation,
    edited,
    propose,
    without_faults,
)
from selfheal.repair.changelog import with_entry
from selfheal.repair.ranking import cost_score, matching_pattern

BAD = "def mean(xs):\n    return sum(xs) / len(xs)\n\n\ndef other():\n    return 2\n"
GOOD = BAD.replace("sum(xs) / len(xs)", "sum(xs) / len(xs) if xs else 0").replace("2", "1")
EVIDENCE = {"exception_type": "ZeroDivisionError", "message": "division by zero"}


def problem(good: str | None = GOOD):
    found = problem_of(BAD, 2, EVIDENCE, good=good)
    change = FileChange(path="app.py", path_now="app.py", before=GOOD, after=BAD)
    suspect = SuspectChange(sha="a" * 40, summary="Tidy", score=0.9, files=[change])
    return found.model_copy(update={"suspects": [suspect]})


def library(strategy: str, confidence: float, **context: str) -> Patterns:
    pattern = Pattern(
        id="pattern-1",
        name=strategy,
        applicability=Applicability(kind="error", context=context),
        edit={"strategy": strategy, "template": strategy},
        outcomes=Outcomes(tried=1, validated=1, merged=1),
        confidence=confidence,
        confidence_interval=(0.1, 0.9),
        provenance=[],
    )
    return Patterns(patterns=[pattern])


def ranked(known: Patterns | None = None, maximum: int = 8):
    found = problem()
    return candidates(found, propose(found), None, None, known, maximum)


def test_what_fits_the_evidence_comes_before_reverts():
    strategies = [each.strategy for each in ranked()]
    assert strategies[0] in ("restore_expression", "guard_zero_division")
    assert "revert_commit" in strategies


def test_what_healed_a_like_trouble_before_comes_first():
    known = library("revert_hunk", 0.67, exception_type="ZeroDivisionError")
    first = ranked(known)[0]
    assert first.strategy == "revert_hunk"
    assert first.pattern_id == "pattern-1"


def test_a_pattern_of_another_trouble_does_not_count():
    known = library("revert_hunk", 0.99, exception_type="KeyError")
    assert all(each.pattern_id is None for each in ranked(known))
    assert matching_pattern(known, "performance", "revert_hunk", "revert_hunk", {}) is None


def test_a_revert_is_kept_among_few():
    kept = ranked(maximum=2)
    assert [each.rank for each in kept] == [1, 2]
    assert kept[-1].strategy == "revert_commit"


def test_scores_are_the_sum_of_their_parts_and_ids_are_stable():
    first, again = ranked(), ranked()
    assert [each.id for each in first] == [each.id for each in again]
    for each in first:
        assert each.score == pytest.approx(sum(each.score_parts.values()))
        assert 0 <= each.score <= 1


def test_a_hunk_revert_leaves_the_rest_of_the_commit():
    hunk = next(each for each in propose(problem()) if each.strategy == "revert_hunk")
    after = edited(hunk, {"app.py": BAD})["app.py"]
    assert after == GOOD.replace("return 1", "return 2")


def test_equal_edits_count_once():
    texts = [each.patch for each in ranked()]
    assert len(texts) == len(set(texts))


def test_a_candidate_holds_the_change_log_too():
    found = problem()
    docs = documentation(found, "CHANGELOG.md", None)
    first = candidates(found, propose(found), None, docs, None, 1)[0]
    assert first.files == ["CHANGELOG.md", "app.py"]
    assert "no longer fails with ZeroDivisionError" in first.patch


def test_what_does_not_parse_is_dropped_with_the_place():
    found = problem()
    edit = Edit(strategy="s", template="t", explanation="", fit=1, files={"app.py": "def (\n"})
    made = candidates(found, [edit], None, None, None, 8)
    kept, dropped = without_faults(made, {"diagnosis-1": found.sources})
    assert not kept
    assert dropped[0].reason.startswith("app.py:1 does not parse")


@given(st.integers(0, 500), st.integers(0, 500))
def test_cost_falls_with_size(added: int, removed: int):
    assert 0 < cost_score(added + 1, removed) <= cost_score(added, removed) <= 1


LOG = st.builds(
    lambda head, body, end: end.join([*head, *body, ""]),
    st.sampled_from(
        [["# Changelog", ""], ["# Changes", "", "## [Unreleased]", "", "### Added", "- x"]]
    ),
    st.lists(st.sampled_from(["", "text", "## 1.0", "### Fixed", "- an entry"]), max_size=8),
    st.sampled_from(["\n", "\r\n"]),
)


@given(LOG)
def test_change_log_keeps_every_line_and_gains_the_entry_once(text: str):
    made = with_entry(text, "new entry")
    assert "- new entry" in made
    assert with_entry(made, "new entry") == made
    kept = iter(made.split("\n"))
    assert all(line in kept for line in text.split("\n"))


def test_change_log_is_made_where_there_is_none():
    assert with_entry(None, "x") == "# Changelog\n\n## Unreleased\n\n### Fixed\n\n- x\n"
