"""Tracebacks are read as Python prints them, and fingerprints survive what does not matter."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.telemetry.tracebacks import (
    Frame,
    fingerprint,
    normalised_message,
    parse_traceback,
)


def raised(code: str) -> str:
    """What the interpreter prints for a script."""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    return ended.stderr


def test_the_last_exception_of_a_chain_counts() -> None:
    parsed = parse_traceback(
        raised("try:\n {}['a']\nexcept KeyError as e:\n raise ValueError('no a\\nat all') from e")
    )
    assert parsed is not None
    assert (parsed.exception_type, parsed.message) == ("ValueError", "no a\nat all")
    assert parsed.frames == (Frame("<string>", 4, "<module>"),)


def test_an_exception_group_counts_as_itself_not_as_its_members() -> None:
    parsed = parse_traceback(raised("raise ExceptionGroup('two', [ValueError(1), KeyError(2)])"))
    assert parsed is not None
    assert parsed.exception_type == "ExceptionGroup"
    assert parsed.message == "two (2 sub-exceptions)"
    assert [frame.line for frame in parsed.frames] == [1]


def test_recursion_syntax_errors_and_bare_types_are_read() -> None:
    deep = parse_traceback(raised("def f(): f()\nf()"))
    assert deep is not None
    assert deep.exception_type == "RecursionError"
    broken = parse_traceback(
        "Traceback (most recent call last):\n"
        + raised("compile('a b', 'x.py', 'exec')").partition("\n")[2]
    )
    assert broken is not None
    assert broken.exception_type == "SyntaxError"
    bare = parse_traceback(raised("raise AssertionError"))
    assert bare is not None
    assert (bare.exception_type, bare.message) == ("AssertionError", "")


@pytest.mark.parametrize("margin", ["", "    ", "\t"])
def test_a_margin_and_text_before_do_not_matter(margin: str) -> None:
    text = raised("raise ValueError('x')")
    shifted = "12:00 ERROR failed\n" + "".join(margin + line for line in text.splitlines(True))
    assert parse_traceback(shifted) == parse_traceback(text)


@given(st.text())
def test_any_text_is_read_without_a_fault(text: str) -> None:
    assert parse_traceback(text) is None or "Traceback" in text
    parse_traceback("Traceback (most recent call last):\n" + text)
    normalised_message(text)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1))
def test_what_python_prints_is_read_back(message: str) -> None:
    try:
        raise ValueError(message)
    except ValueError:
        parsed = parse_traceback(traceback.format_exc())
    assert parsed is not None
    assert parsed.exception_type == "ValueError"
    assert parsed.message == message.strip()
    assert parsed.frames[-1].function == "test_what_python_prints_is_read_back"


@given(
    line=st.integers(1, 10_000),
    number=st.integers(0, 10**9),
    folder=st.sampled_from(["/srv/app/", "/tmp/x/", "C:\\app\\", ""]),
)
def test_fingerprints_survive_lines_ids_and_folders(line: int, number: int, folder: str) -> None:
    frames = [
        Frame("/usr/lib/python3.11/site-packages/flask/app.py", line, "dispatch"),
        Frame(f"{folder}cart.py", line, "total"),
        Frame("/usr/lib/python3.11/json/decoder.py", line, "decode"),
    ]
    expected = fingerprint("KeyError", "product 7 has no price", [Frame("cart.py", 1, "total")])
    assert fingerprint("KeyError", f"product {number} has no price", frames) == expected


def test_fingerprints_tell_type_place_and_words_apart() -> None:
    frames = [Frame("cart.py", 1, "total")]
    base = fingerprint("KeyError", "no price", frames)
    assert fingerprint("ValueError", "no price", frames) != base
    assert fingerprint("KeyError", "no name", frames) != base
    assert fingerprint("KeyError", "no price", [Frame("cart.py", 1, "add")]) != base
    assert fingerprint("builtins.KeyError", "no price", frames) == base


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "'NoneType' object has no attribute 'price'",
            "'NoneType' object has no attribute 'price'",
        ),
        ("'sku-17'", "<value>"),
        ("could not convert string to float: 'abc'", "could not convert string to float: <value>"),
        ("<Cart object at 0x7f3a2b1c>", "<Cart object at <address>>"),
        ("user bob@shop.example not found", "user <email> not found"),
        ("order 6f9619ff-8b86-d011-b42d-00cf4fc964ff is gone", "order <n> is gone"),
        ("timeout after 3.5 s", "timeout after <n> s"),
    ],
)
def test_what_varies_in_messages_is_replaced(message: str, expected: str) -> None:
    assert normalised_message(message) == expected


def test_stack_traces_of_the_jvm_and_javascript_give_type_message_and_frames() -> None:
    java = """java.lang.IllegalStateException: cart is empty
\tat com.shop.Cart.checkout(Cart.java:42)
\tat com.shop.Api.post(Api.java:7)
Caused by: java.lang.NullPointerException
\t... 2 more"""
    parsed = parse_traceback(java)
    assert parsed is not None
    assert (parsed.exception_type, parsed.message) == (
        "java.lang.IllegalStateException",
        "cart is empty",
    )
    assert parsed.frames == (
        Frame("Api.java", 7, "com.shop.Api.post"),
        Frame("Cart.java", 42, "com.shop.Cart.checkout"),
    )
    script = "TypeError: x is undefined\n    at draw (src/a.ts:10:5)\n    at src/b.ts:3:1"
    parsed = parse_traceback(script)
    assert parsed is not None
    assert parsed.frames == (Frame("src/b.ts", 3, "<anonymous>"), Frame("src/a.ts", 10, "draw"))


def test_prose_with_the_word_at_is_no_stack_trace() -> None:
    assert parse_traceback("Summary: done\n  at least 3 items were sold") is None
