"""A long chain of attributes and keys that a loop follows again and again is followed once before it.

Loop-invariant code motion (Aho, Lam, Sethi, Ullman, "Compilers", 9.1) of loads. Refused
where the loop stores into an attribute or a key of the chain, or calls something that
knows an object on the way: it might bind a link anew.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.costly_shapes import chains
from selfheal.codebase.index import own_nodes
from selfheal.repair.costs import asked
from selfheal.repair.edit import Edit
from selfheal.repair.loops import Loop, loops
from selfheal.repair.problem import Problem
from selfheal.repair.strategies.base import Example, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "hoist_chain"


def propose(problem: Problem) -> Iterator[Edit]:
    if not asked(problem, "repeated_chain"):
        return
    for source, function, factor in scope(problem):
        for loop in loops(source, function):
            if not isinstance(loop.node, ast.For):
                continue
            for text, nodes in chains(loop.node).items():
                if _stays(loop, nodes[0]) and _reached(loop, nodes[0]):
                    name = source.fresh(function, _last(nodes[0]))
                    yield Edit(
                        strategy=NAME,
                        template=NAME,
                        explanation=f"In {function.name}, `{text}` is looked up once before the loop.",
                        fit=round(0.6 * factor, 6),
                        splices=[
                            loop.prepare([f"{name} = {source.segment(nodes[0])}"]),
                            *(source.replace(node, name) for node in nodes),
                        ],
                    )


def _parts(node: ast.expr) -> list[ast.expr]:
    """The chain and the objects on the way to it, the root last."""
    found = [node]
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
        found.append(node)
    return found


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    assert isinstance(node, ast.Subscript)
    key = ast.literal_eval(node.slice)
    return key if isinstance(key, str) and key.isidentifier() else "value"


def _stays(loop: Loop, chain: ast.expr) -> bool:
    """Whether nothing in a turn can bind a link of the chain anew."""
    parts = _parts(chain)
    ways = {ast.unparse(each) for each in parts[1:]}
    links = {
        each.attr if isinstance(each, ast.Attribute) else ast.unparse(each.slice)
        for each in parts
        if isinstance(each, ast.Attribute | ast.Subscript)
    }
    if not loop.invariant(parts[-1]):
        return False
    for node in loop.nodes():
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            stored = node.attr if isinstance(node, ast.Attribute) else ast.unparse(node.slice)
            if stored in links:
                return False
        elif isinstance(node, ast.Call):
            receiver = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            known = [*receiver, *node.args, *(each.value for each in node.keywords)]
            if any(ast.unparse(each) in ways for each in known):
                return False
    return True


def _reached(loop: Loop, chain: ast.expr) -> bool:
    """A missing key must be missed where it was missed before: in a loop with turns.

    Attributes of an object are there; keys count where the function read them before the loop.
    """
    if not any(isinstance(each, ast.Subscript) for each in _parts(chain)):
        return True
    text = ast.unparse(chain)
    return any(
        isinstance(node, ast.expr)
        and node.lineno < loop.node.lineno
        and ast.unparse(node).startswith(text)
        for node in own_nodes(loop.function)
        if isinstance(node, ast.Attribute | ast.Subscript)
    )


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before="def fits(shop, rows):\n    found = []\n    for row in rows:\n"
        "        if shop.config.limits.low < row < shop.config.limits.low + 9:\n"
        "            found.append(row)\n    return found\n",
        after="def fits(shop, rows):\n    found = []\n    low = shop.config.limits.low\n"
        "    for row in rows:\n        if low < row < low + 9:\n"
        "            found.append(row)\n    return found\n",
        line=4,
        evidence={"slow_pattern": "repeated_chain"},
    ),
)
