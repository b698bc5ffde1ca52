"""Where edits that pass do many unlike things, which is right cannot be told."""

from __future__ import annotations

from selfheal.repair import Edit, Problem
from selfheal.repair.strategies import OF_FAULTS
from selfheal.sandbox.behaviour import Behaviour
from selfheal.sandbox.search_choice import least_change, undecided
from selfheal.sandbox.search_model import Attempt

# A strategy whose edits count as much as those of the search space.
FAULT = min(OF_FAULTS)


def attempts(*fits: float) -> list[Attempt]:
    return [
        Attempt(Edit(strategy=FAULT, template="t", explanation="", fit=fit, splices=[]))
        for fit in fits
    ]


def test_many_unlike_edits_leave_it_open():
    made = attempts(0.5, 0.5, 0.5, 0.5)
    assert undecided(made[0], made, [Behaviour(came=each) for each in "abcd"], guarded=False)


def test_edits_that_do_the_same_are_one():
    made = attempts(0.5, 0.5, 0.5, 0.5)
    assert not undecided(made[0], made, [Behaviour(came=each) for each in "aabc"], guarded=False)


def test_one_that_is_much_likelier_decides():
    made = attempts(0.9, 0.1, 0.1, 0.1)
    assert not undecided(made[0], made, [Behaviour(came=each) for each in "abcd"], guarded=False)


def test_few_edits_and_edits_without_near_calls_are_left_to_rank():
    made = attempts(0.5, 0.5, 0.5)
    assert not undecided(made[0], made, [Behaviour(came=each) for each in "abc"], guarded=False)
    made = attempts(0.5, 0.5, 0.5, 0.5)
    assert not undecided(made[0], made, [Behaviour() for _ in made], guarded=False)


def test_where_passing_tests_run_the_code_only_an_unlikely_edit_is_doubted():
    unlike = [Behaviour(came=each) for each in "abcd"]
    made = attempts(0.5, 0.5, 0.5, 0.5)
    assert not undecided(made[0], made, unlike, guarded=True)
    made = attempts(0.05, 0.05, 0.05, 0.05)
    assert undecided(made[0], made, unlike, guarded=True)


def test_a_guessed_pair_that_alters_calls_of_passing_tests_is_left_out():
    made, problem = attempts(0.5, 0.4), Problem.model_construct(sources={}, good_sources={})
    looks = [Behaviour(compared=9, differing=1), Behaviour(compared=9)]
    assert least_change(made, looks, problem, guessed=True) == made[1:]
    assert len(least_change(made, looks, problem, guessed=False)) == 2
