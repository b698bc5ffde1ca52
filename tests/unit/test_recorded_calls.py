"""Recorded calls reach the dataset, and the telling ones become source that means the same."""

from __future__ import annotations

import ast
import datetime
import decimal
import json
import uuid
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.artifacts import Dataset
from selfheal.artifacts.diagnosis import Diagnosis, Impact, Location
from selfheal.recorder.values import write
from selfheal.repair.recorded import (
    ANYTHING,
    CALLS_AT_MOST,
    ObservedCall,
    RecordedBehaviour,
    agreed,
    class_of,
    is_marked,
    like,
    recorded_calls,
    shaped,
    telling,
)
from selfheal.repair.recorded_source import Expressions, inline, lines
from selfheal.repair.recorded_test import property_alone, recorded_tests, test_names
from selfheal.telemetry import ingest

CALL: dict[str, Any] = {
    "schema": "selfheal/call/1",
    "time_ns": 1_700_000_000_000_000_000,
    "duration_ns": 1_500_000,
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "span_id": "b7ad6b7169203331",
    "parent_span_id": None,
    "service": "kiosk",
    "release": "1.0",
    "commit": "abc",
    "module": "kiosk.prices",
    "function": "Cart.total",
    "file": "/srv/kiosk/prices.py",
    "line": 7,
    "calls": 1,
    "args": [[1, 2.5]],
    "kwargs": {},
    "result": 3.5,
}


def dataset(folder: Path, *given: Any) -> Dataset:
    folder.mkdir(exist_ok=True)
    file = folder / "calls-1.jsonl"
    numbered = [{**one, "span_id": f"{n:016x}"} for n, one in enumerate(given, start=1)]
    file.write_text("".join(f"{json.dumps(one)}\n" for one in numbered))
    return ingest([file], folder, "dataset").dataset


def diagnosis(function: str = "Cart.total", file: str = "kiosk/prices.py") -> Diagnosis:
    impact = Impact(severity="low", affected_requests=1, all_requests=1, share=1.0, explanation="")
    return Diagnosis(
        id="d", anomaly_ids=["a"], kind="coverage", service="kiosk", operation="o", title="",
        verdict="code_cause", reason="", suspect_commits=[], root_service="kiosk", impact=impact,
        locations=[Location(file=file, line=7, function=function, score=1.0)],
        complexity="low", recommendations=[],
    )  # fmt: skip


def test_a_call_is_a_span_of_its_function(tmp_path: Path) -> None:
    (span,) = dataset(tmp_path, CALL).rows("SELECT * FROM spans")
    assert (span["operation"], span["code_function"]) == ("kiosk.prices.Cart.total",) * 2
    assert (span["code_file"], span["code_line"]) == ("/srv/kiosk/prices.py", 7)
    assert (span["service"], span["release"], span["commit"]) == ("kiosk", "1.0", "abc")
    assert (span["duration_ms"], span["kind"], span["status"]) == (1.5, "internal", "unset")
    assert json.loads(span["attributes"])["selfheal.call"]["args"] == [[1, 2.5]]


def test_an_exception_is_no_error_of_the_service(tmp_path: Path) -> None:
    raised = {**CALL, "exception": {"class": "builtins:KeyError", "message": "x"}}
    found = dataset(tmp_path, raised)
    assert found.rows("SELECT * FROM errors") == []
    assert found.rows("SELECT status FROM spans") == [{"status": "unset"}]


def test_lines_that_are_no_calls_are_refused_and_the_others_read(tmp_path: Path) -> None:
    broken = [{**CALL, "duration_ns": "long"}, {"schema": "selfheal/call/1"}, None]
    given_ = [CALL, *broken, {"schema": "selfheal/call/2"}]
    (tmp_path / "calls-1.jsonl").write_text(
        "".join(f"{json.dumps(one) if one else '{'}\n" for one in given_)
    )
    found = ingest([tmp_path / "calls-1.jsonl"], tmp_path, "dataset")
    assert (found.sources[0].format, found.sources[0].lines_refused) == ("recorded-calls", 4)
    assert found.dataset.tables["spans"].rows == 1


