"""What a strategy is, and the moves that the guarding strategies share."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from selfheal.artifacts.model import AnomalyKind
from selfheal.artifacts.patterns import Pattern
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.fallbacks import Fallback, expressions, in_comprehension, statements
from selfheal.repair.problem import Place, Problem
from selfheal.repair.source import Function, Source

Propose = Callable[[Problem], Iterable[Edit]]


@dataclass(frozen=True)
class Example:
    """A file before and after, with the facts (`evidence`, the accused line) that lead there.

    `good` is the file at the good commit, where the strategy learns from it; `learned` are
    patterns of the library.
    """

    before: str
    after: str
    line: int
    evidence: dict[str, Any] = field(default_factory=dict)
    good: str | None = None
    learned: tuple[Pattern, ...] = ()


@dataclass(frozen=True)
class Strategy:
    """A plug-in. `kinds` are the kinds of diagnosis that it is asked for.

    `propose` yields edits that fit the facts of a problem, or nothing; it computes from
    the problem alone. One of the edits for each example gives its `after`. What it mends is
    a `fault` by itself, or else it guards against what may be wrong elsewhere.
    """

    name: str
    kinds: frozenset[AnomalyKind]
    propose: Propose
    examples: tuple[Example, ...] = ()
    fault: bool = False


def error_strategy(name: str, propose: Propose, *examples: Example) -> Strategy:
    """A strategy that is asked for errors alone."""
    return Strategy(name, frozenset({"error"}), propose, examples)


def performance_strategy(name: str, propose: Propose, *examples: Example) -> Strategy:
    """A strategy that is asked for slow operations alone."""
    return Strategy(name, frozenset({"performance"}), propose, examples)


def edit_of(
    strategy: str,
    function: Function,
    template: str,
    told: str,
    fit: float,
    splices: list[Splice],
) -> Edit:
    """An edit of a function, explained as "In NAME, `told`"."""
    return Edit(
        strategy=strategy,
        template=template,
        explanation=f"In {function.name}, {told}",
        fit=round(fit, 6),
        splices=splices,
    )


def early_exits(
    problem: Problem,
    place: Place,
    node: ast.expr,
    subject: ast.expr,
    condition: str,
    strategy: str,
    what: str,
) -> Iterator[Edit]:
    """``if <condition>: <leave>`` before the statement that holds `node`."""
    source = place.source
    statement = source.statement(node)
    if not source.insertable(statement) or in_comprehension(source, node):
        return
    if isinstance(statement, ast.While):
        return
    for fallback in statements(problem, place, node, subject):
        lines = [f"if {condition}:", f"{source.unit}{fallback.text}"]
        yield Edit(
            strategy=strategy,
            template=f"exit_{fallback.origin}",
            explanation=f"Leaves {place.function.name} early when {what}: "
            f"`{fallback.text}` {fallback.why}.",
            fit=fallback.fit,
            parameters={"fallback": fallback.text, "origin": fallback.origin},
            splices=[source.insert_before(statement, lines)],
        )


def conditionals(
    problem: Problem,
    place: Place,
    node: ast.expr,
    subject: ast.expr,
    condition: str,
    strategy: str,
    what: str,
) -> Iterator[Edit]:
    """`conditional` with each value that may stand for `node` where `subject` has none."""
    for fallback in expressions(problem, place, node, subject):
        yield conditional(place, node, condition, fallback, strategy, what)


def conditional(
    place: Place,
    node: ast.expr,
    condition: str,
    fallback: Fallback,
    strategy: str,
    what: str,
    *,
    template: str = "conditional",
) -> Edit:
    """`node` becomes ``(node if <condition> else <fallback>)``."""
    text = f"({place.source.segment(node)} if {condition} else {fallback.text})"
    return replacement(
        place, node, _bare(place.source, node, text), fallback, strategy, what, template
    )


def _bare(source: Source, node: ast.expr, text: str) -> str:
    """Without its parentheses where the place needs none."""
    parent = source.parent(node)
    alone = isinstance(parent, ast.Assign | ast.AnnAssign | ast.Return | ast.keyword | ast.Dict)
    start, stop = source.span(node)
    inside = source.text[start - 1 : start] == "(" and source.text[stop : stop + 1] == ")"
    return text[1:-1] if (alone and "\n" not in text) or inside else text


def replacement(
    place: Place,
    node: ast.expr,
    text: str,
    fallback: Fallback,
    strategy: str,
    what: str,
    template: str,
) -> Edit:
    """`node` becomes `text`."""
    return Edit(
        strategy=strategy,
        template=template if template == fallback.origin else f"{template}_{fallback.origin}",
        explanation=f"In {place.function.name}, when {what}: `{fallback.text}` {fallback.why}.",
        fit=fallback.fit,
        parameters={"fallback": fallback.text, "origin": fallback.origin},
        splices=[place.source.replace(node, text)],
    )


def import_splices(source: Source, module: str, name: str | None = None) -> list[Splice]:
    """Import a module, or a name of it, unless the file does already; after the last import."""
    wanted = f"from {module} import {name}" if name else f"import {module}"
    if imported(source, module, name):
        return []
    imports = [node for node in source.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    if imports:
        future = [node for node in imports if getattr(node, "module", "") != "__future__"]
        anchor = future[0] if future else imports[-1]
        if future:
            return [source.insert_before(anchor, [wanted])]
        return [source.insert_after(anchor, ["", wanted])]
    body = source.tree.body
    documented = (
        bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    )
    if documented:
        return [source.insert_after(body[0], ["", wanted])]
    return [source.insert_before(body[0], [wanted, ""])]


def imported(source: Source, module: str, name: str | None = None) -> bool:
    """Whether a file imports a module, or a name from it, at its top level and unrenamed."""
    for node in source.tree.body:
        if isinstance(node, ast.Import) and name is None:
            if any(each.name == module and each.asname is None for each in node.names):
                return True
        elif isinstance(node, ast.ImportFrom) and node.module == module:
            names = {each.name for each in node.names if each.asname is None}
            if name in names:
                return True
    return False
