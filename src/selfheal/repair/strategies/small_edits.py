"""The likeliest small edits of the accused lines, where no failing test can try them all.

With a failing test, a search runs thousands of `selfheal.repair.edits` against it and the
edits that pass come under the same name. Without one, as for an error that telemetry
alone shows, the first few stand behind the strategies that know more; validation judges.
"""

from __future__ import annotations

from collections.abc import Iterator

from selfheal.repair.edit import Edit
from selfheal.repair.edits.engine import propose_edits
from selfheal.repair.edits.hints import read_hints
from selfheal.repair.edits.model import SEARCH, Suspect
from selfheal.repair.problem import Problem, is_test
from selfheal.repair.strategies.base import Example, error_strategy

FIRST = 12
FACTOR = 0.5


def propose(problem: Problem) -> Iterator[Edit]:
    if problem.failing_tests or not problem.exception:
        return
    suspects = [
        Suspect(each.file, each.line, each.score)
        for each in problem.diagnosis.locations
        if not is_test(each.file)
    ]
    hints = read_hints([problem.exception], [f"{problem.exception}: {problem.message}"])
    for edit in propose_edits(problem.sources, suspects, hints, FIRST):
        found = edit.as_edit()
        yield found.model_copy(update={"fit": round(found.fit * FACTOR, 6)})


STRATEGY = error_strategy(
    SEARCH,
    propose,
    Example(
        before="def last(xs):\n    return xs[len(xs)]\n",
        after="def last(xs):\n    return xs[len(xs) - 1]\n",
        line=2,
        evidence={"exception_type": "IndexError", "message": "list index out of range"},
    ),
    Example(
        before="def total(order):\n    return order['prise']\n\n\n"
        "def shown(order):\n    return order['price']\n",
        after="def total(order):\n    return order['price']\n\n\n"
        "def shown(order):\n    return order['price']\n",
        line=2,
        evidence={"exception_type": "KeyError", "message": "'prise'"},
    ),
)
