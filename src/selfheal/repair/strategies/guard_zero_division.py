"""A divisor that is zero: a value for it, or leave early."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.edit import Edit
from selfheal.repair.fallbacks import Fallback
from selfheal.repair.problem import Problem
from selfheal.repair.strategies.base import (
    Example,
    conditional,
    conditionals,
    early_exits,
    error_strategy,
)

NAME = "guard_zero_division"
EXCEPTIONS = ("ZeroDivisionError", "DivisionByZero", "DivisionUndefined", "InvalidOperation")
ZERO = Fallback("0", 0.5, "neutral", "gives zero")


def propose(problem: Problem) -> Iterator[Edit]:
    if problem.exception not in EXCEPTIONS:
        return
    for place in problem.places():
        for node in place.nodes(ast.BinOp):
            if not isinstance(node, ast.BinOp) or not _divides(node):
                continue
            source = place.source
            whole = _rounded(source.parent(node), node)
            subject = _counted(node.right)
            text = source.segment(subject)
            if "\n" in text:
                continue
            what = f"{text} is {'zero' if subject is node.right else 'empty'}"
            yield from conditionals(problem, place, whole, subject, text, NAME, what)
            yield conditional(place, whole, text, ZERO, NAME, what)
            negated = f"not {text}" if _simple(subject) else f"not ({text})"
            yield from early_exits(problem, place, node, subject, negated, NAME, what)


def _counted(divisor: ast.expr) -> ast.expr:
    """``len(xs)`` is zero where `xs` is empty."""
    if (
        isinstance(divisor, ast.Call)
        and ast.unparse(divisor.func) == "len"
        and len(divisor.args) == 1
        and isinstance(divisor.args[0], ast.Name | ast.Attribute)
    ):
        return divisor.args[0]
    return divisor


def _divides(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod) and not isinstance(
        node.right, ast.Constant
    )


def _rounded(parent: ast.AST | None, node: ast.expr) -> ast.expr:
    """``round(a / b, 2)`` is guarded as a whole: None cannot be rounded."""
    if (
        isinstance(parent, ast.Call)
        and parent.args[:1] == [node]
        and ast.unparse(parent.func).rpartition(".")[2] in ("round", "int", "float", "str", "ceil")
    ):
        return parent
    return node


def _simple(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call)


STRATEGY = error_strategy(
    NAME,
    propose,
    Example(
        before="def mean(xs):\n    return round(sum(xs) / len(xs), 2)\n",
        after="def mean(xs):\n    return round(sum(xs) / len(xs), 2) if xs else None\n",
        line=2,
        evidence={"exception_type": "ZeroDivisionError", "message": "division by zero"},
    ),
)
