"""Edits are splices: every byte outside of them stays, in any encoding of lines and letters."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.repair import Splice
from selfheal.repair.edit import spliced
from selfheal.repair.source import Source, names_in, parse


@given(st.text(max_size=40), st.data())
def test_bytes_outside_of_splices_stay(text: str, data: st.DataObject):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=4, max_size=4)))
    splices = [
        Splice(path="f", start=cuts[0], stop=cuts[1], text="<1>"),
        Splice(path="f", start=cuts[2], stop=cuts[3], text="<2>"),
    ]
    made = spliced(text, splices)
    assert made == f"{text[: cuts[0]]}<1>{text[cuts[1] : cuts[2]]}<2>{text[cuts[3] :]}"


def test_overlapping_splices_are_refused():
    splices = [
        Splice(path="f", start=0, stop=3, text=""),
        Splice(path="f", start=2, stop=4, text=""),
    ]
    with pytest.raises(ValueError, match="overlap"):
        spliced("abcdef", splices)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("head", ["", "\ufeff", "# ünïcödé 🎉\n"])
def test_segments_are_exact_whatever_stands_before(end: str, head: str):
    text = head + end.join(["x = 'é🎉' ; y = f(x)", "z = {", "    'k': y[0],", "}", ""])
    source = Source("f.py", text)
    calls = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
    items = [node for node in ast.walk(source.tree) if isinstance(node, ast.Subscript)]
    assert source.segment(calls[0]) == "f(x)"
    assert source.segment(items[0]) == "y[0]"


def test_indenting_leaves_the_lines_of_a_string_alone():
    text = 'def f():\n    x = g("""a\nb""",\n          1)\n    return x\n'
    source = Source("f.py", text)
    function = next(source.functions())
    made = spliced(text, source.indented(function.body[0]))
    assert made == 'def f():\n        x = g("""a\nb""",\n              1)\n    return x\n'


def test_a_file_that_is_no_python_is_none():
    assert parse("f.py", "def (") is None


def test_names_that_are_read():
    assert names_in(ast.parse("a.b[c] = d + e(f)")) == {"a", "c", "d", "e", "f"}
