"""What holds for every edit: it compiles, changes what it says and nothing else, in one order."""

from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_bugs import BUGS

from selfheal.repair import edited
from selfheal.repair.edits import (
    CodeEdit,
    Suspect,
    compiled_function,
    propose_edits,
    propose_pairs,
    read_hints,
)

PATH = "app.py"
SOURCES = [bug.source for bug in BUGS]
MESSAGES = [
    "IndexError: list index out of range",
    "TypeError: 'NoneType' object is not subscriptable",
    "assert 'a,b' == 'a, b'",
    "NameError: name 'json' is not defined",
    "Failed: DID NOT RAISE <class 'ValueError'>",
]


def edits_of(text: str, line: int, messages: list[str], limit: int = 400) -> list[CodeEdit]:
    hints = read_hints([], messages)
    return list(propose_edits({PATH: text}, [Suspect(PATH, line, 1.0)], hints, limit))


def dressed(source: str, end: str, tabs: bool, last: bool, mark: bool) -> str:
    """The source with other line ends, tabs, a comment that is not ASCII, no end, or a BOM."""
    text = source.replace("    ", "\t") if tabs else source
    text = f"# naïve – 漢字 🙂{text}".replace("):\n", "):  # é\n")
    text = text if last else text.rstrip("\n")
    return ("\ufeff" if mark else "") + text.replace("\n", end)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(SOURCES),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(MESSAGES),
    st.data(),
)
def test_every_edit_compiles_and_leaves_all_else_to_the_byte(
    source: str, end: str, tabs: bool, last: bool, mark: bool, message: str, data: st.DataObject
):
    text = dressed(source, end, tabs, last, mark)
    line = data.draw(st.integers(1, source.count("\n")))
    for edit in edits_of(text, line, [message]):
        after = edit.apply(text)
        compile(after.removeprefix("\ufeff"), PATH, "exec")
        assert after != text
        kept, position = [], 0
        for splice in sorted(edit.splices, key=lambda each: each.start):
            kept.append(text[position : splice.start])
            position = splice.stop
        kept.append(text[position:])
        assert after.startswith(kept[0]), edit
        assert after.endswith(kept[-1]), edit
        if end == "\r\n":
            assert after.count("\n") == after.count("\r\n"), edit
        assert edited(edit.as_edit(), {PATH: text}) == {PATH: after}


@pytest.mark.parametrize("source", SOURCES[:6])
def test_the_order_is_by_score_and_repeats(source: str):
    suspects = [Suspect(PATH, line, 1 / line) for line in range(2, source.count("\n"))]
    first = list(propose_edits({PATH: source}, suspects))
    again = list(propose_edits({PATH: source}, list(reversed(suspects))))
    assert first == again
    scores = [edit.score for edit in first]
    assert scores == sorted(scores, reverse=True)
    assert list(propose_edits({PATH: source}, suspects, limit=7)) == first[:7]
    fits = [edit.as_edit().fit for edit in first]
    assert fits == sorted(fits, reverse=True)
    assert all(0 < fit < 1 for fit in fits)


@pytest.mark.parametrize("source", SOURCES[:6])
def test_no_two_edits_are_the_same_code(source: str):
    suspects = [Suspect(PATH, line, 1.0) for line in range(2, source.count("\n"))]
    made = [edit.apply(source) for edit in propose_edits({PATH: source}, suspects)]
    trees = [ast.dump(ast.parse(text)) for text in [source, *made]]
    assert len(trees) == len(set(trees))


def test_suspiciousness_counts():
    source = "def f(a, b):\n    if a < b:\n        return a\n    if a > b:\n        return b\n"
    edits = propose_edits({PATH: source}, [Suspect(PATH, 2, 0.2), Suspect(PATH, 4, 0.9)])
    assert next(edits).line == 4


def test_unknown_files_broken_files_and_lines_that_are_none_are_passed_over():
    suspects = [Suspect("gone.py", 1, 1.0), Suspect("broken.py", 1, 1.0), Suspect(PATH, 99, 1.0)]
    sources = {PATH: "x = 1\n", "broken.py": "def f(:\n"}
    assert list(propose_edits(sources, suspects)) == []


def test_hints_move_the_fitting_operators_forward():
    source = "def f(xs, i):\n    if xs is None:\n        return 0\n    return xs[i]\n"
    edits = edits_of(source, 4, ["IndexError: list index out of range"])
    assert edits[0].operator == "off_by_one"
    edits = edits_of(source, 4, ["KeyError: 'i'"])
    assert edits[0].operator == "safe_access"


