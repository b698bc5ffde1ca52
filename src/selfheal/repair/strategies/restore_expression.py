"""The one expression that the release changed, as the good release had it.

A revert at the grain of expressions: the trees of both versions of the function are
compared (after Falleri et al., "Fine-grained and accurate source code differencing",
ASE 2014, in a simpler form), and what differs on the failing line, or in a condition
before it, is put back. Everything else that the commit did stays.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from difflib import SequenceMatcher

from selfheal.repair.edit import Edit
from selfheal.repair.fallbacks import bindings
from selfheal.repair.problem import Place, Problem
from selfheal.repair.source import same
from selfheal.repair.strategies.base import Example, error_strategy

NAME = "restore_expression"
Pair = tuple[ast.expr, ast.expr]


def propose(problem: Problem) -> Iterator[Edit]:
    for place in problem.places():
        if place.good is None:
            continue
        good, old = place.good
        for before, after in differing(place.function, old):
            fit = _closeness(place, before)
            text = good.segment(after)
            needed = bindings(place, text)
            if fit is None or needed is None or "\n" in text:
                continue
            shown = place.source.segment(before)
            yield Edit(
                strategy=NAME,
                template=NAME,
                explanation=f"In {place.function.name}, `{' '.join(shown.split())}` is "
                f"`{text}` again, as in the good release; the rest of the change stays.",
                fit=fit,
                parameters={"node": type(before).__name__},
                splices=[
                    *needed,
                    place.source.replace(before, _wrapped(place, before, text, after)),
                ],
            )


def _wrapped(place: Place, before: ast.expr, text: str, after: ast.expr) -> str:
    """Parentheses where the old expression binds more loosely than the new one did."""
    parent = place.source.parent(before)
    loose = isinstance(after, ast.IfExp | ast.BoolOp | ast.Compare | ast.Lambda | ast.UnaryOp)
    tight = isinstance(
        parent, ast.BinOp | ast.UnaryOp | ast.Attribute | ast.Compare | ast.Subscript
    )
    return f"({text})" if loose and tight and getattr(parent, "slice", None) is not before else text


def _closeness(place: Place, node: ast.expr) -> float | None:
    """On the accused line, or in a condition above it; None elsewhere."""
    source = place.source
    statement = source.statement(node)
    if node.lineno <= place.line <= (node.end_lineno or node.lineno):
        return 0.96
    on_line = statement.lineno <= place.line <= (statement.end_lineno or statement.lineno)
    if isinstance(statement, ast.If | ast.While | ast.For) and statement.lineno <= place.line:
        return 0.7
    return 0.8 if on_line else None


def differing(bad: ast.AST, good: ast.AST) -> list[Pair]:
    """The smallest expressions that differ between two versions of some code."""
    if same(bad, good):
        return []
    both = isinstance(bad, ast.expr) and isinstance(good, ast.expr)
    if type(bad) is not type(good):
        return [(bad, good)] if both else []  # type: ignore[list-item]
    pairs: list[Pair] = []
    for name in bad._fields:
        one, other = getattr(bad, name, None), getattr(good, name, None)
        if name in ("ctx", "decorator_list", "returns", "type_comment"):
            continue
        if isinstance(one, list) and isinstance(other, list):
            found = _lists(one, other)
        elif isinstance(one, ast.AST) and isinstance(other, ast.AST):
            found = differing(one, other)
        else:
            found = [] if one == other else None
        if found is None:
            return [(bad, good)] if both else pairs  # type: ignore[list-item]
        pairs += found
    return pairs


def _lists(one: list[ast.AST], other: list[ast.AST]) -> list[Pair] | None:
    """Pairs of two lists of nodes; None where expressions came or went."""
    statements = all(isinstance(each, ast.stmt) for each in (*one, *other))
    if not statements:
        if len(one) != len(other):
            return None
        pairs = zip(one, other, strict=True)
        return [pair for a, b in pairs for pair in differing(a, b)]
    found: list[Pair] = []
    shapes = [[ast.dump(each) for each in side] for side in (one, other)]
    matcher = SequenceMatcher(None, shapes[0], shapes[1], autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "replace":
            for mine, yours in zip(one[a:b], other[c:d], strict=False):
                found += differing(mine, yours)
    return found


STRATEGY = error_strategy(
    NAME,
    propose,
    Example(
        before="def deals(limit):\n    top = 9 if limit is None else int(limit)\n    return top\n",
        after="def deals(limit):\n    top = 9 if not limit else int(limit)\n    return top\n",
        good="def deals(limit):\n    top = 9 if not limit else int(limit)\n    return top\n",
        line=2,
        evidence={"exception_type": "ValueError", "message": "invalid literal: ''"},
    ),
    Example(
        before="def quote(db, key):\n    find(db, key)\n    tiers = load(db, key)\n"
        "    return tiers[-1].cents\n",
        after="def quote(db, key):\n    product = find(db, key)\n    tiers = load(db, key)\n"
        "    return tiers[-1].cents if tiers else product.cents\n",
        good="def quote(db, key):\n    product = find(db, key)\n    tiers = load(db, key)\n"
        "    return tiers[-1].cents if tiers else product.cents\n",
        line=4,
        evidence={"exception_type": "IndexError", "message": "list index out of range"},
    ),
)
