"""For code that runs in production and in no test: the characterisation test alone."""

from __future__ import annotations

from collections.abc import Iterator

from selfheal.repair.edit import Edit
from selfheal.repair.problem import Problem
from selfheal.repair.strategies.base import Strategy

NAME = "add_test"


def propose(problem: Problem) -> Iterator[Edit]:
    """No change of code: the regression test from recorded requests is the whole repair."""
    if problem.requests and problem.client is not None:
        yield Edit(
            strategy=NAME,
            template=NAME,
            explanation=f"Adds a test that replays a recorded request of {problem.diagnosis.operation}.",
            fit=0.9,
        )


STRATEGY = Strategy(NAME, frozenset({"coverage"}), propose)
