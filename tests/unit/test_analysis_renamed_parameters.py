"""What a documented parameter is called now is said only where it is sure."""

from __future__ import annotations

import pytest

from selfheal.analysis.documented_code import claims
from selfheal.analysis.renamed_parameters import present_name


@pytest.mark.parametrize(
    ("old", "told", "parameters", "now"),
    [
        ("rate", ["rate", "day"], ["tax", "day"], "tax"),
        ("the_wrapped", ["shape", "the_wrapped"], ["shape", "wrapped", "headers"], "wrapped"),
        ("frame", ["first", "frame", "last"], ["first", "tb", "last", "more"], "tb"),
        ("frame", ["last", "frame", "first"], ["first", "tb", "last", "more"], None),
        ("gone", ["gone", "day"], ["tax", "price", "day"], None),
        ("gone", ["gone", "day"], ["day"], None),
        ("value", ["value"], ["values", "valued_at_all"], "values"),
        ("key", ["key"], ["keys", "keyb"], None),
    ],
)
def test_the_present_name_of_a_parameter(
    old: str, told: list[str], parameters: list[str], now: str | None
) -> None:
    assert present_name(old, told, parameters) == now


def test_what_may_have_another_name_is_not_taken_out() -> None:
    text = 'def f(a, b, c):\n    """Count.\n\n    :param a: one\n    :param zoo: another\n    """\n'
    (found,) = claims({"cart.py": text}, [])
    assert (found.name, found.actual, found.replacement) == ("zoo", "no such parameter", None)
    (gone,) = claims({"cart.py": text.replace("a, b, c", "a")}, [])
    assert gone.replacement == ""


def test_two_entries_do_not_get_the_same_name() -> None:
    text = 'def f(name, b):\n    """Do.\n\n    :param the_name: one\n    :param old_name: two\n    :param b: three\n    """\n'
    found = claims({"a.py": text}, [])
    assert [(each.name, each.actual) for each in found] == [
        ("the_name", "no such parameter"),
        ("old_name", "no such parameter"),
    ]
    assert {each.replacement for each in found} == {None}


def test_the_class_of_a_class_method_is_no_parameter() -> None:
    text = (
        "class A:\n    @classmethod\n    def of(cls, tb=None, limit=None):\n"
        '        """Make.\n\n        :param frame: one\n        :param limit: most\n        """\n'
    )
    (found,) = claims({"a.py": text}, [])
    assert (found.name, found.replacement) == ("frame", "tb")
