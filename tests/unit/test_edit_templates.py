"""Edit templates: what they generalise they still match, and where they match they edit exactly."""

from __future__ import annotations

import ast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from selfheal.artifacts.patterns import EditTemplate
from selfheal.repair.edit import spliced
from selfheal.repair.source import Source
from selfheal.repair.templates import changes_between, edit_at, generalised, matches, template_of
from selfheal.repair.templates.generalise import specificity

NAMES = st.sampled_from(["rows", "order", "user", "x"])
SUBJECTS = st.one_of(
    NAMES,
    st.builds("{}.{}".format, NAMES, NAMES),
    st.builds("{}[{}]".format, NAMES, st.integers(0, 9)),
    st.builds("{} + {}".format, NAMES, NAMES),
    st.builds("load({})".format, NAMES),
)
# Fixes of three shapes, each with one or two pieces that differ from use to use.
SHAPES = [
    ("return ({0})[len({0})]", "return ({0})[len({0}) - 1]"),
    ("return ({0}).price", "return ({0}).price if ({0}) is not None else {1}"),
    (
        "value = ({0}) / ({1})\n    return value",
        "if ({1}) == 0:\n        return 0\n    value = ({0}) / ({1})\n    return value",
    ),
]


@st.composite
def fixes(draw: st.DrawFn, shape: int | None = None) -> tuple[str, str]:
    """A function before and after a fix."""
    number = draw(st.integers(0, len(SHAPES) - 1)) if shape is None else shape
    parts = draw(SUBJECTS), draw(SUBJECTS)
    head = "def load(x):\n    return x\n\n\ndef f(rows, order, user, x):\n    # what it does\n"
    before, after = (text.format(*parts) for text in SHAPES[number])
    return f"{head}    {before}\n", f"{head}    {after}\n"


def of(fix: tuple[str, str]) -> EditTemplate | None:
    found = [template_of(change) for change in changes_between(*fix)]
    return found[0] if len(found) == 1 else None


def edits(template: EditTemplate, text: str) -> list[str]:
    """Every text that the template makes of a file."""
    source = Source("app.py", text)
    found = []
    for function in source.functions():
        for match in matches(template, function):
            splices = edit_at(template, match, source, function)
            if splices:
                found.append(spliced(text, splices))
    return found


def code(text: str) -> str:
    return ast.dump(ast.parse(text))


@settings(deadline=None, max_examples=150)
@given(fixes())
def test_a_template_makes_its_own_fix_where_it_was_found(fix: tuple[str, str]) -> None:
    template = of(fix)
    assume(template is not None)
    assert template is not None
    assert code(fix[1]) in map(code, edits(template, fix[0]))


@settings(deadline=None, max_examples=150)
@given(st.integers(0, len(SHAPES) - 1).flatmap(lambda n: st.tuples(fixes(n), fixes(n))))
def test_a_generalisation_makes_both_fixes_and_says_no_more_than_either(
    both: tuple[tuple[str, str], tuple[str, str]],
) -> None:
    one, two = of(both[0]), of(both[1])
    assume(one is not None and two is not None)
    assert one is not None
    assert two is not None
    joint = generalised(one, two)
    assume(joint is not None)
    assert joint is not None
    assert specificity(joint) <= min(specificity(one), specificity(two))
    assert joint.support == one.support + two.support
    for before, after in both:
        assert code(after) in map(code, edits(joint, before))


@settings(deadline=None, max_examples=80)
@given(fixes())
def test_a_template_generalised_with_itself_is_itself(fix: tuple[str, str]) -> None:
    template = of(fix)
    assume(template is not None)
    assert template is not None
    same = generalised(template, template)
    assert same is not None
    assert same.model_copy(update={"support": 1}) == template


def test_comments_and_layout_around_an_edit_stay() -> None:
    template = EditTemplate(
        form="statements",
        before="HOLE_1 = HOLE_2.name",
        after="if HOLE_2 is None:\n    return ''\nHOLE_1 = HOLE_2.name",
        holes={"HOLE_1": "name", "HOLE_2": "name"},
    )
    text = "def k(acct):\r\n\tlog(acct)  # first\r\n\tn = acct.name   # keep\r\n\treturn n\r\n"
    (made,) = edits(template, text)
    assert made == text.replace("\tn =", "\tif acct is None:\r\n\t\treturn ''\r\n\tn =")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(a, b):\n    return a\n", "def f(a, b):\n    return b\n"),
        ("def f(a):\n    return a\n", "def f(a):\n    return unknown(a)\n"),
    ],
    ids=["a name for a name", "a call around any name"],
)
def test_what_would_fit_everything_is_no_template(before: str, after: str) -> None:
    assert [template_of(change) for change in changes_between(before, after)] == [None]


def test_a_name_that_means_nothing_at_the_place_is_not_brought_there() -> None:
    template = EditTemplate(
        form="expression", before="float(HOLE_1)", after="Decimal(HOLE_1)", holes={"HOLE_1": "name"}
    )
    text = "def f(price):\n    return float(price)\n"
    assert edits(template, text) == []
    assert edits(template, f"from decimal import Decimal\n\n{text}") == [
        "from decimal import Decimal\n\ndef f(price):\n    return Decimal(price)\n"
    ]
