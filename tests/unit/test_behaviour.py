"""What a change does to the calls of passing tests: recorded, compared, and put in order."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.artifacts.validation import Check
from selfheal.sandbox.behaviour import (
    asserted_literals,
    behaviour,
    behaviour_check,
    new_literals,
    order_of,
)
from selfheal.sandbox.forkserver import Call, Ran
from selfheal.sandbox.forkserver_calls import NODES_AT_MOST, Recorder, described


def ran(test: str, *calls: tuple[str, str]) -> Ran:
    told = tuple(Call("f", before, after, before, f"gives {after}") for before, after in calls)
    return Ran(test, "passed", 0.1, None, frozenset(), told)


def test_the_same_input_with_another_outcome_is_a_difference_and_noise_is_none() -> None:
    before = {"t": ran("t", ("1", "a"), ("2", "b"), ("3", "noise"), ("4", "gone"))}
    again = {"t": ran("t", ("1", "a"), ("2", "b"), ("3", "other noise"), ("4", "gone"))}
    after = {"t": ran("t", ("1", "a"), ("2", "c"), ("3", "x"), ("5", "new"))}
    found = behaviour(before, again, after)

    assert (found.compared, found.differing) == (2, 1)
    assert found.listed == ("f with 2 gives b before and gives c after (t)",)
    assert "1 of 2 calls" in behaviour_check(found).summary


def test_all_differences_are_counted_and_some_listed() -> None:
    before = {"t": ran("t", *((str(n), "a") for n in range(30)))}
    after = {"t": ran("t", *((str(n), "b") for n in range(30)))}
    found = behaviour(before, before, after)

    assert (found.differing, len(found.listed)) == (30, 10)
    assert behaviour_check(found).summary.endswith("and 20 more")


def test_no_call_to_compare_is_no_proof_of_sameness() -> None:
    assert behaviour_check(behaviour({}, {}, {})).verdict == "unavailable"


def test_an_answer_taken_from_the_test_comes_last_then_differences_then_literals() -> None:
    def check(differing: int, literals: Counter[str]) -> Any:
        calls = [(str(n), "a") for n in range(3)]
        changed = [(key, "b") if n < differing else (key, "a") for n, (key, _) in enumerate(calls)]
        runs = {"t": ran("t", *calls)}
        after = {"t": ran("t", *changed)}
        return behaviour_check(behaviour(runs, runs, after, literals, frozenset({"3", "0"})))

    plain, literal = check(0, Counter()), check(0, Counter(["7"]))
    small, differing = check(0, Counter(["0"])), check(1, Counter())
    overfit = check(0, Counter(["3"]))
    ordered = sorted([overfit, differing, literal, plain], key=lambda each: order_of([each]))

    assert ordered == [plain, literal, differing, overfit]
    assert order_of([small]) == order_of([literal])
    assert "a failing test expects: 3" in overfit.summary


def test_new_literals_are_those_that_occur_more_often() -> None:
    assert new_literals("a = 1 + 1", "a = 1 + 'x' + 'x'") == Counter({"'x'": 2})
    assert new_literals(None, "a = 2") == Counter({"2": 1})


def test_literals_of_failing_tests_are_those_of_the_named_functions() -> None:
    text = (
        "class T:\n    def test_a(self):\n        assert f(4) == 'x'\ndef test_b():\n    assert 5\n"
    )

    assert asserted_literals({"t.py": text}, ["t.py::T::test_a[1]"]) == {"4", "'x'"}
    assert asserted_literals({"t.py": text}, ["t.py::test_gone"]) == {"4", "'x'", "5"}
    assert asserted_literals({}, ["t.py::test_a"]) == frozenset()


def changes(items: list[int], more: int = 2) -> int:
    items.append(more)
    return len(items)


def recursive(n: int) -> int:
    return n and recursive(n - 1)


def counting(n: int) -> Iterator[int]:
    yield n
    yield n + 1


def fails() -> None:
    raise KeyError("key")


def catches() -> str:
    with contextlib.suppress(KeyError):
        fails()
    return "done"


def recorded(*functions: Any) -> list[list[str]]:
    """The calls that running functions with their arguments makes."""
    names = [("here", function.__qualname__) for function, *_ in functions]
    recorder = Recorder(names, lambda file: "here" if file == __file__ else None)
    before = sys.gettrace()
    recorder.start()
    try:
        for function, *arguments in functions:
            try:
                list(function(*arguments)) if function is counting else function(*arguments)
            except KeyError:
                continue
    finally:
        calls = recorder.stop()
        sys.settrace(before)
    return calls


def test_a_call_is_told_with_what_it_was_given_and_what_became_of_that() -> None:
    (call,) = recorded((changes, [1]))

    assert call[0] == "changes"
    assert call[3] == "'items': [1], 'more': 2"
    assert call[4] == "gives 2, given is then {'items': [1, 2], 'more': 2}"


def test_calls_within_a_recorded_call_are_part_of_it() -> None:
    assert [call[4] for call in recorded((recursive, 3))] == ["gives 0"]


def test_exceptions_that_leave_a_function_are_its_outcome_and_others_are_not() -> None:
    calls = recorded((fails,), (catches,))

    assert [call[4] for call in calls] == ["raises KeyError ('key')", "gives 'done'"]


def test_a_generator_is_recorded_as_it_is_resumed() -> None:
    calls = recorded((counting, 5))

    assert [call[4] for call in calls] == ["yields 5", "yields 6", "gives None"]


class Box:
    def __init__(self, content: Any) -> None:
        self.content = content
        self.me = self

    def __repr__(self) -> str:
        raise RuntimeError("code of the project must not run")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Box(1), Box(1), True),
        (Box(1), Box(2), False),
        ({1, 2, "x"}, {"x", 2, 1}, True),
        (1, True, False),
        (1, 1.0, False),
        ([1, 2], (1, 2), False),
        (object(), object(), True),
        (2**4400, 2**4400 + 1, False),
        ("a" * 5000, "a" * 5001, False),
    ],
)
def test_descriptions_tell_values_apart_by_what_they_hold(one: Any, other: Any, same: bool) -> None:
    assert (described(one) == described(other)) is same


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(VALUES)
def test_equal_values_have_one_description(value: Any) -> None:
    assert described(value) == described(copy.deepcopy(value))


def test_descriptions_of_endless_and_of_huge_values_end() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    endless: list[Any] = []
    endless.append(endless)

    assert described(endless) == "[…]"
    assert len(described(deep)) < NODES_AT_MOST
    assert len(described(list(range(100_000)))) < 10 * NODES_AT_MOST


def test_a_change_that_no_test_notices_stands_behind_one_that_alters_a_few_calls() -> None:
    def checks(differing: int, killed: int) -> list[Any]:
        calls = [(str(n), "a") for n in range(20)]
        changed = [(key, "b") if n < differing else (key, "a") for n, (key, _) in enumerate(calls)]
        found = behaviour(
            {"t": ran("t", *calls)}, {"t": ran("t", *calls)}, {"t": ran("t", *changed)}
        )
        counts = {"killed": killed, "total": 4}
        mutants = Check(name="mutants", verdict="passed", summary="", required=False, counts=counts)
        return [behaviour_check(found), mutants]

    meant, unnoticed, heavy = checks(3, 4), checks(0, 0), checks(15, 4)

    assert sorted([unnoticed, heavy, meant], key=order_of) == [meant, heavy, unnoticed]
    counts = {"killed": 0, "total": 1}
    single = Check(name="mutants", verdict="passed", summary="", required=False, counts=counts)
    assert order_of([single]) == order_of([]), "one mutant says nothing"
    assert order_of(meant) == order_of(checks(0, 4))
