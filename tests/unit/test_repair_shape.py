"""The shape of a reply asks for what two good replies share, and notices when it is gone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.repair.shape import CHECK, common, shape_of

VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
SCOPE: dict[str, Any] = {}
exec(CHECK, SCOPE)
has_shape = SCOPE["has_shape"]


@given(VALUES)
def test_a_value_has_its_own_shape(value: Any):
    assert has_shape(value, shape_of(value))


@given(VALUES, VALUES)
def test_both_values_have_what_they_share(one: Any, other: Any):
    shared = common(shape_of(one), shape_of(other))
    assert has_shape(one, shared)
    assert has_shape(other, shared)


@pytest.mark.parametrize("reply", [[], [{"id": 1}], {"id": 1}, None])
def test_a_reply_without_its_elements_or_keys_is_noticed(reply: Any):
    assert not has_shape(reply, shape_of([{"id": 3, "name": "x"}]))


def test_more_than_asked_for_is_fine():
    assert has_shape({"id": 1, "new": [2]}, shape_of({"id": 5}))
