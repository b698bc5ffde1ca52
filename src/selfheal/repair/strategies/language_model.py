"""What a language model proposed, where one is configured (see `selfheal.repair.language_model`)."""

from __future__ import annotations

from collections.abc import Iterator

from selfheal.repair.edit import Edit
from selfheal.repair.language_model import NAME
from selfheal.repair.problem import Problem
from selfheal.repair.strategies.base import Strategy


def propose(problem: Problem) -> Iterator[Edit]:
    yield from problem.proposals


STRATEGY = Strategy(NAME, frozenset({"error", "performance", "state", "behavioral"}), propose)
