"""Where edits that pass do many unlike things, which is right cannot be told."""

from __future__ import annotations

from selfheal.repair import Edit
from selfheal.sandbox.behaviour import Behaviour
from selfheal.sandbox.search_choice import undecided
from selfheal.sandbox.search_model import Attempt


def attempts(*fits: float) -> list[Attempt]:
    return [
        Attempt(
            Edit(strategy="restore_expression", template="t", explanation="", fit=fit, splices=[])
        )
        for fit in fits
    ]


def test_many_unlike_edits_leave_it_open():
    made = attempts(0.5, 0.5, 0.5, 0.5)
    assert undecided(made[0], made, [Behaviour(came=each) for each in "abcd"])


def test_edits_that_do_the_same_are_one():
    made = attempts(0.5, 0.5, 0.5, 0.5)
    assert not undecided(made[0], made, [Behaviour(came=each) for each in "aabc"])


def test_one_that_is_much_likelier_decides():
    made = attempts(0.9, 0.1, 0.1, 0.1)
    assert not undecided(made[0], made, [Behaviour(came=each) for each in "abcd"])


def test_few_edits_and_edits_without_near_calls_are_left_to_rank():
    made = attempts(0.5, 0.5, 0.5)
    assert not undecided(made[0], made, [Behaviour(came=each) for each in "abc"])
    made = attempts(0.5, 0.5, 0.5, 0.5)
    assert not undecided(made[0], made, [Behaviour() for _ in made])
