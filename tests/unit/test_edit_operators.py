"""Every operator's examples hold: one of its edits makes exactly the text it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfheal.repair.edits import Operator, Suspect, propose_edits, read_hints
from selfheal.repair.edits.model import OperatorExample
from selfheal.repair.edits.operators import OPERATORS

CASES = [
    pytest.param(operator, example, id=f"{operator.name}-{number}")
    for operator in OPERATORS
    for number, example in enumerate(operator.examples)
]


@pytest.mark.parametrize(("operator", "example"), CASES)
def test_example_of_operator(operator: Operator, example: OperatorExample):
    suspects = [Suspect("app.py", example.line, 1.0)]
    hints = read_hints([], [example.message])
    sources = {"app.py": example.before}
    edits = list(propose_edits(sources, suspects, hints, operators=[operator]))
    made = [edit.apply(example.before) for edit in edits]
    assert example.after in made, "\n---\n".join(made)
    assert {edit.operator for edit in edits} == {operator.name}
    assert all(edit.score > 0 for edit in edits)


def test_every_operator_has_an_example_and_a_name_of_its_own():
    assert all(operator.examples for operator in OPERATORS)
    names = [operator.name for operator in OPERATORS]
    assert len(names) == len(set(names))


def test_the_document_names_every_operator():
    text = (Path(__file__).parents[2] / "docs" / "repair.md").read_text(encoding="utf-8")
    assert [name for name in (each.name for each in OPERATORS) if f"`{name}`" not in text] == []
