"""Replies to recorded requests before and after a change: what differs is counted and told."""

from __future__ import annotations

from typing import Any

import pytest

from selfheal.artifacts.patch import RecordedRequest
from selfheal.sandbox.behaviour import behaviour, behaviour_check
from selfheal.sandbox.replies import compared, first_difference
from selfheal.sandbox.work import Work

SESSION = [RecordedRequest(method="GET", path="/carts/1", query="all=1", status=200)]


def reply(document: Any = None, status: int = 200, **more: Any) -> Work:
    return Work(status=status, document=document, **more)


@pytest.mark.parametrize(
    ("first", "again", "after", "count", "differing"),
    [
        (reply([1]), reply([1]), reply([1]), 1, 0),
        (reply([1]), reply([1]), reply([2]), 1, 1),
        (reply([1]), reply([1]), reply([1], 404), 1, 1),
        (reply([1]), reply([1]), Work(exception="KeyError"), 1, 1),
        (reply([1]), reply([9]), reply([2]), 0, 0),
        (reply([1], 500), reply([1], 500), reply([1]), 0, 0),
        (Work(exception="KeyError"), Work(exception="KeyError"), reply([1]), 0, 0),
        (reply([1]), reply([1]), Work(unavailable="no answer"), 0, 0),
        (Work(unavailable="x"), Work(unavailable="x"), reply([1]), 0, 0),
    ],
)
def test_well_answered_requests_are_compared_and_noise_and_failures_are_not(
    first: Work, again: Work, after: Work, count: int, differing: int
) -> None:
    found = compared([SESSION], [first], [again], [after])

    assert (found.compared, len(found.differing)) == (count, differing)


def test_a_difference_is_told_with_its_place_and_counts_beside_the_calls_of_tests() -> None:
    before, after = {"items": [{"a/b": 3}]}, {"items": [{"a/b": 4}]}
    found = compared([SESSION], [reply(before)], [reply(before)], [reply(after)])
    check = behaviour_check(behaviour({}, {}, {}).with_others(*found))

    told = "GET /carts/1?all=1 has 3 before and 4 after at /document/items/0/a~1b"
    assert found.differing == (told,)
    assert (check.verdict, check.counts["differing"]) == ("passed", 1)
    assert told in check.summary


@pytest.mark.parametrize(
    ("one", "other", "place"),
    [
        ({"a": 1}, {"a": 1}, "/"),
        ({"a": 1}, {"b": 1}, "/"),
        ({"a": [1, 2]}, {"a": [1]}, "/a"),
        ({"a": {"~": 1}}, {"a": {"~": 2}}, "/a/~0"),
    ],
)
def test_the_first_difference_of_two_documents(one: Any, other: Any, place: str) -> None:
    assert first_difference(one, other)[0] == place
