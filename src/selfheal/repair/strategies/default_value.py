"""A key that is not there: a default, or leave early."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.edit import Edit
from selfheal.repair.fallbacks import Fallback, expressions
from selfheal.repair.problem import Place, Problem
from selfheal.repair.source import is_plain
from selfheal.repair.strategies.base import Example, early_exits, error_strategy, replacement

NAME = "default_value"


def propose(problem: Problem) -> Iterator[Edit]:
    if problem.exception != "KeyError":
        return
    for place in problem.places():
        for node in place.nodes(ast.Subscript):
            if isinstance(node, ast.Subscript) and _may_be(node.slice, problem.message):
                yield from _subscript(problem, place, node)
        for node in place.nodes(ast.Call):
            if isinstance(node, ast.Call):
                yield from _removal(place, node)


def _may_be(key: ast.expr, message: str) -> bool:
    """A written key must be the one that the exception names; a computed one may be any."""
    return (
        not isinstance(key, ast.Constant)
        or repr(key.value) == message.strip()
        or (str(key.value) == message.strip())
    )


def _subscript(problem: Problem, place: Place, node: ast.Subscript) -> Iterator[Edit]:
    source = place.source
    holder, key = source.segment(node.value), source.segment(node.slice)
    what = f"{key} is not in {holder}"
    if "\n" in holder + key:
        return
    if isinstance(node.ctx, ast.Del):
        yield from _deletion(place, node, holder, key)
        return
    if isinstance(node.ctx, ast.Store):
        yield from _accumulation(place, node, holder, key)
        return
    for fallback in expressions(problem, place, node, node):
        arguments = key if fallback.text == "None" else f"{key}, {fallback.text}"
        text = f"{holder}.get({arguments})"
        yield replacement(place, node, text, fallback, NAME, what, "get")
    if is_plain(node):
        condition = f"{key} not in {holder}"
        yield from early_exits(problem, place, node, node, condition, NAME, what)


def _accumulation(place: Place, node: ast.Subscript, holder: str, key: str) -> Iterator[Edit]:
    """``totals[key] += n`` begins with a default."""
    statement = place.source.statement(node)
    if not isinstance(statement, ast.AugAssign) or not place.source.insertable(statement):
        return
    value = ast.unparse(statement.value)
    default = '""' if value[:1] in "'\"" else "[]" if value[:1] == "[" else "0"
    line = f"{holder}.setdefault({key}, {default})"
    yield Edit(
        strategy=NAME,
        template="setdefault",
        explanation=f"In {place.function.name}, {holder} begins at {default} for a new {key}.",
        fit=0.8,
        parameters={"fallback": default},
        splices=[place.source.insert_before(statement, [line])],
    )


def _deletion(place: Place, node: ast.Subscript, holder: str, key: str) -> Iterator[Edit]:
    statement = place.source.statement(node)
    if isinstance(statement, ast.Delete) and len(statement.targets) == 1:
        fallback = Fallback("None", 0.8, "use", "removes nothing")
        text = f"{holder}.pop({key}, None)"
        start, stop = place.source.span(statement)
        edit = replacement(place, node, text, fallback, NAME, f"{key} is not there", "pop")
        splice = edit.splices[0].model_copy(update={"start": start, "stop": stop})
        yield edit.model_copy(update={"splices": [splice]})


def _removal(place: Place, node: ast.Call) -> Iterator[Edit]:
    """``d.pop(key)`` and ``s.remove(x)``."""
    if not isinstance(node.func, ast.Attribute) or len(node.args) != 1:
        return
    holder = place.source.segment(node.func.value)
    argument = place.source.segment(node.args[0])
    what = f"{argument} is not in {holder}"
    if node.func.attr == "pop":
        fallback = Fallback("None", 0.6, "neutral", "gives None")
        text = f"{holder}.pop({argument}, None)"
        yield replacement(place, node, text, fallback, NAME, what, "pop")
    elif node.func.attr == "remove":
        fallback = Fallback("None", 0.7, "use", "removes nothing")
        yield replacement(
            place, node, f"{holder}.discard({argument})", fallback, NAME, what, "discard"
        )


STRATEGY = error_strategy(
    NAME,
    propose,
    Example(
        before="def quantity(item):\n    return item['quantity'] * 2\n",
        after="def quantity(item):\n    return item.get('quantity', 1) * 2\n",
        good="def quantity(item):\n    return item.get('quantity', 1) * 2\n",
        line=2,
        evidence={"exception_type": "KeyError", "message": "'quantity'"},
    ),
    Example(
        before="def count(words):\n    seen = {}\n    for word in words:\n"
        "        seen[word] += 1\n    return seen\n",
        after="def count(words):\n    seen = {}\n    for word in words:\n"
        "        seen.setdefault(word, 0)\n        seen[word] += 1\n    return seen\n",
        line=4,
        evidence={"exception_type": "KeyError", "message": "'tea'"},
    ),
)
