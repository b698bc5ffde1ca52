"""For code that runs in production and in no test: tests of what it does there, and no change of code."""

from __future__ import annotations

from collections.abc import Iterator

from selfheal.repair.edit import Edit
from selfheal.repair.problem import Problem
from selfheal.repair.recorded import RecordedBehaviour, is_marked_text, unused_told
from selfheal.repair.strategies.base import Strategy

NAME = "add_test"
CALLS, REQUESTS = "recorded_calls", "add_test"


def propose(problem: Problem) -> Iterator[Edit]:
    """The test is the whole repair: of recorded calls where there are some, else of a request."""
    behaviour = problem.behaviour
    if behaviour is not None:
        yield Edit(
            strategy=NAME,
            template=CALLS,
            explanation=explained(behaviour),
            fit=0.95,
            parameters={"calls": len(behaviour.calls), "spread": behaviour.spread},
        )
    elif problem.requests and problem.client is not None:
        yield Edit(
            strategy=NAME,
            template=REQUESTS,
            explanation=f"Adds a test that replays a recorded request of {problem.diagnosis.operation}.",
            fit=0.9,
        )


def explained(behaviour: RecordedBehaviour) -> str:
    """What the tests ask for, and of what the records said nothing."""
    count = len(behaviour.calls)
    loose = sum(is_marked_text(call.answer) for call in behaviour.calls)
    told = [
        f"Adds tests of {count} recorded {'call' if count == 1 else 'calls'} "
        f"of {behaviour.module}.{behaviour.function}."
    ]
    if loose:
        told.append(f"What differs from run to run is asked by its type in {loose} of them.")
    if behaviour.spread != "none":
        told.append("A property asks for the type of the answer near the recorded arguments.")
    if behaviour.unused:
        told.append(f"Not used: {unused_told(behaviour.unused)}.")
    return " ".join(told)


STRATEGY = Strategy(NAME, frozenset({"coverage"}), propose)
