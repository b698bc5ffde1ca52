"""The failing expression is found for exceptions that Python really raises."""

from __future__ import annotations

import traceback

import pytest

from selfheal.codebase.expressions import failing_expression

CASES = [
    ("row = None\nx = row['price'] * 2\n", "row['price']", "row", "subscript"),
    ("row = {'a': 1}\nx = row['a'] + row['b']\n", "row['b']", "row", "subscript"),
    ("rows = []\nx = len(rows) + rows[0]\n", "rows[0]", "rows", "subscript"),
    ("total, n = 4, 0\nx = round(total / n, 2)\n", "total / n", "n", "division"),
    ("user = None\nx = str(user.name.title())\n", "user.name", "user", "attribute"),
    ("x = 1 + int('seven')\n", "int('seven')", "'seven'", "call"),
    ("value = None\nx = [float(value)]\n", "float(value)", "value", "call"),
    ("a = None\nx = (\n    1\n    + a\n)\n", "1 + a", "a", "operation"),
    ("from decimal import Decimal\nx = Decimal('ten') + 1\n", "Decimal('ten')", "'ten'", "call"),
    ("import json\nx = json.loads('{')['a']\n", "json.loads('{')", "'{'", "call"),
    ("x = {}\ny = x[[1]] or x.get(1)\n", "x[[1]]", "[1]", "subscript"),
    ("x = {}\ny = 1 + x.get([1], 0)\n", "x.get([1], 0)", "[1]", "call"),
    ("import statistics\nx = 1 + statistics.mean([])\n", "statistics.mean([])", "[]", "call"),
    ("f = None\nx = f(1) + 2\n", "f(1)", "f", "call"),
    ("xs = None\nfor x in xs:\n    pass\n", "for x in xs", "xs", "operation"),
    ("a = None\nx = 3\nif a < x:\n    pass\n", "a < x", "a", "operation"),
    ("x = {}\nx.pop('k')\n", "x.pop('k')", "x", "subscript"),
    ("x = max([])\n", "max([])", "[]", "call"),
    ("x, y = [1]\n", "x, y = [1]", "[1]", "unpacking"),
    (
        "raise RuntimeError('no stock')\n",
        "raise RuntimeError('no stock')",
        "RuntimeError('no stock')",
        "raise",
    ),
]


@pytest.mark.parametrize(("source", "text", "base", "kind"), CASES)
def test_the_expression_that_raised_is_named(source: str, text: str, base: str, kind: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        exec(compile(source, "case.py", "exec"), {})
    frames = [frame for frame in traceback.extract_tb(caught.tb) if frame.filename == "case.py"]
    line = frames[-1].lineno
    assert line is not None
    kind_of = type(caught.value)
    name = f"{kind_of.__module__}.{kind_of.__qualname__}".removeprefix("builtins.")
    found = failing_expression(source, line, name, str(caught.value))
    assert found is not None
    assert (found.text, found.base, found.kind) == (text, base, kind)


def test_what_cannot_be_read_gives_nothing() -> None:
    assert failing_expression("def (", 1, "KeyError", "") is None
    assert failing_expression("x = 1\n", 9, "KeyError", "") is None


def test_an_unknown_exception_gives_the_statement() -> None:
    found = failing_expression("x = call(1)\n", 1, "shop.OutOfStock", "none left")
    assert found is not None
    assert (found.text, found.kind) == ("x = call(1)", "other")