def test_calls_of_the_function_at_the_release_are_found_and_counted(tmp_path: Path) -> None:
    others = [
        {**CALL, "release": "0.9", "args": [[9]]},
        {**CALL, "function": "total", "args": [[8]]},
        {**CALL, "file": "/srv/other/prices.py", "args": [[7]]},
        {**CALL, "unusable": "an argument: _io.FileIO is no plain object"},
    ]
    records = recorded_calls(diagnosis(), "1.0", dataset(tmp_path, CALL, CALL, *others))
    assert [(call.args, call.result, call.seen) for call in records.calls] == [
        ("[[1,2.5]]", "3.5", 2)
    ]
    assert records.unused == {"an argument: _io.FileIO is no plain object": 1}
    assert len(recorded_calls(diagnosis(), None, dataset(tmp_path, CALL, *others)).calls) == 2


def test_the_order_of_keys_survives_the_dataset(tmp_path: Path) -> None:
    records = recorded_calls(
        diagnosis(), "1.0", dataset(tmp_path, {**CALL, "kwargs": {"z": {"b": 1, "a": 2}, "c": 3}})
    )
    assert records.calls[0].kwargs == '{"z":{"b":1,"a":2},"c":3}'


def test_each_kind_of_outcome_is_among_the_calls(tmp_path: Path) -> None:
    many = [{**CALL, "args": [[n]], "result": 1.0 + n} for n in range(80)]
    raised = {**CALL, "args": [[-1]], "exception": {"class": "builtins:ValueError", "message": ""}}
    empty = {**CALL, "args": [[0, 0]], "result": 0}
    records = recorded_calls(diagnosis(), "1.0", dataset(tmp_path, *many, raised, empty))
    assert "builtins:ValueError" in {call.exception for call in records.calls}
    assert "0" in {call.result for call in records.calls}


def test_calls_that_take_new_steps_are_preferred() -> None:
    same = [ObservedCall(args=f"[{n}]", kwargs="{}", answer="1", steps=[(0, 1)]) for n in range(30)]
    rare = ObservedCall(args="[99]", kwargs="{}", answer="2", steps=[(0, 1), (1, 2)])
    chosen = telling([*same, rare])
    assert chosen[0] == rare
    assert len(chosen) == CALLS_AT_MOST


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
)
values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
        st.text(), st.binary(max_size=5), st.dates(), st.datetimes(), st.timedeltas(),
        st.decimals(allow_nan=False), st.uuids(), st.sampled_from([PurePosixPath("a"), int]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.integers() | st.text() | st.just("$"), inner, max_size=3),
        st.sets(st.integers(), max_size=3), st.frozensets(st.text(), max_size=3),
    ),
    max_leaves=8,
)  # fmt: skip


@given(json_values, json_values)
def test_what_two_answers_agree_on_holds_of_both(one: Any, other: Any) -> None:
    first, second = write(one), write(other)
    assert agreed(first, first) == first
    common = agreed(first, second)
    assert is_marked(common) == (first != second)
    assert matches(first, common)
    assert matches(second, common)
    assert matches(first, shaped(first))


def matches(form: Any, pattern: Any) -> bool:
    if isinstance(pattern, dict) and pattern.get("$") == "like":
        return pattern == ANYTHING or pattern == like(form)
    if isinstance(pattern, list):
        return len(form) == len(pattern) and all(map(matches, form, pattern))
    if isinstance(pattern, dict):
        return set(form) == set(pattern) and all(matches(form[k], pattern[k]) for k in form)
    return bool(form == pattern)


def test_a_secret_that_was_kept_back_agrees_with_what_the_sandbox_gives() -> None:
    form = {"token": "abc", "n": 1}
    assert agreed(form, {"token": {"$": "redacted", "type": "str"}, "n": 1}) == form
    assert agreed({"to": "a@b.cc"}, {"to": "redacted"}) == {"to": "a@b.cc"}


@given(values)
def test_the_source_of_a_value_means_the_value(value: Any) -> None:
    made = Expressions()
    expression = made.of(write(value))
    names = {"datetime": datetime, "decimal": decimal, "uuid": uuid}
    names["pathlib"] = __import__("pathlib")
    for text in (inline(expression), "\n".join(lines(expression, "    ", before="("))[4:] + ")"):
        again = eval(text, dict(names))
        assert again == value
        assert type(again) is type(value)


