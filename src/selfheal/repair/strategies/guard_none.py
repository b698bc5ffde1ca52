"""None where a value was expected: leave early, or take a default."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from selfheal.repair.edit import Edit
from selfheal.repair.fallbacks import expressions, in_comprehension, stand_ins
from selfheal.repair.problem import Place, Problem
from selfheal.repair.source import is_plain
from selfheal.repair.strategies.base import (
    Example,
    conditionals,
    early_exits,
    error_strategy,
    replacement,
)

NAME = "guard_none"
_ATTRIBUTE = re.compile(r"'NoneType' object has no attribute '(\w+)'")


def propose(problem: Problem) -> Iterator[Edit]:
    if problem.exception not in ("AttributeError", "TypeError") or "None" not in problem.message:
        return
    for place in problem.places():
        for missing, whole in _missing(place, problem.message):
            yield from _guards(problem, place, missing, whole)
        yield from _defaults(problem, place)


def _missing(place: Place, message: str) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What may have been None on the line, and the expression that needed it."""
    attribute = _ATTRIBUTE.search(message)
    if attribute:
        for node in place.nodes(ast.Attribute):
            if isinstance(node, ast.Attribute) and node.attr == attribute[1]:
                yield node.value, _chain(place, node)
    elif "subscriptable" in message:
        for node in place.nodes(ast.Subscript):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                yield node.value, _chain(place, node)
    elif "not callable" in message:
        for node in place.nodes(ast.Call):
            if isinstance(node, ast.Call):
                yield node.func, _chain(place, node)


def _chain(place: Place, node: ast.expr) -> ast.expr:
    """The longest run of attributes, items and calls that hangs on a node."""
    parent = place.source.parent(node)
    while (
        (isinstance(parent, ast.Attribute | ast.Subscript) and parent.value is node)
        or (isinstance(parent, ast.Call) and parent.func is node)
    ) and isinstance(parent, ast.expr):
        node, parent = parent, place.source.parent(parent)
    return node


def _guards(problem: Problem, place: Place, missing: ast.expr, whole: ast.expr) -> Iterator[Edit]:
    source = place.source
    text = source.segment(missing)
    what = f"{text} is None"
    if "\n" in text:
        return
    for fallback in stand_ins(problem, place, missing):
        replaced = f"({text} or {fallback.text})"
        yield replacement(place, missing, replaced, fallback, NAME, what, "or_default")
    if is_plain(missing):
        yield from early_exits(problem, place, whole, missing, what, NAME, what)
        present = f"{text} is not None"
        yield from conditionals(problem, place, whole, missing, present, NAME, what)
        return
    name = source.fresh(place.function, "found")
    shortened = source.segment(whole).replace(text, name, 1)
    for fallback in expressions(problem, place, whole, missing):
        guarded = f"({shortened} if ({name} := {text}) is not None else {fallback.text})"
        yield replacement(place, whole, guarded, fallback, NAME, what, "conditional")


def _defaults(problem: Problem, place: Place) -> Iterator[Edit]:
    """``(x or 0)`` for an operand, an argument or an iterable that was None."""
    for node in _operands(place, problem.message):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        text = place.source.segment(node)
        what = f"{text} is None"
        for fallback in expressions(problem, place, node, node):
            if fallback.text == "None":
                continue
            guarded = f"({text} or {fallback.text})"
            yield replacement(place, node, guarded, fallback, NAME, what, "or_default")
        if is_plain(node) and not in_comprehension(place.source, node):
            yield from early_exits(problem, place, node, node, what, NAME, what)


def _operands(place: Place, message: str) -> Iterator[ast.expr]:
    if "unsupported operand" in message or "can only concatenate" in message:
        for node in place.nodes(ast.BinOp, ast.AugAssign):
            if isinstance(node, ast.BinOp):
                yield from (node.right, node.left)
            elif isinstance(node, ast.AugAssign):
                yield node.value
    elif "not supported between" in message:
        for node in place.nodes(ast.Compare, ast.Lambda):
            if isinstance(node, ast.Compare):
                yield from (node.left, *node.comparators)
            elif isinstance(node, ast.Lambda):
                yield node.body
    elif "is not iterable" in message:
        yield from _iterables(place)
    elif "has no len" in message or "argument must be" in message:
        for node in place.nodes(ast.Call):
            if isinstance(node, ast.Call):
                yield from node.args[:1]


def _iterables(place: Place) -> Iterator[ast.expr]:
    for node in ast.walk(place.function):
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            first, last = node.iter.lineno, node.iter.end_lineno or node.iter.lineno
            if first <= place.line <= last:
                yield node.iter
    for node in place.nodes(ast.Compare, ast.Starred, ast.Call):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            yield node.comparators[0]
        elif isinstance(node, ast.Starred):
            yield node.value
        elif isinstance(node, ast.Call):
            yield from node.args[:1]


STRATEGY = error_strategy(
    NAME,
    propose,
    Example(
        before="def city(user):\n    return user.address.city.title()\n",
        after="def city(user):\n"
        "    return user.address.city.title() if user.address is not None else None\n",
        line=2,
        evidence={
            "exception_type": "AttributeError",
            "message": "'NoneType' object has no attribute 'city'",
        },
    ),
    Example(
        before="def total(rows):\n    return sum(row.price * row.count for row in rows)\n",
        after="def total(rows):\n    return sum((row.price or 0) * row.count for row in rows)\n",
        line=2,
        evidence={
            "exception_type": "TypeError",
            "message": "unsupported operand type(s) for *: 'NoneType' and 'int'",
        },
    ),
    Example(
        before="def name(found):\n    return found['name']\n",
        good="def name(found):\n    if found is None:\n        return 'nobody'\n"
        "    return found['name']\n",
        after="def name(found):\n    if found is None:\n        return 'nobody'\n"
        "    return found['name']\n",
        line=2,
        evidence={
            "exception_type": "TypeError",
            "message": "'NoneType' object is not subscriptable",
        },
    ),
)
