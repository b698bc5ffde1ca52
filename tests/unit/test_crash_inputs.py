"""Inputs near known ones: one value differs, the likeliest for an exception comes first."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.recorder.values import MARK, read, write
from selfheal.repair.crash_inputs import nearby

ORDER = {"country": "DE", "lines": [{"amount": 100, "count": 2}]}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers(0, 9), inner, max_size=2)
    ),
    max_leaves=8,
)
EXCEPTIONS = st.sampled_from(["AttributeError", "KeyError", "IndexError", "ValueError", "X"])


@given(VALUES, EXCEPTIONS, st.text(max_size=30))
def test_every_input_can_be_made_and_the_known_one_stays(
    value: Any, exception: str, message: str
) -> None:
    form = write([[value], {"option": value}])
    kept = copy.deepcopy(form)
    made = list(nearby(form, exception, message))
    assert form == kept
    assert form not in made
    assert made == list(nearby(form, exception, message))
    for each in made:
        json.dumps(each)
        read(each)


@pytest.mark.parametrize(
    ("exception", "message", "changed"),
    [
        ("AttributeError", "'NoneType' object has no attribute 'lower'", {**ORDER, "country": None}),
        ("KeyError", "'country'", {"lines": ORDER["lines"]}),
        ("KeyError", "'FR'", {**ORDER, "country": "FR"}),
        ("IndexError", "list index out of range", {**ORDER, "lines": []}),
        ("ZeroDivisionError", "division by zero", {"country": "DE", "lines": [{"amount": 100, "count": 0}]}),
        ("AttributeError", "'int' object has no attribute 'lower'", {**ORDER, "country": 1}),
    ],
)  # fmt: skip
def test_what_the_exception_tells_is_tried_first(
    exception: str, message: str, changed: dict[str, Any]
) -> None:
    made = list(nearby([[ORDER], {}], exception, message))
    assert [[changed], {}] in made[:6]


def test_a_text_that_holds_a_document_is_changed_inside() -> None:
    made = nearby([[json.dumps(ORDER)], {}], "KeyError", "'country'")
    assert [[json.dumps({"lines": ORDER["lines"]})], {}] in made


def test_fields_of_objects_are_changed_and_their_class_is_not() -> None:
    form = {MARK: "object", "class": "shop:Cart", "fields": {"owner": "ann"}}
    for (changed,), _ in nearby([[form], {}], "AttributeError", "'NoneType' object"):
        assert not isinstance(changed, dict) or not changed or changed["class"] == "shop:Cart"