def observed(args: Any, answer: Any = None, **others: Any) -> ObservedCall:
    told = None if "exception" in others else json.dumps(write(answer))
    return ObservedCall(args=json.dumps(write(args)), kwargs="{}", answer=told, **others)


def behaviour(*calls: ObservedCall, **others: Any) -> RecordedBehaviour:
    return RecordedBehaviour(
        module="kiosk.prices", function="Cart.total", calls=list(calls), **others
    )


def test_the_tests_of_answers_exceptions_and_changes_parse_and_are_named() -> None:
    found = behaviour(
        observed([1], {"a": 1.23456789012}),
        observed(["x"], exception="kiosk.errors:Refused"),
        observed([[]], None, after='{"0":[1]}'),
    )
    text = recorded_tests(found, "It ran.")
    tree = ast.parse(text)
    named = [each.name for each in tree.body if isinstance(each, ast.FunctionDef)]
    assert [name for name in named if name.startswith("test")] == test_names(found)
    assert test_names(found)[0] == "test_cart_total_answers_as_recorded"
    assert "pytest.approx(1.23456789012)" in text
    assert "import kiosk.errors" in text


def test_without_variety_or_answers_there_is_no_property() -> None:
    assert property_alone(behaviour(observed([1], 1), observed([2], 2))) is None, "no spread"
    assert property_alone(behaviour(observed([1], 1), spread="wide")) is None
    assert property_alone(behaviour(observed([1], 1), observed([1], 1), spread="wide")) is None
    refusals = [observed([n], exception="builtins:KeyError") for n in range(2)]
    assert property_alone(behaviour(*refusals, spread="wide")) is None


@pytest.mark.parametrize(
    ("values_", "strategy"),
    [
        ([1, 5], "st.integers(1, 5)"),
        ([1, 2.5], "st.floats(1.0, 2.5)"),
        ([True, False], "st.booleans()"),
        ([None, "ab"], 'st.one_of(st.none(), st.just("ab"))'),
        (["ab", "c"], 'st.text("abc", min_size=1, max_size=2)'),
        ([[1], [2, 3]], "st.lists(st.integers(1, 3), min_size=1, max_size=2)"),
        ([{"a": 1}, {"a": 2}], 'st.fixed_dictionaries({"a": st.integers(1, 2)})'),
        ([(1, "a"), (2, "a")], 'st.tuples(st.integers(1, 2), st.just("a"))'),
    ],
)
def test_strategies_stay_around_what_was_recorded(values_: list[Any], strategy: str) -> None:
    calls = [observed([value], 1.5) for value in values_]
    found = property_alone(behaviour(*calls, spread="wide"))
    assert found is not None
    assert f"argument_0={strategy}" in found[0]
    assert "isinstance(kiosk.prices.Cart.total(argument_0), float)" in found[0]


def test_the_class_of_a_form() -> None:
    assert class_of(write(decimal.Decimal(1))) == "decimal:Decimal"
    assert class_of(write(None)) == "builtins:NoneType"
    assert class_of(write(datetime.date(2020, 1, 1))) == "datetime:date"
    assert class_of({"$": "object", "class": "a:B", "fields": {}}) == "a:B"


@pytest.mark.parametrize(
    "form",
    [
        {"$": "object", "class": "os;x:system", "fields": {}},
        {"$": "object", "class": "kiosk:Item", "fields": {"a=1)#": 1}},
        {"$": "class", "class": "kiosk:x()"},
        {"$": "class", "class": "kiosk:None"},
        {"$": "int", "text": "__import__('os')"},
        {"$": "timedelta", "text": "1 2 x()"},
        {"$": "member", "class": "kiosk:lambda", "name": "x"},
        {"$": "unknown", "text": "x"},
        {"$": "tuple"},
    ],
    ids=repr,
)
def test_nothing_that_telemetry_says_becomes_code(form: Any) -> None:
    with pytest.raises((ValueError, KeyError)):
        Expressions().of([form])
    quoted = inline(Expressions().of({'"]); x(': "'); x() #"}))
    assert ast.literal_eval(quoted) == {'"]); x(': "'); x() #"}
