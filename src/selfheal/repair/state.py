"""What the strategies for state share: accused functions with their class, and blocks to enclose."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from selfheal.artifacts.model import AnomalyKind
from selfheal.codebase.state_patterns import StatePatternKind
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Place, Problem
from selfheal.repair.source import FUNCTIONS, Function, Source, last_line
from selfheal.repair.strategies.base import Example, Propose, Strategy

# A failing test may fail for state that another test left; then these are a second thought.
_FACTOR_OF_ERRORS = 0.4
_FACTOR_OF_OTHERS = 0.6


def state_strategy(
    name: str,
    propose: Propose,
    *examples: Example,
    kinds: frozenset[AnomalyKind] = frozenset({"state"}),
) -> Strategy:
    """A strategy that is asked for state that changes where it never did."""
    return Strategy(name, kinds, propose, examples)


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


def first_statement(source: Source, function: Function) -> ast.stmt | None:
    """The statement before which preparation stands: the first after the docstring, on its own line."""
    body = function.body
    documented = (
        isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    )
    rest = body[1:] if documented else body
    rest = [each for each in rest if not isinstance(each, ast.Global | ast.Nonlocal)]
    return rest[0] if rest and source.insertable(rest[0]) else None


def block_of(source: Source, statement: ast.stmt) -> list[ast.stmt]:
    """The statements of the block that a statement stands in."""
    parent = source.parent(statement)
    for name in ("body", "orelse", "finalbody"):
        block = getattr(parent, name, None)
        if isinstance(block, list) and statement in block:
            return block
    return [statement]


def following(source: Source, statement: ast.stmt) -> list[ast.stmt]:
    """The statements of the same block after a statement."""
    block = block_of(source, statement)
    return block[block.index(statement) + 1 :]


def removed_lines(source: Source, statement: ast.stmt) -> Splice | None:
    """The lines of a statement taken out; None where it shares them with other code."""
    start, stop = source.line_start(statement.lineno), source.next_line(statement)
    rest = source.text[source.span(statement)[1] : stop].strip()
    if not source.starts_line(statement) or (rest and not rest.startswith("#")):
        return None
    return Splice(path=source.path, start=start, stop=stop, text="")


def replaced_lines(source: Source, statement: ast.stmt, lines: list[str]) -> Splice | None:
    """The lines of a statement replaced by others at its indentation."""
    removed = removed_lines(source, statement)
    if removed is None:
        return None
    indent, end = source.indent(statement), source.newline
    text = "".join(f"{indent}{line}{end}" for line in lines)
    if not source.text[removed.start : removed.stop].endswith(("\n", "\r")):
        text = text.removesuffix(end)
    return removed.model_copy(update={"text": text})


def enclosed(
    source: Source, body: list[ast.stmt], head: list[str], tail: list[str] | None = None
) -> list[Splice] | None:
    """Consecutive statements one level in, `head` before them and `tail` after.

    None where one of them shares its line with other code.
    """
    first, last = body[0], body[-1]
    if not all(source.insertable(each) for each in body):
        return None
    tailed = source.text[source.span(last)[1] : source.next_line(last)].strip()
    if tailed and not tailed.startswith("#"):
        return None
    start = first.lineno
    if isinstance(first, (*FUNCTIONS, ast.ClassDef)):
        start = min([first.lineno, *(each.lineno for each in first.decorator_list)])
    splices = [
        source.insert_before(first, head),
        *source.indented_lines(start, last_line(last)),
    ]
    if tail:
        splices.append(source.insert_after(last, tail, indent=source.indent(first)))
    return splices


def uses(nodes: list[ast.stmt], name: str) -> bool:
    """Whether some statements mention a name."""
    return any(
        isinstance(each, ast.Name) and each.id == name for node in nodes for each in ast.walk(node)
    )


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