def test_hints_are_read_from_the_texts_of_pytest_and_unittest():
    hints = read_hints(
        ["builtins.KeyError"],
        [
            "E       assert 3 == 4\nE        +  where 3 = f(2)",
            "AssertionError: 'a' != 'b' : told",
            "AssertionError: ValueError not raised by f",
            "Failed: DID NOT RAISE <class 'app.Refused'>",
            "KeyError: 'name'",
        ],
    )
    assert hints.exceptions[0] == "KeyError"
    assert (hints.actual, hints.expected) == (("3", "'a'"), ("4", "'b'"))
    assert hints.wanted == ("ValueError", "Refused")
    assert "name" in hints.names


CLASS = textwrap.dedent(
    """
    from __future__ import annotations

    class Base:
        def grow(self, n):
            return n

    class Tree(Base):
        @staticmethod
        def zero():
            return 0

        def grow(self, n: Unknown = 1):
            def twice(m):
                return m * 2
            return super().grow(twice(n) + 1)
    """
)


def test_the_code_of_a_method_can_be_exchanged():
    names: dict[str, type] = {}
    exec(compile(CLASS, PATH, "exec"), names)
    tree = names["Tree"]
    assert tree().grow(3) == 7
    line = CLASS.splitlines().index("        return super().grow(twice(n) + 1)") + 1
    edit = next(e for e in edits_of(CLASS, line, []) if "twice(n) - 1" in e.apply(CLASS))
    assert edit.function is not None
    assert (edit.function.qualname, edit.function.outer) == ("Tree.grow", "Tree.grow")
    assert edit.body_only
    code = compiled_function(edit, CLASS)
    assert code is not None
    assert code.co_freevars == tree.grow.__code__.co_freevars == ("__class__",)
    assert code.co_firstlineno == tree.grow.__code__.co_firstlineno
    tree.grow.__code__ = code
    assert tree().grow(3) == 5


def test_an_edit_of_a_nested_function_names_the_outer_one():
    line = CLASS.splitlines().index("            return m * 2") + 1
    edit = edits_of(CLASS, line, [])[0]
    assert edit.function is not None
    assert edit.function.qualname == "Tree.grow.<locals>.twice"
    assert edit.function.outer == "Tree.grow"


def test_defaults_and_module_level_are_not_only_a_body():
    line = CLASS.splitlines().index("    def grow(self, n: Unknown = 1):") + 1
    edit = edits_of(CLASS, line, [])[0]
    assert edit.function is not None
    assert not edit.body_only
    (edit,) = edits_of("LIMIT = 3\n", 1, [], limit=1)
    assert edit.function is None
    assert not edit.body_only


def test_an_added_import_moves_the_function_and_is_not_only_a_body():
    source = "import os\n\n\ndef f(a):\n    return json.dumps(a)\n"
    edit = edits_of(source, 5, ["NameError: name 'json' is not defined"])[0]
    assert edit.apply(source).startswith("import json\nimport os\n") or "import json" in edit.apply(
        source
    )
    assert not edit.body_only
    code = compiled_function(edit, source)
    assert code is not None
    assert code.co_firstlineno > 4


def test_pairs_join_what_made_progress_with_what_is_near():
    source = "def f(a, b):\n    x = a + b\n    y = a - b\n    return x * y\n"
    suspects = [Suspect(PATH, line, 1.0) for line in (2, 3, 4)]
    pool = list(propose_edits({PATH: source}, suspects))
    first = next(e for e in pool if "x = a - b" in e.apply(source))
    pairs = list(propose_pairs([first], pool, limit=200))
    both = "def f(a, b):\n    x = a - b\n    y = a + b\n    return x * y\n"
    assert both in [pair.apply(source) for pair in pairs[:40]]
    assert all(first in pair.parts for pair in pairs)
    assert len({pair.fingerprint for pair in pairs}) == len(pairs)
    assert all(pair.body_only for pair in pairs)
    assert pairs == list(propose_pairs([first], pool, limit=200))


def test_an_explanation_says_what_was_wrong_and_where():
    source = "class A:\n    def full(self, n, room):\n        return n > room\n"
    edit = edits_of(source, 3, [])[0]
    assert edit.explanation == "Compares with `>` where `>=` was meant in A.full, line 3."


def test_the_same_change_everywhere_in_a_function_is_one_edit():
    source = "def f(d, e):\n    if d['a']:\n        return d['a'] + 1\n    return e['b']\n"
    made = [edit.apply(source) for edit in edits_of(source, 2, [])]
    assert source.replace("'a'", "'b'") in made
