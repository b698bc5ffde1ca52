"""What the strategies for costly code share: when they are asked, and what is built in a loop."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from selfheal.codebase.costly_shapes import LOOPS, repeated
from selfheal.codebase.index import own_nodes
from selfheal.codebase.mutation import is_name
from selfheal.repair.blocks import block_of
from selfheal.repair.problem import Problem
from selfheal.repair.source import FUNCTIONS, Function, Source

Loop = ast.For | ast.AsyncFor | ast.While


def asked(problem: Problem, *patterns: str) -> bool:
    """Whether the diagnosis saw one of these slow patterns, or none at all."""
    evidence = problem.diagnosis.evidence
    seen = {problem.slow_pattern}
    for each in evidence.get("slow_patterns") or ():
        seen.add(str(each.get("name") if isinstance(each, dict) else each))
    seen.discard("")
    return not seen or not seen.isdisjoint(patterns)


class Built(NamedTuple):
    """A local name that is bound by `init`, and then worked on by `loop` in the same block."""

    source: Source
    function: Function
    name: str
    init: ast.Assign
    loop: Loop

    def inside(self) -> list[ast.Name]:
        """Where the loop mentions the name."""
        return _mentions(self.name, [self.loop])

    def between(self) -> list[ast.Name]:
        """Where the statements between `init` and the loop mention the name."""
        block = block_of(self.source, self.loop)
        return _mentions(self.name, block[block.index(self.init) + 1 : block.index(self.loop)])

    @property
    def adjacent(self) -> bool:
        block = block_of(self.source, self.loop)
        return block.index(self.init) + 1 == block.index(self.loop)


def _mentions(name: str, statements: list[ast.stmt]) -> list[ast.Name]:
    return [
        node
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and node.id == name
    ]


def built(source: Source, function: Function) -> Iterator[Built]:
    """Names that nothing but the function can see while a loop works on them, outer loops first.

    Not those that are a parameter, global, used by an inner function, or inside of a
    ``try``, whose handler could see them half built.
    """
    for loop in own_nodes(function):
        if not isinstance(loop, LOOPS) or not source.insertable(loop):
            continue
        if any(isinstance(each, ast.Try) for each in source.ancestors(loop)):
            continue
        block = block_of(source, loop)
        for init in block[: block.index(loop)]:
            if not isinstance(init, ast.Assign) or len(init.targets) != 1:
                continue
            target = init.targets[0]
            if isinstance(target, ast.Name) and _is_private(function, target.id):
                found = Built(source, function, target.id, init, loop)
                if found.inside():
                    yield found


def _is_private(function: Function, name: str) -> bool:
    if any(isinstance(node, ast.arg) and node.arg == name for node in ast.walk(function.args)):
        return False
    for node in own_nodes(function):
        if isinstance(node, ast.Global | ast.Nonlocal) and name in node.names:
            return False
    inner = [
        node
        for node in ast.walk(function)
        if isinstance(node, (*FUNCTIONS, ast.Lambda, ast.ClassDef)) and node is not function
    ]
    return not any(is_name(each, name) for node in inner for each in ast.walk(node))


def in_turn(loop: Loop, node: ast.AST) -> bool:
    """Whether a loop runs a node again in each turn."""
    return any(each is node for each in repeated(loop))
