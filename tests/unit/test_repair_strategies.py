"""Every strategy's examples hold: one of its edits makes exactly the text it promises."""

from __future__ import annotations

import ast

import pytest
from repair_problems import PATH, problem_of

from selfheal.repair import STRATEGIES, Example, Strategy, edited

CASES = [
    pytest.param(strategy, example, id=f"{strategy.name}-{number}")
    for strategy in STRATEGIES
    for number, example in enumerate(strategy.examples)
]


@pytest.mark.parametrize(("strategy", "example"), CASES)
def test_example_of_strategy(strategy: Strategy, example: Example):
    kind = sorted(strategy.kinds)[0]
    problem = problem_of(
        example.before, example.line, example.evidence, kind=kind, good=example.good
    )
    made = [edited(edit, problem.sources)[PATH] for edit in strategy.propose(problem)]
    assert example.after in made, "\n---\n".join(text or "" for text in made)
    for text in made:
        ast.parse(text or "")
