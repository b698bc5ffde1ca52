"""What nobody means to write: a comparison that decides nothing, a loop without an end."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.edits.atoms import bounds, negation
from selfheal.repair.edits.kinds import BOOL
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site


def deciding_comparison(site: Site) -> Iterator[Draft]:
    """A comparison alone on its line decides what is returned: ``a == b`` in a comparing loop."""
    node = site.statement
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Compare | ast.BoolOp):
        return
    if site.scope.function is None or not site.source.insertable(node):
        return
    shown = site.text(node)
    for answer, weight in _answers(site):
        for condition, sure in ((negation(site, node.value), 1.0), (site.text(node.value), 0.5)):
            body = f"{site.source.indent(node)}{site.source.unit}return {answer}"
            text = f"if {condition}:{site.source.newline}{body}"
            wrong = f"compares `{shown}` and does nothing with the outcome"
            yield Draft((site.source.replace(node, text),), weight * sure, wrong)


def _answers(site: Site) -> list[tuple[str, float]]:
    """What may be returned: where the function answers yes or no, no first."""
    returned = site.scope.returned
    if any(site.scope.kinds.of(ast.parse(each, mode="eval").body) == BOOL for each in returned):
        return [("False", 1.2), ("True", 0.6)]
    return [(each, 0.6) for each in returned[:3]]


def appended(site: Site) -> Iterator[Draft]:
    """``xs[i] = v`` cannot lengthen a list: ``xs.append(v)``."""
    node = site.statement
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Subscript):
        return
    target = node.targets[0]
    if len(node.targets) > 1 or isinstance(target.slice, ast.Slice | ast.Tuple):
        return
    base, place, value = (site.text(each) for each in (target.value, target.slice, node.value))
    wrong = f"sets `{site.text(target)}`, which may not be there yet"
    for text, weight in (
        (f"{base}.append({value})", 1.0),
        (f"{base}.insert({place}, {value})", 0.5),
    ):
        yield Draft((site.source.replace(node, text),), weight, wrong)


def bounded_loop(site: Site) -> Iterator[Draft]:
    """``while True`` ends where an index that its body uses leaves the sequence."""
    node = site.statement
    if not isinstance(node, ast.While) or not isinstance(node.test, ast.Constant):
        return
    for condition, weight in dict(bounds(site, node)).items():
        if " < len(" in condition:
            wrong = f"goes on where `{condition}` no longer holds"
            yield site.draft(node.test, condition, weight, wrong)


OPERATORS = (
    Operator(
        "unused_comparison",
        0.85,
        deciding_comparison,
        (
            OperatorExample("def same(a, b):\n    for k in a:\n        a[k] == b[k]\n    return True\n", "def same(a, b):\n    for k in a:\n        if a[k] != b[k]:\n            return False\n    return True\n", 3),
        ),
    ),
    Operator(
        "append",
        0.4,
        appended,
        (OperatorExample("def f(xs, x):\n    xs[0] = x\n", "def f(xs, x):\n    xs.append(x)\n", 2, "list assignment index out of range"),),
        fits={"IndexError": 2.0, "AssertionError": 0.5, "": 0.1},
    ),
    Operator(
        "bounded_loop",
        0.35,
        bounded_loop,
        (OperatorExample("def f(xs, i):\n    while True:\n        if xs[i]:\n            break\n        i += 1\n", "def f(xs, i):\n    while i < len(xs):\n        if xs[i]:\n            break\n        i += 1\n", 2, "list index out of range"),),
        fits={"IndexError": 2.0, "": 0.7},
    ),
)  # fmt: skip
