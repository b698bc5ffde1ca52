"""Wrong comparison: another operator, or the other side."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from selfheal.repair.edit import Splice
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site

_TEXT: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_OTHERS: dict[str, tuple[tuple[str, float], ...]] = {
    "<": (("<=", 1.0), (">", 0.7), (">=", 0.6), ("!=", 0.3), ("==", 0.3)),
    "<=": (("<", 1.0), (">=", 0.7), (">", 0.6), ("==", 0.3), ("!=", 0.25)),
    ">": ((">=", 1.0), ("<", 0.7), ("<=", 0.6), ("!=", 0.3), ("==", 0.3)),
    ">=": ((">", 1.0), ("<=", 0.7), ("<", 0.6), ("==", 0.3), ("!=", 0.25)),
    "==": (("!=", 1.0), ("<=", 0.6), (">=", 0.6), ("in", 0.4), ("<", 0.3), (">", 0.3), ("is", 0.3)),
    "!=": (("==", 1.0), (">", 0.5), ("<", 0.5), ("not in", 0.4), ("is not", 0.3), (">=", 0.2)),
    "is": (("is not", 1.0), ("==", 0.6)),
    "is not": (("is", 1.0), ("!=", 0.6)),
    "in": (("not in", 1.0), ("==", 0.4)),
    "not in": (("in", 1.0), ("!=", 0.4)),
}
_OPERATOR = re.compile(r"not\s+in\b|is\s+not\b|is\b|in\b|<=|>=|==|!=|<|>")


def swap_comparison(site: Site) -> Iterator[Draft]:
    """Every operator of a comparison becomes each other one that fits its kind."""
    for node in site.of(ast.Compare):
        assert isinstance(node, ast.Compare)
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            start, stop = site.source.span(left)[1], site.source.span(right)[0]
            found = _OPERATOR.search(site.source.text, start, stop)
            literal = any(_literal(each) for each in (left, right))
            left = right
            if found is None:
                continue
            text = _TEXT[type(operator)]
            for other, weight in _OTHERS[text]:
                if literal and other.startswith("is"):
                    continue
                splice = Splice(
                    path=site.source.path, start=found.start(), stop=found.end(), text=other
                )
                yield Draft((splice,), weight, f"compares with `{text}` where `{other}` was meant")


def _literal(node: ast.expr) -> bool:
    """Of which identity says nothing."""
    singleton = isinstance(node, ast.Constant) and (
        node.value is None or isinstance(node.value, bool)
    )
    return not singleton and isinstance(node, ast.Constant | ast.Tuple | ast.List | ast.Dict)


OPERATORS = (
    Operator(
        "comparison",
        1.0,
        swap_comparison,
        (
            OperatorExample(
                "def full(n, room):\n    return n > room\n",
                "def full(n, room):\n    return n >= room\n",
                2,
            ),
            OperatorExample(
                "def f(a, b):\n    if a not   in b:\n        return 1\n",
                "def f(a, b):\n    if a in b:\n        return 1\n",
                2,
            ),
        ),
    ),
)
