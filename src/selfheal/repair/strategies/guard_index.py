"""An index out of range, or an empty sequence: a value for it, or leave early."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.edit import Edit
from selfheal.repair.fallbacks import Fallback, expressions
from selfheal.repair.problem import Place, Problem
from selfheal.repair.source import is_plain
from selfheal.repair.strategies.base import (
    Example,
    conditionals,
    early_exits,
    error_strategy,
    replacement,
)

NAME = "guard_index"
EMPTY = ("StatisticsError", "StopIteration")


def propose(problem: Problem) -> Iterator[Edit]:
    empty = problem.exception in EMPTY or (
        problem.exception == "ValueError" and "empty" in problem.message
    )
    if problem.exception != "IndexError" and not empty:
        return
    for place in problem.places():
        if problem.exception == "IndexError":
            for node in place.nodes(ast.Subscript):
                if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                    yield from _subscript(problem, place, node)
        for node in place.nodes(ast.Call):
            if isinstance(node, ast.Call):
                yield from _call(problem, place, node)


def _subscript(problem: Problem, place: Place, node: ast.Subscript) -> Iterator[Edit]:
    source = place.source
    holder, index = source.segment(node.value), source.segment(node.slice)
    if isinstance(node.slice, ast.Slice | ast.Tuple) or "\n" in holder + index:
        return
    if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return
    whole = _chain(place, node)
    first = index in ("0", "-1")
    what = f"{holder} is empty" if first else f"{holder} has no element {index}"
    if not is_plain(node.value):
        yield from _computed(problem, place, node, whole, holder, index)
        return
    inside = holder if first else f"len({holder}) > {index}"
    outside = f"not {holder}" if first else f"len({holder}) <= {index}"
    if not index.startswith("-") or first:
        yield from conditionals(problem, place, whole, node.value, inside, NAME, what)
        yield from early_exits(problem, place, node, node.value, outside, NAME, what)
    if not isinstance(node.slice, ast.Constant):
        last = Fallback(f"{holder}[-1]", 0.45, "clamp", "is the last element")
        text = f"{holder}[min({index}, len({holder}) - 1)]"
        yield replacement(place, node, text, last, NAME, what, "clamp")


def _chain(place: Place, node: ast.expr) -> ast.expr:
    """``xs[0].name`` and ``xs[0]["name"]`` are guarded as a whole."""
    parent = place.source.parent(node)
    while isinstance(parent, ast.Attribute | ast.Subscript) and parent.value is node:
        node, parent = parent, place.source.parent(parent)
    if isinstance(parent, ast.Call) and parent.func is node:
        return parent
    return node


def _computed(
    problem: Problem,
    place: Place,
    node: ast.Subscript,
    whole: ast.expr,
    holder: str,
    index: str,
) -> Iterator[Edit]:
    """The sequence is computed on the spot: keep it in a name."""
    source = place.source
    name = source.fresh(place.function, "parts")
    condition = (
        f"({name} := {holder})" if index in ("0", "-1") else f"len({name} := {holder}) > {index}"
    )
    if index.startswith("-") and index != "-1":
        return
    shortened = source.segment(whole).replace(holder, name, 1)
    for fallback in expressions(problem, place, whole, node.value):
        text = f"({shortened} if {condition} else {fallback.text})"
        what = f"{holder} has no element {index}"
        yield replacement(place, whole, text, fallback, NAME, what, "conditional")


def _call(problem: Problem, place: Place, node: ast.Call) -> Iterator[Edit]:
    """``max``, ``min`` and ``next`` take a default; ``pop`` and means are guarded."""
    source = place.source
    called = ast.unparse(node.func)
    short = called.rpartition(".")[2]
    keywords = {keyword.arg for keyword in node.keywords}
    if called in ("max", "min") and len(node.args) == 1 and "default" not in keywords:
        for fallback in expressions(problem, place, node, node.args[0]):
            text = _with_argument(place, node, f"default={fallback.text}")
            yield replacement(place, node, text, fallback, NAME, "there is nothing", "default")
    elif called == "next" and len(node.args) == 1:
        for fallback in expressions(problem, place, node, node.args[0]):
            text = _with_argument(place, node, fallback.text)
            yield replacement(place, node, text, fallback, NAME, "there is nothing", "default")
    elif short == "pop" and isinstance(node.func, ast.Attribute) and is_plain(node.func.value):
        holder = source.segment(node.func.value)
        what = f"{holder} is empty"
        yield from conditionals(problem, place, node, node.func.value, holder, NAME, what)
    elif short in ("mean", "fmean", "median", "mode", "choice", "stdev") and node.args:
        subject = node.args[0]
        text = source.segment(subject)
        if is_plain(subject):
            what = f"{text} is empty"
            yield from conditionals(problem, place, node, subject, text, NAME, what)
            yield from early_exits(problem, place, node, subject, f"not {text}", NAME, what)


def _with_argument(place: Place, node: ast.Call, argument: str) -> str:
    """The call with one more argument; a lone generator gets the parentheses that it needs."""
    source = place.source
    function = source.segment(node.func)
    only = node.args[0]
    inner = source.segment(only)
    if isinstance(only, ast.GeneratorExp) and not inner.startswith("("):
        inner = f"({inner})"
    keywords = [source.segment(keyword) for keyword in node.keywords]
    return f"{function}({', '.join([inner, *keywords, argument])})"


STRATEGY = error_strategy(
    NAME,
    propose,
    Example(
        before="def latest(reviews):\n    return reviews[0]['stars']\n",
        after="def latest(reviews):\n    return reviews[0]['stars'] if reviews else None\n",
        line=2,
        evidence={"exception_type": "IndexError", "message": "list index out of range"},
    ),
    Example(
        before="def best(rules):\n    return max(rule.percent for rule in rules)\n",
        after="def best(rules):\n    return max((rule.percent for rule in rules), default=0)\n",
        good="def best(rules):\n    return max(rule.percent for rule in rules) if rules else 0\n",
        line=2,
        evidence={
            "exception_type": "ValueError",
            "message": "max() arg is an empty sequence",
        },
    ),
)
