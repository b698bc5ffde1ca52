"""A function whose result depends on its arguments alone keeps its results, up to a bound.

Memoization (Michie, "Memo functions and machine learning", Nature 218, 1968): a recursion
whose calls multiply becomes linear in its distinct arguments; work that a loop repeats is
done once. `selfheal.codebase.purity` says which functions may.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.costly_shapes import LOOPS, recursion
from selfheal.codebase.index import own_nodes
from selfheal.codebase.purity import may_be_kept
from selfheal.repair.costs import asked
from selfheal.repair.edit import Edit
from selfheal.repair.problem import Problem
from selfheal.repair.source import COMPREHENSIONS, FUNCTIONS, Function, Source
from selfheal.repair.strategies.base import Example, import_splices, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "cache_pure"
BOUND = 1024
# A recursion needs all of its smaller problems at once: with too few it would multiply again.
RECURSION_BOUND = 65536


def propose(problem: Problem) -> Iterator[Edit]:
    if not asked(problem, "repeated_recursion", "repeated_call"):
        return
    seen: set[tuple[str, str]] = set()
    for source, function, factor in scope(problem):
        for called in [function, *_called_in_loops(source, function)]:
            multiplies = bool(recursion(called))
            if (source.path, called.name) in seen or not may_be_kept(called, source.tree):
                continue
            if multiplies or called is not function:
                seen.add((source.path, called.name))
                yield _cached(source, called, factor, multiplies=multiplies)


def _called_in_loops(source: Source, function: Function) -> list[Function]:
    """The functions of the same file that a function calls in its loops."""
    names = {
        each.func.id
        for node in own_nodes(function)
        if isinstance(node, (*LOOPS, *COMPREHENSIONS))
        for each in ast.walk(node)
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
    }
    return [node for node in source.tree.body if isinstance(node, FUNCTIONS) and node.name in names]


def _cached(source: Source, function: Function, factor: float, *, multiplies: bool) -> Edit:
    bound = RECURSION_BOUND if multiplies else BOUND
    # Without annotations 1 and 1.0 may both come, which are equal and give different results.
    annotated = all(
        each.annotation is not None for each in ast.walk(function.args) if isinstance(each, ast.arg)
    )
    typed = "" if annotated else ", typed=True"
    why = "its calls to itself multiply" if multiplies else "it depends on its arguments alone"
    return Edit(
        strategy=NAME,
        template="memo" if multiplies else "lru_cache",
        explanation=f"{function.name} keeps up to {bound} of its results: {why}.",
        fit=round((0.95 if multiplies else 0.7) * factor, 6),
        parameters={"function": function.name, "bound": bound},
        splices=[
            *import_splices(source, "functools"),
            source.insert_before(function, [f"@functools.lru_cache(maxsize={bound}{typed})"]),
        ],
    )


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before='"""Numbers."""\n\nimport math\n\n\ndef fib(n):\n    if n < 2:\n        return n\n'
        "    return fib(n - 1) + fib(n - 2)\n",
        after='"""Numbers."""\n\nimport functools\nimport math\n\n\n'
        "@functools.lru_cache(maxsize=65536, typed=True)\ndef fib(n):\n    if n < 2:\n"
        "        return n\n    return fib(n - 1) + fib(n - 2)\n",
        line=9,
        evidence={"slow_pattern": "repeated_recursion"},
    ),
    Example(
        before="import math\n\n\ndef weight(code: str) -> int:\n"
        "    return sum(ord(letter) ** 2 for letter in code)\n\n\ndef total(codes):\n"
        "    return sum(weight(code) for code in codes)\n",
        after="import functools\nimport math\n\n\n@functools.lru_cache(maxsize=1024)\n"
        "def weight(code: str) -> int:\n    return sum(ord(letter) ** 2 for letter in code)\n\n\n"
        "def total(codes):\n    return sum(weight(code) for code in codes)\n",
        line=9,
        evidence={"slow_pattern": "repeated_call"},
    ),
)
