"""A choice that only rank makes is said to be one, and no policy decides on it alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from selfheal_handlers.deployment import _examples

from selfheal.artifacts.validation import Check, Result
from selfheal.delivery.plan import make_plan
from selfheal.delivery.policy import Ruling, doubted
from selfheal.sandbox.doubt import FEW, weak_suite


def result(name: str, compared: int, differing: int, told: str = "") -> Result:
    counts = {"compared": compared, "differing": differing}
    check = Check(name="behaviour", verdict="passed", summary=told, required=False, counts=counts)
    return Result(candidate_id=name, diagnosis_id="d", verdict="passed", reason="", checks=[check])


@pytest.mark.parametrize(
    ("rival", "doubt"),
    [
        (result("b", 50, 0), None),
        (result("b", 48, 0, "48 calls come out as before"), None),
        (result("b", 50, 3, "f(3) returned 4 before and 5 after"), "alters other calls"),
        (result("b", 50, 30, "f(3) returned 4 before and 5 after"), None),
    ],
    ids=["agrees", "agrees on other calls", "differs", "alters many more"],
)
def test_rivals_leave_a_doubt_where_they_alter_other_calls_and_as_many(
    rival: Result, doubt: str | None
) -> None:
    found = weak_suite(result("a", 50, 0), [rival])
    assert (found is None) if doubt is None else (found is not None and doubt in found)


def test_few_compared_calls_tell_no_rivals_apart() -> None:
    few = FEW - 1
    told = weak_suite(result("a", few, 0), [result("b", few, 0), result("c", few, 0)])
    assert told is not None
    assert told.startswith("weak suite: b and 1 more pass as well")
    assert weak_suite(result("a", few, 0), []) is None


def test_a_person_decides_on_a_doubtful_change_whatever_the_policy() -> None:
    auto = Ruling(approval="auto", reason="the policy says auto")
    assert doubted(auto, None) == auto
    asked = doubted(auto, "weak suite: b passes as well")
    assert asked.approval == "review"
    assert "weak suite" in asked.reason
    never = Ruling(approval="never", reason="")
    assert doubted(never, "weak suite") == never


def test_the_pull_request_tells_of_a_weak_suite(tmp_path: Path) -> None:
    given = _examples.load_validation_results(tmp_path)
    validation = given["validation"]
    selections = [
        each.model_copy(update={"weak_suite": "weak suite: b passes as well"})
        for each in validation.selections
    ]
    plan = make_plan(
        validation.model_copy(update={"selections": selections}),
        given["patch"],
        given["diagnosis"],
        given["anomalies"],
        config=given["config"],
        run_id="r",
    )
    assert "Weak suite: b passes as well. Look whether" in plan.body
