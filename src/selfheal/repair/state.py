"""What the strategies for state share: the accused functions with their classes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from selfheal.artifacts.model import AnomalyKind
from selfheal.codebase.state_patterns import StatePatternKind
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Place, Problem
from selfheal.repair.source import Function, Source
from selfheal.repair.strategies.base import Example, Propose, Strategy

# A failing test may fail for state that another test left; then these are a second thought.
_FACTOR_OF_ERRORS = 0.4
_FACTOR_OF_OTHERS = 0.6


def state_strategy(
    name: str,
    propose: Propose,
    *examples: Example,
    kinds: frozenset[AnomalyKind] = frozenset({"state"}),
    fault: bool = False,
) -> Strategy:
    """A strategy that is asked for state that changes where it never did."""
    return Strategy(name, kinds, propose, examples, fault)


class Owned(NamedTuple):
    """An accused function with the class that it is a method of, and the factor for its fits."""

    source: Source
    function: Function
    owner: ast.ClassDef | None
    factor: float

    @property
    def self_name(self) -> str:
        """The name of a method's instance, empty in a plain function."""
        arguments = self.function.args.args
        return arguments[0].arg if self.owner is not None and arguments else ""

    def fit(self, value: float) -> float:
        return round(value * self.factor, 6)


def accused(problem: Problem, kind: StatePatternKind) -> Iterator[Owned]:
    """The accused functions, best first.

    The factor falls with the rank, and where the diagnosis saw another shape than `kind`.
    """
    seen = shapes(problem)
    factor = _FACTOR_OF_OTHERS if seen and kind not in seen else 1.0
    factor *= _FACTOR_OF_ERRORS if problem.diagnosis.kind == "error" else 1.0
    for rank, place in enumerate(problem.places()):
        yield _owned(place, factor * max(1 - 0.1 * rank, 0.5))


def shapes(problem: Problem) -> set[str]:
    """The kinds of state patterns that the diagnosis names (``state_pattern``, ``state_patterns``)."""
    evidence = problem.diagnosis.evidence
    named = [evidence.get("state_pattern"), *(evidence.get("state_patterns") or ())]
    kinds = (each.get("kind") if isinstance(each, dict) else each for each in named)
    return {str(each) for each in kinds if each}


def _owned(place: Place, factor: float) -> Owned:
    parent = place.source.parent(place.function)
    owner = parent if isinstance(parent, ast.ClassDef) else None
    return Owned(place.source, place.function, owner, factor)


def project_uses(problem: Problem, source: Source, name: str) -> bool:
    """Whether another file of the project imports a name of this one, or reaches it by the module."""
    module = source.path.removesuffix(".py").rpartition("/")[2]
    for other in problem.python():
        if other.path == source.path or name not in other.text:
            continue
        for node in ast.walk(other.tree):
            if isinstance(node, ast.ImportFrom) and any(each.name == name for each in node.names):
                return True
            if isinstance(node, ast.Attribute) and node.attr == name:
                holder = ast.unparse(node.value).rpartition(".")[2]
                if holder == module or _renamed(other, holder, module):
                    return True
    return False


def _renamed(source: Source, name: str, module: str) -> bool:
    return any(
        each.asname == name and each.name.rpartition(".")[2] == module
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for each in node.names
    )


def edit(
    owned: Owned,
    strategy: str,
    template: str,
    explanation: str,
    fit: float,
    splices: list[Splice],
    **parameters: object,
) -> Edit:
    """An edit in an accused function."""
    return Edit(
        strategy=strategy,
        template=template,
        explanation=f"In {owned.function.name}, {explanation}",
        fit=owned.fit(fit),
        parameters=parameters,
        splices=splices,
    )
