"""Where to look for slow code: the accused functions, then their callers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.problem import Problem
from selfheal.repair.source import Function, Source, walk_own

CALLER_FACTOR = 0.8


def scope(problem: Problem) -> Iterator[tuple[Source, Function, float]]:
    """(file, function, factor) with the factor that the fit of an edit there is given."""
    seen: set[tuple[str, int]] = set()
    names: list[str] = []
    for rank, place in enumerate(problem.places()):
        seen.add((place.source.path, place.function.lineno))
        names.append(place.function.name)
        yield place.source, place.function, max(1 - 0.1 * rank, 0.7)
    for source in problem.python():
        for function in source.functions():
            key = (source.path, function.lineno)
            if key not in seen and names[:1] and _calls(function, names[0]):
                yield source, function, CALLER_FACTOR


def _calls(function: Function, name: str) -> bool:
    return any(
        isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name
        for node in walk_own(function)
    )
