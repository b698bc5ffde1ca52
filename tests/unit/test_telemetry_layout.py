"""Lines of JSON that are laid out alike give their values, and nothing that is not there."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.telemetry.columns import Unusual
from selfheal.telemetry.formats.span_columns import iso_moments
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.layout import Layout, Nullable, Slot, columns_alike, plain, tables_of

FIRST, LAST = map(datetime.fromisoformat, ("1960-01-01", "2262-01-01"))


def values_of(lines: list[str], nullable: Nullable | None = None) -> list[dict[str, Any]]:
    """The objects on some lines, as tables of layouts give them."""
    content = "\n".join(lines).encode()
    found: dict[int, dict[str, Any]] = {}
    for table in tables_of(content, len(lines), nullable or Nullable()):
        for key, slot in table.template.items():
            distinct, places = table.slots[slot].distinct()
            for row, place in zip(table.rows.tolist(), places.to_pylist(), strict=True):
                found.setdefault(row, {})[key] = distinct[place]
    return [found[row] for row in range(len(lines))]


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_characters='"\\', exclude_categories=("Cc", "Cs")), max_size=5),
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.lists(st.fixed_dictionaries({"a": scalars, "b:": scalars}), min_size=1, max_size=6))
def test_values_are_those_of_a_parser(objects: list[dict[str, Any]]) -> None:
    lines = [json.dumps(one, ensure_ascii=False) for one in objects]
    try:
        found = values_of(lines)
    except Unusual:
        return
    assert [list(map(repr, one.values())) for one in found] == [
        list(map(repr, one.values())) for one in objects
    ]


def test_lines_with_other_keys_or_another_order_are_tables_of_their_own() -> None:
    lines = ['{"a":"x","b":1}', '{"b":1,"a":"x"}', '{"a":"y","b":2}', '{"a":"y"}']
    assert [list(one) for one in values_of(lines)] == [["a", "b"], ["b", "a"], ["a", "b"], ["a"]]


def test_nulls_among_texts_are_learned_and_then_read_together() -> None:
    nullable = Nullable()
    lines = ['{"a":"x","b":"1"}', '{"a":null,"b":"2"}']
    assert [one["a"] for one in values_of(lines, nullable)] == ["x", None]
    assert len(tables_of("\n".join(lines).encode(), 2, nullable)) == 1


def test_a_value_that_reads_like_a_null_stays_a_text() -> None:
    lines = ['{"a":": null","b":"x"}', '{"a":"y","b":null}', '{"a":"a : null,","b":"z"}']
    assert values_of(lines) == [json.loads(line) for line in lines]


@pytest.mark.parametrize("line", ['{"a":"\\n"}', '{"a":"\x00"}'])
def test_escapes_and_the_mark_for_null_are_left_to_others(line: str) -> None:
    assert not plain(line.encode())


@pytest.mark.parametrize("line", ["", "{", '{"a":}', '{"a":[1,2]}', '{"a" "b"}', "a,b"])
def test_what_is_no_line_of_values_has_no_layout(line: str) -> None:
    with pytest.raises(Unusual):
        Layout(line.encode())


@pytest.mark.parametrize("line", ['{"a":"\t"}', '{"a":01}', '{"a":nul}', '{"a":1 2}'])
def test_what_is_no_json_among_others_is_unusual(line: str) -> None:
    with pytest.raises(Unusual):
        values_of(['{"a":"x"}', '{"a":5}', line])


def test_objects_with_structures_or_a_key_twice_are_left_to_others() -> None:
    for line in (b'{"a":{"b":"x"}}', b'{"a":["x"]}', b'{"a":"x","a":"y"}', b'["x"]'):
        assert columns_alike(line, 1, Nullable(), lambda _: {}) is None


def test_integers_are_those_that_json_writes() -> None:
    def integers(*texts: bytes) -> list[int] | None:
        found = Slot(pa.array(texts, pa.binary()), quoted=False).integers()
        return None if found is None else found.tolist()

    assert integers(b"0", b"9223372036854775807") == [0, 2**63 - 1]
    for text in (b"-1", b"01", b"1.0", b"1e3", b"9223372036854775808", b"0x10", b""):
        assert integers(b"5", text) is None


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.datetimes(FIRST, LAST), min_size=32, max_size=33),
    st.sampled_from(("{}Z", "{}")),
    st.sampled_from("T "),
    st.sampled_from(".,"),
)
def test_times_in_bulk_are_the_times_of_texts(
    moments: list[datetime], form: str, between: str, point: str
) -> None:
    texts = [form.format(one.isoformat(between)).replace(".", point) for one in moments]
    found = iso_moments(pa.array(texts))
    assert found is not None
    assert found.tolist() == [time_ns(text) or 0 for text in texts]


@pytest.mark.parametrize("odd", ["2024-02-30 00:00:00", "2024-01-01 24:00:00", "now", "2024-01-01"])
def test_texts_that_are_no_times_are_read_one_by_one(odd: str) -> None:
    assert iso_moments(pa.array(["2024-05-01 12:00:00"] * 40 + [odd])) is None
