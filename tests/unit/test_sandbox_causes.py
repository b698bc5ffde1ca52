"""The proof of a suspect commit is completed by what shows the trouble, run with the fix."""

from __future__ import annotations

from typing import Any

import pytest

from selfheal.artifacts import Diagnoses, Validation
from selfheal.artifacts.diagnosis import Diagnosis, Impact
from selfheal.artifacts.validation import Check, CheckVerdict, Result, Selection
from selfheal.sandbox.causes import with_causes

IMPACT = Impact(severity="low", affected_requests=0, all_requests=0, share=0, explanation="")
PROVEN = {
    "commit": "abc",
    "reproducer": "the failing test t::a",
    "good": "ok",
    "bad": "anomalous",
    "without_commit": "ok",
}


def diagnoses(conviction: dict[str, Any] | None) -> Diagnoses:
    diagnosis = Diagnosis(
        id="d",
        anomaly_ids=[],
        kind="error",
        service="s",
        operation="o",
        title="t",
        verdict="code_cause",
        reason="",
        locations=[],
        suspect_commits=[],
        root_service="s",
        impact=IMPACT,
        complexity="low",
        recommendations=[],
        evidence={"conviction": conviction} if conviction else {},
    )
    return Diagnoses(diagnoses=[diagnosis])


def validation(chosen: str | None, **checks: CheckVerdict) -> Validation:
    made = [Check(name=name, verdict=verdict, summary="") for name, verdict in checks.items()]
    result = Result(candidate_id="c", diagnosis_id="d", verdict="passed", reason="", checks=made)
    selection = Selection(diagnosis_id="d", candidate_id=chosen, reason="", tried=1)
    return Validation(
        results=[result], selected=chosen, reason="", selections=[selection], isolation=""
    )


@pytest.mark.parametrize(
    ("checks", "point", "convicted"),
    [
        ({"regression_test": "passed"}, "ok", True),
        ({"regression_test": "unavailable", "detector": "passed"}, "ok", True),
        ({"regression_test": "failed", "detector": "passed"}, "anomalous", False),
        ({"suite": "passed"}, "unavailable", False),
    ],
)
def test_a_commit_is_convicted_by_all_four_points_alone(
    checks: dict[str, CheckVerdict], point: str, convicted: bool
) -> None:
    found = with_causes(validation("c", **checks), diagnoses(PROVEN)).selections[0].cause

    assert found is not None
    assert (found.with_fix, found.convicted) == (point, convicted)
    assert f"ok / anomalous / ok / {point}" in found.reason


def test_a_fix_does_not_convict_a_commit_that_was_not_proven_before() -> None:
    known = PROVEN | {"without_commit": "unavailable"}
    found = with_causes(validation("c", regression_test="passed"), diagnoses(known))

    assert found.selections[0].cause is not None
    assert not found.selections[0].cause.convicted


def test_without_a_fix_the_fourth_point_is_not_asked() -> None:
    found = with_causes(validation(None), diagnoses(PROVEN)).selections[0].cause

    assert found is not None
    assert (found.with_fix, found.convicted) == (None, False)


@pytest.mark.parametrize("known", [None, PROVEN | {"commit": None}])
def test_where_no_commit_was_tried_nothing_is_said(known: dict[str, Any] | None) -> None:
    assert with_causes(validation("c"), diagnoses(known)).selections[0].cause is None
