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
    problem = problem.model_copy(update={"learned": list(example.learned)})
    made = [edited(edit, problem.sources)[PATH] for edit in strategy.propose(problem)]
    assert example.after in made, "\n---\n".join(text or "" for text in made)
    for text in made:
        ast.parse(text or "")


def test_what_a_test_alone_raises_is_not_caught_in_the_code():
    strategy = next(each for each in STRATEGIES if each.name == "handle_exception")
    text = "def f(rows):\n    rows.check()\n    return rows\n"
    asserted = {"exception_type": "AssertionError", "failing_tests": ["test_a.py::test_f"]}
    frames = [{"file": PATH, "line": 2, "function": "f"}]
    raised = {"exception_type": "RuntimeError", "failing_tests": ["test_a.py::test_f"]}

    assert list(strategy.propose(problem_of(text, 2, {**asserted, "frames": []}))) == []
    assert list(strategy.propose(problem_of(text, 2, {**raised, "frames": frames})))
