"""Which order of steps is broken, and where code takes those steps.

A step is the span that production saw. In the code it is a call of a function whose name
the span bears, a call of the function that the diagnosis names as the step's own, or a
``with`` that starts a span of that name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

from selfheal.codebase.index import dotted
from selfheal.repair.problem import Problem
from selfheal.repair.source import FUNCTIONS, Function, Source, walk_own

Violation = Literal["missing", "extra", "duplicated", "swapped"]
_IS_STEP = "is the step"
_STARTS = frozenset({"start_as_current_span", "start_span", "span", "step", "trace"})


class Rule(NamedTuple):
    """A broken rule: `step` is missing, extra or duplicated, or comes after `other` and should not."""

    violation: Violation
    step: str
    other: str | None


def rules(problem: Problem) -> list[Rule]:
    """The broken rules that a diagnosis names, its own first."""
    evidence = problem.diagnosis.evidence
    facts = [evidence, *(each for each in evidence.get("behavior") or () if isinstance(each, dict))]
    found = []
    for fact in facts:
        violation, step, other = (fact.get(key) for key in ("violation", "step", "other"))
        for known in get_args(Violation):
            if violation == known and step:
                found.append(Rule(known, str(step), str(other) if other else None))
    return list(dict.fromkeys(found))


def plain(name: str) -> str:
    """The name of a step as identifiers are compared: ``cart.CheckStock`` → ``checkstock``."""
    last = re.split(r"[.:/#\s]+", name.strip())[-1] if name.strip() else ""
    return re.sub(r"[^a-z0-9]", "", (last or name).lower())


class Step(NamedTuple):
    """A step with the names of the functions that may be it."""

    name: str
    functions: frozenset[str]

    def taken_by(self, node: ast.AST) -> bool:
        """Whether a node itself is the call, or the ``with``, that takes the step."""
        if isinstance(node, ast.With | ast.AsyncWith):
            return any(_starts(item.context_expr, self.name) for item in node.items)
        if not isinstance(node, ast.Call):
            return False
        called = dotted(node.func).rpartition(".")[2]
        return called in self.functions or plain(called) == plain(self.name)


def step_of(problem: Problem, name: str) -> Step:
    """A step by its span's name: what the diagnosis says of it, and functions that start such a span."""
    functions: set[str] = set()
    if name == str(problem.diagnosis.evidence.get("step", "")):
        for location in problem.diagnosis.locations:
            if _IS_STEP in location.reasons:
                functions.add(location.function.rpartition(".")[2])
    for source in problem.python():
        if name in source.text:
            functions |= {
                function.name for function in source.functions() if _spans(function, name)
            }
    return Step(name, frozenset(functions))


def _spans(function: Function, name: str) -> bool:
    """Whether a function's whole body, or a decorator of it, is a span of this name."""
    if any(_starts(each, name) for each in function.decorator_list):
        return True
    held = [node for node in function.body if isinstance(node, ast.With | ast.AsyncWith)]
    return any(_starts(item.context_expr, name) for node in held for item in node.items)


def _starts(node: ast.expr, name: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and dotted(node.func).rpartition(".")[2] in _STARTS
        and any(isinstance(each, ast.Constant) and each.value == name for each in node.args)
    )


def takings(source: Source, function: Function, step: Step) -> list[ast.stmt]:
    """The innermost statements of a function that take a step, in order."""
    found: list[ast.stmt] = []
    for node in walk_own(function):
        if step.taken_by(node):
            statement = source.statement(node)
            if statement not in found:
                found.append(statement)
    return sorted(found, key=lambda each: (each.lineno, each.col_offset))


def callers(problem: Problem, steps: list[Step]) -> Iterator[tuple[Source, Function]]:
    """The functions that take some steps: accused ones first, then all others that take each of them."""
    seen: set[tuple[str, int]] = set()
    for place in problem.places():
        seen.add((place.source.path, place.function.lineno))
        yield place.source, place.function
    for source in problem.python():
        for function in source.functions():
            if (source.path, function.lineno) in seen:
                continue
            if steps and all(takings(source, function, step) for step in steps):
                yield source, function


def good_version(
    problem: Problem, source: Source, function: Function
) -> tuple[Source, Function] | None:
    """The function as it was at the good commit."""
    for place in problem.places():
        if place.source is source and place.function is function:
            return place.good
    return None


def is_definition(node: ast.AST) -> bool:
    return isinstance(node, (*FUNCTIONS, ast.ClassDef))
