"""What the recorder writes down can be made again, is bounded, and holds no secret."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import math
import threading
import uuid
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from selfheal.recorder.redaction import keeping
from selfheal.recorder.values import Limits, NotRecordable, imported, read, write


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


@dataclasses.dataclass
class Item:
    sku: str
    price: float
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Slotted:
    __slots__ = ("name",)
    name: str


class Point(NamedTuple):
    x: int
    y: int


class Plain:
    def __init__(self, width: int) -> None:
        self.width = width

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and other.width == self.width

    __hash__ = None  # type: ignore[assignment]


class Trap:
    """Any look at it but at what it holds is a mistake."""

    def __init__(self) -> None:
        object.__getattribute__(self, "__dict__")["value"] = 1

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")

    def __repr__(self) -> str:
        raise AssertionError("it was printed")

    __str__ = __bool__ = __eq__ = __hash__ = __iter__ = __len__ = __repr__  # type: ignore


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(),
    st.decimals(allow_nan=False), st.dates(), st.datetimes(), st.timedeltas(), st.uuids(),
    st.sampled_from([Colour.RED, Colour.BLUE, Colour, PurePosixPath("a/b"), 1j, math.inf]),
    st.datetimes(timezones=st.just(datetime.UTC)), st.times(),
)  # fmt: skip
hashable = st.one_of(st.integers(), st.text(), st.booleans(), st.dates())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(hashable | st.just("$"), inner, max_size=4),
        st.sets(hashable, max_size=4),
        st.frozensets(hashable, max_size=4),
        st.builds(Item, sku=st.text(), price=st.floats(allow_nan=False)),
        st.builds(Plain, inner),
        st.builds(Slotted, st.text()),
        st.builds(Point, st.integers(), st.integers()),
    ),
    max_leaves=12,
)


@given(values)
@example({"$": "tuple", "items": [1]})
@example({(1, 2): {"a": b"\xff"}})
@example(2**80)
def test_a_value_is_made_again_from_its_json(value: Any) -> None:
    document = json.loads(json.dumps(write(value)))
    again = read(document)
    assert again == value
    assert type(again) is type(value)
    assert write(again) == document


@given(values)
def test_the_order_of_keys_and_the_types_of_numbers_are_kept(value: Any) -> None:
    again = read(json.loads(json.dumps(write({"b": value, "a": 1.0, "c": True}))))
    assert list(again) == ["b", "a", "c"]
    assert type(again["a"]) is float
    assert again["c"] is True


@pytest.mark.parametrize(
    "value",
    [
        *(threading.Lock(), object(), iter([]), len, lambda: 1, ValueError("x"), "\ud800"),
        *([object()], {"a": object()}, datetime.datetime.now().astimezone().tzinfo),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_made_again_is_said_to_be_so(value: Any) -> None:
    with pytest.raises(NotRecordable):
        write(value)


def test_a_class_defined_in_a_function_cannot_be_found_again() -> None:
    class Local:
        def __init__(self) -> None:
            self.a = 1

    with pytest.raises(NotRecordable, match="inside of a function"):
        write(Local())


def test_no_code_of_an_object_is_run() -> None:
    assert write([Trap()])[0]["fields"] == {"value": 1}


@pytest.mark.parametrize(
    ("limits", "value"),
    [
        (Limits(depth=3), [[[[1]]]]),
        (Limits(values=10), list(range(10))),
        (Limits(text=5), "longer"),
        (Limits(text=5), b"longer"),
        (Limits(total=10), ["four", "four", "four"]),
        (Limits(), [1 << 20_000]),
    ],
)
def test_values_beyond_a_limit_are_not_written(limits: Limits, value: Any) -> None:
    with pytest.raises(NotRecordable):
        write(value, limits)


def test_an_object_that_holds_itself_ends() -> None:
    plain = Plain(1)
    plain.width = plain  # type: ignore[assignment]
    with pytest.raises(NotRecordable, match="deeper"):
        write(plain)


@pytest.mark.parametrize(
    "key", ["password", "userPassword", "X-Api-Key", "AUTHORIZATION", "e_mail", "access.token"]
)
def test_values_of_secret_keys_are_kept_back(key: str) -> None:
    form = write({key: "hunter2", "kept": Item("hunter3", 1.0)}, keeping=keeping())
    assert "hunter2" not in json.dumps(form)
    assert "hunter3" in json.dumps(form)
    assert read(form)[key] == "redacted"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to ann.b+c@example.co.uk now", "write to redacted now"),
        ("Bearer abcdef0123456789", "redacted"),
        ("postgres://ann:hunter2@db/shop", "postgres://redacted@db/shop"),
        ("card 4111 1111 1111 1111.", "card redacted."),
        ("order 4111 1111 1111 1112.", "order 4111 1111 1111 1112."),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc", "redacted"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIx.SflKxw", "redacted"),
        ("nothing secret at 10:30", "nothing secret at 10:30"),
    ],
)
def test_secrets_in_texts_are_kept_back(text: str, left: str) -> None:
    assert write([text], keeping=keeping()) == [left]


def test_secrets_of_the_user_are_kept_back_too() -> None:
    kept = keeping(names=["badge"], texts=[r"K-\d+"])
    assert write({"badge_no": 7, "note": "see K-12"}, keeping=kept) == {
        "badge_no": {"$": "redacted", "type": "int"},
        "note": "see redacted",
    }


def test_what_a_name_stands_for_is_imported() -> None:
    assert imported("decimal:Decimal") is decimal.Decimal
    assert imported("uuid:UUID.hex") is uuid.UUID.hex
