"""A listener that a call registers is removed when the call ends, or is registered once."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.leaks import LISTENER_PAIRS, kept_listeners
from selfheal.repair.blocks import enclosed, following
from selfheal.repair.edit import Edit
from selfheal.repair.problem import Problem
from selfheal.repair.source import FUNCTIONS
from selfheal.repair.state import Owned, accused, edit, state_strategy
from selfheal.repair.strategies.base import Example

NAME = "remove_listener"
_OF_LIBRARIES = frozenset({"removeHandler", "removeFilter", "remove_signal_handler"})


def propose(problem: Problem) -> Iterator[Edit]:
    for owned in accused(problem, "listener_kept"):
        for call in kept_listeners(owned.function, owned.owner, owned.source.tree):
            yield from _once(owned, call)
            yield from _removed(problem, owned, call)


def _once(owned: Owned, call: ast.Call) -> Iterator[Edit]:
    """A logger's handler is added where there is none yet: lines were written several times."""
    source = owned.source
    statement = source.statement(call)
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "addHandler":
        return
    holder = source.segment(call.func.value)
    around = enclosed(source, [statement], [f"if not {holder}.handlers:"])
    if isinstance(statement, ast.Expr) and around is not None:
        yield edit(
            owned,
            NAME,
            "once",
            f"{holder} gets a handler only where it has none: each call added one more.",
            0.85,
            around,
            call=call.func.attr,
        )


def _removed(problem: Problem, owned: Owned, call: ast.Call) -> Iterator[Edit]:
    source = owned.source
    statement = source.statement(call)
    rest = following(source, statement)
    simple = all(isinstance(each, ast.Name | ast.Attribute | ast.Constant) for each in call.args)
    if not isinstance(call.func, ast.Attribute) or not isinstance(statement, ast.Expr):
        return
    undo = LISTENER_PAIRS[call.func.attr]
    if not rest or not simple or call.keywords or not _exists(problem, undo):
        return
    holder = source.segment(call.func.value)
    arguments = ", ".join(source.segment(each) for each in call.args)
    tail = ["finally:", f"{source.unit}{holder}.{undo}({arguments})"]
    around = enclosed(source, rest, ["try:"], tail)
    if around is not None:
        yield edit(
            owned,
            NAME,
            "finally",
            f"the listener is taken off {holder} again when the call ends.",
            0.8,
            around,
            call=call.func.attr,
        )


def _exists(problem: Problem, method: str) -> bool:
    """Whether the project, or the library that is meant, has the method that removes."""
    return method in _OF_LIBRARIES or any(
        isinstance(node, FUNCTIONS) and node.name == method
        for source in problem.python()
        if method in source.text
        for node in ast.walk(source.tree)
    )


STRATEGY = state_strategy(
    NAME,
    propose,
    Example(
        before="import logging\n\n\ndef logger_of(name):\n    logger = logging.getLogger(name)\n"
        "    logger.addHandler(logging.StreamHandler())\n    return logger\n",
        after="import logging\n\n\ndef logger_of(name):\n    logger = logging.getLogger(name)\n"
        "    if not logger.handlers:\n        logger.addHandler(logging.StreamHandler())\n"
        "    return logger\n",
        line=6,
    ),
    Example(
        before="class Bus:\n    def subscribe(self, listener):\n        ...\n\n"
        "    def unsubscribe(self, listener):\n        ...\n\n\n"
        "def follow(bus, job, seen):\n    bus.subscribe(seen)\n    job.run()\n"
        "    return job.state\n",
        after="class Bus:\n    def subscribe(self, listener):\n        ...\n\n"
        "    def unsubscribe(self, listener):\n        ...\n\n\n"
        "def follow(bus, job, seen):\n    bus.subscribe(seen)\n    try:\n        job.run()\n"
        "        return job.state\n    finally:\n        bus.unsubscribe(seen)\n",
        line=10,
    ),
)
