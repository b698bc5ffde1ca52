"""The loops of a function: what they run over, what changes in each turn, where to prepare."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from selfheal.repair.edit import Splice
from selfheal.repair.source import (
    COMPREHENSIONS,
    Comprehension,
    Function,
    Source,
    names_bound,
    same,
    walk_own,
)

_FOR = re.compile(r"\bfor\b")
_MUTATORS = frozenset(
    [
        "append",
        "add",
        "extend",
        "update",
        "pop",
        "remove",
        "discard",
        "clear",
        "insert",
        "setdefault",
        "sort",
        "reverse",
        "popitem",
        "appendleft",
        "popleft",
    ]
)
# Ways to loop that give the same again when asked again.
_VIEWS = frozenset({"items", "values", "keys"})
_WRAPPERS = frozenset({"range", "enumerate", "zip", "sorted", "reversed", "list", "tuple", "set"})
_ONE_PASS = frozenset({"execute", "map", "filter", "zip", "iter", "open", "reversed", "finditer"})


@dataclass(frozen=True)
class Loop:
    """A ``for`` statement or a comprehension.

    `anchor` is the statement before which preparation stands, `generators` the text of
    its ``for … in … if …`` and `turn` the nodes evaluated in each turn. `changing` are
    the names that each turn binds or mutates.
    """

    source: Source
    function: Function
    node: ast.For | Comprehension
    anchor: ast.stmt
    generators: str
    target: ast.expr
    iterable: ast.expr
    turn: tuple[ast.AST, ...]
    changing: frozenset[str]

    def nodes(self) -> Iterator[ast.AST]:
        for part in self.turn:
            yield from ast.walk(part)

    def invariant(self, node: ast.AST) -> bool:
        """Whether nothing that a turn changes is read by a node."""
        return not any(
            isinstance(each, ast.Name) and each.id in self.changing for each in ast.walk(node)
        )

    def prepare(self, lines: list[str]) -> Splice:
        return self.source.insert_before(self.anchor, lines)


def loops(source: Source, function: Function) -> list[Loop]:
    """The loops that preparation can be put before, outer ones first."""
    found = []
    for node in walk_own(function):
        if isinstance(node, ast.For):
            loop = _statement_loop(source, function, node)
        elif isinstance(node, COMPREHENSIONS):
            loop = _comprehension_loop(source, function, node)
        else:
            continue
        if source.insertable(loop.anchor):
            found.append(loop)
    return found


def _statement_loop(source: Source, function: Function, node: ast.For) -> Loop:
    iterable = source.segment(node.iter)
    if isinstance(node.iter, ast.Tuple) and not iterable.startswith("("):
        iterable = f"({iterable})"
    body = tuple(node.body)
    return Loop(
        source=source,
        function=function,
        node=node,
        anchor=node,
        generators=f"for {source.segment(node.target)} in {iterable}",
        target=node.target,
        iterable=node.iter,
        turn=body,
        changing=frozenset(changed_in(node.target, *body)),
    )


def _comprehension_loop(source: Source, function: Function, node: Comprehension) -> Loop:
    parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    start = source.span(parts[-1])[1]
    stop = source.span(node)[1] - 1
    begin = _FOR.search(source.text, start, stop)
    later = [
        each for generator in node.generators[1:] for each in (generator.target, generator.iter)
    ]
    conditions = [each for generator in node.generators for each in generator.ifs]
    turn = (*parts, *later, *conditions)
    targets = [generator.target for generator in node.generators]
    return Loop(
        source=source,
        function=function,
        node=node,
        anchor=source.statement(node),
        generators=source.text[begin.start() if begin else start : stop].strip(),
        target=node.generators[0].target,
        iterable=node.generators[0].iter,
        turn=turn,
        changing=frozenset(changed_in(*targets, *turn)),
    )


def changed_in(*nodes: ast.AST) -> set[str]:
    """The names that some code binds, or whose value it mutates."""
    found: set[str] = set()
    for node in nodes:
        found |= names_bound(node)
        for each in ast.walk(node):
            if isinstance(each, ast.Attribute | ast.Subscript) and not isinstance(
                each.ctx, ast.Load
            ):
                found |= _root(each)
            elif (
                isinstance(each, ast.Call)
                and isinstance(each.func, ast.Attribute)
                and each.func.attr in _MUTATORS
            ):
                found |= _root(each.func)
    return found


def _root(node: ast.AST) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def outer_loops(inner: Loop, every: list[Loop]) -> list[Loop]:
    """The loops that run `inner` again in each turn, the outermost first."""
    return [
        loop
        for loop in every
        if loop.node is not inner.node and any(node is inner.node for node in loop.nodes())
    ]


def repeatable(source: Source, function: Function, iterable: ast.expr) -> bool:
    """Whether looping over an expression twice gives the same twice, at no great cost."""
    if isinstance(iterable, ast.Name):
        return not _is_one_pass(source, function, iterable.id)
    if isinstance(iterable, ast.Attribute | ast.List | ast.Tuple | ast.Constant):
        return True
    if isinstance(iterable, ast.Subscript):
        return repeatable(source, function, iterable.value)
    if not isinstance(iterable, ast.Call):
        return False
    if isinstance(iterable.func, ast.Attribute):
        return iterable.func.attr in _VIEWS and repeatable(source, function, iterable.func.value)
    return (
        isinstance(iterable.func, ast.Name)
        and iterable.func.id in _WRAPPERS
        and all(repeatable(source, function, argument) for argument in iterable.args)
    )


def _is_one_pass(source: Source, function: Function, name: str) -> bool:
    """A cursor or a generator: by what is assigned to the name, or by its annotation."""
    for argument in (each for each in ast.walk(function.args) if isinstance(each, ast.arg)):
        if argument.arg == name and argument.annotation is not None:
            shown = source.segment(argument.annotation)
            if any(word in shown for word in ("Iterator", "Iterable", "Generator", "Cursor")):
                return True
    values = [
        node.value
        for node in walk_own(function)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    ]
    for value in values:
        if isinstance(value, ast.GeneratorExp):
            return True
        if isinstance(value, ast.Call):
            called = ast.unparse(value.func).rpartition(".")[2]
            if called in _ONE_PASS:
                return True
    return False


def alias(loop: Loop, node: ast.expr) -> ast.expr:
    """What a name stands for that is set once in each turn, else the node itself."""
    if not isinstance(node, ast.Name) or not isinstance(loop.node, ast.For):
        return node
    values = [
        each.value
        for part in loop.turn
        for each in ast.walk(part)
        if isinstance(each, ast.Assign)
        and any(same(target, node) for target in each.targets)
        and len(each.targets) == 1
    ]
    bindings = [
        each
        for part in loop.turn
        for each in ast.walk(part)
        if isinstance(each, ast.Name) and each.id == node.id and not isinstance(each.ctx, ast.Load)
    ]
    if len(values) == 1 and len(bindings) == 1 and node.id not in names_bound(loop.target):
        return values[0]
    return node


def key_of_turn(loop: Loop, node: ast.expr) -> str | None:
    """An expression of the loop's target alone, as text; None if the turn itself makes it."""
    found = alias(loop, node)
    own = names_bound(loop.target)
    if not isinstance(loop.node, ast.For):
        own = {name for each in loop.node.generators for name in names_bound(each.target)}
    read = {each.id for each in ast.walk(found) if isinstance(each, ast.Name)}
    if not read & own or (read - own) & loop.changing:
        return None
    if any(isinstance(each, ast.Await | ast.Yield | ast.NamedExpr) for each in ast.walk(found)):
        return None
    if not _stable(loop, own):
        return None
    text = loop.source.segment(found)
    return text if "\n" not in text else None


def _stable(loop: Loop, own: set[str]) -> bool:
    """Whether the body leaves the names of its target bound as they are."""
    if not isinstance(loop.node, ast.For):
        return True
    return not any(names_bound(part) & own for part in loop.turn)


def materialized(loop: Loop, wish: str) -> tuple[str, list[str], list[Splice]]:
    """The loop's generators for a second use: text, preparing lines, and splices.

    An iterable that gives its elements once is put into a list first.
    """
    if repeatable(loop.source, loop.function, loop.iterable):
        return loop.generators, [], []
    name = loop.source.fresh(loop.function, wish)
    text = loop.source.segment(loop.iterable)
    listed = text if text.endswith(".fetchall()") else f"list({text})"
    generators = loop.generators.replace(text, name, 1)
    return generators, [f"{name} = {listed}"], [loop.source.replace(loop.iterable, name)]


def plural(name: str) -> str:
    """A usual English plural for a variable's name."""
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"
