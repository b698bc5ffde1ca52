"""A loop that searches another collection in each turn becomes a look-up in an index.

A nested-loop join becomes a hash join (Shapiro, "Join processing in database systems
with large main memories", TODS 1986): the inner collection is grouped once by the
compared key. The comparison itself stays, so that equality means what it meant.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from selfheal.repair.edit import Edit
from selfheal.repair.loops import Loop, loops, outer_loops, repeatable
from selfheal.repair.problem import Problem
from selfheal.repair.source import names_bound, names_in
from selfheal.repair.strategies.base import Example, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "index_join"


@dataclass(frozen=True)
class _Search:
    """`inner` is searched for elements whose `own` expression equals `wanted`."""

    iterable: ast.expr
    target: ast.expr
    own: ast.expr
    wanted: ast.expr


def propose(problem: Problem) -> Iterator[Edit]:
    if problem.slow_pattern not in ("", "nested_loops", "repeated_call"):
        return
    for source, function, factor in scope(problem):
        every = loops(source, function)
        for inner in every:
            outer = outer_loops(inner, every)
            if not outer:
                continue
            for search in _searches(inner):
                edit = _indexed(outer, inner, search, factor)
                if edit is not None:
                    yield edit


def _searches(loop: Loop) -> Iterator[_Search]:
    """The equalities by which a loop picks elements of what it runs over."""
    for iterable, target, conditions in _generators(loop):
        bound = names_bound(target)
        for condition in conditions:
            for left, right in _equalities(condition):
                for own, wanted in ((left, right), (right, left)):
                    if names_in(own) & bound and not names_in(wanted) & bound:
                        yield _Search(iterable, target, own, wanted)


def _generators(loop: Loop) -> Iterator[tuple[ast.expr, ast.expr, list[ast.expr]]]:
    node = loop.node
    if isinstance(node, ast.For):
        first = node.body[0]
        if isinstance(first, ast.If) and len(node.body) == 1 and not first.orelse:
            yield node.iter, node.target, [first.test]
        elif isinstance(first, ast.If) and isinstance(first.body[0], ast.Continue):
            yield node.iter, node.target, [ast.UnaryOp(ast.Not(), first.test)]
    elif len(node.generators) == 1:
        generator = node.generators[0]
        yield generator.iter, generator.target, [*generator.ifs, *_summed(node)]


def _summed(node: ast.AST) -> list[ast.expr]:
    """``sum(x.n if x.id == y.id else 0 for x in xs)`` picks elements too."""
    element = getattr(node, "elt", None)
    if isinstance(element, ast.IfExp) and isinstance(element.orelse, ast.Constant):
        return [element.test] if element.orelse.value == 0 else []
    return []


def _equalities(condition: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The equalities that must hold: terms of a conjunction, or a negated inequality."""
    if isinstance(condition, ast.BoolOp) and isinstance(condition.op, ast.And):
        for value in condition.values:
            yield from _equalities(value)
    elif isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
        inner = condition.operand
        if isinstance(inner, ast.Compare) and isinstance(inner.ops[0], ast.NotEq):
            yield inner.left, inner.comparators[0]
    elif isinstance(condition, ast.Compare) and [type(each) for each in condition.ops] == [ast.Eq]:
        yield condition.left, condition.comparators[0]


def _indexed(outer: list[Loop], inner: Loop, search: _Search, factor: float) -> Edit | None:
    """The index before the outermost loop in which the searched collection is the same."""
    source = inner.source
    if isinstance(search.iterable, ast.Tuple | ast.List | ast.Constant):
        return None
    free = _outermost(outer, search)
    if free is None or not repeatable(source, inner.function, search.iterable):
        return None
    texts = [source.segment(each) for each in (search.iterable, search.target, search.own)]
    wanted = source.segment(search.wanted)
    if any("\n" in text for text in (*texts, wanted)):
        return None
    iterable, _, own = texts
    element = search.target.id if isinstance(search.target, ast.Name) else None
    if element is None or _mutates(inner, element):
        return None
    name = source.fresh(inner.function, f"{_plain(iterable)}_by_{_key_name(search.own)}")
    unit = source.unit
    local = source.fresh(inner.function, element) if _clashes(inner, element) else element
    lines = [
        f"{name} = {{}}",
        f"for {local} in {iterable}:",
        f"{unit}{name}.setdefault({_renamed(own, element, local)}, []).append({local})",
    ]
    return Edit(
        strategy=NAME,
        template="index_by_key",
        explanation=f"In {inner.function.name}, {iterable} is grouped once by `{own}` and looked "
        f"up, instead of being searched for `{wanted}` in each turn.",
        fit=round(0.9 * factor, 6),
        parameters={"key": own},
        splices=[
            free.prepare(lines),
            source.replace(search.iterable, f"{name}.get({wanted}, ())"),
        ],
    )


def _outermost(outer: list[Loop], search: _Search) -> Loop | None:
    """The outermost of the loops that all leave the collection and its elements' key alone."""
    free = None
    names = names_bound(search.target)
    for loop in reversed(outer):
        others = [node for node in ast.walk(search.own) if isinstance(node, ast.Name)]
        steady = all(node.id not in loop.changing for node in others if node.id not in names)
        if not loop.invariant(search.iterable) or not steady:
            break
        free = loop
    return free


def _mutates(inner: Loop, element: str) -> bool:
    """Whether the inner loop changes its elements: their key may change with them."""
    if not isinstance(inner.node, ast.For):
        return False
    return any(
        isinstance(node, ast.Attribute | ast.Subscript)
        and not isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
        and node.value.id == element
        for node in inner.nodes()
    )


def _clashes(inner: Loop, element: str) -> bool:
    """Whether the element's name means something else in the function."""
    own = {id(node) for node in ast.walk(inner.node)}
    return any(
        isinstance(node, ast.Name | ast.arg)
        and (node.id if isinstance(node, ast.Name) else node.arg) == element
        and id(node) not in own
        for node in ast.walk(inner.function)
    )


def _renamed(text: str, name: str, other: str) -> str:
    if name == other:
        return text
    tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name:
            node.id = other
    return ast.unparse(tree)


def _plain(text: str) -> str:
    words = [
        word for word in text.replace(".", " ").replace("(", " ").split() if word.isidentifier()
    ]
    return words[-1] if words else "elements"


def _key_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        shown = str(node.slice.value)
        return shown if shown.isidentifier() else "key"
    return "key"


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before="def totals(products, sales):\n    found = []\n    for product in products:\n"
        "        total = sum(sale.count for sale in sales if sale.product == product.id)\n"
        "        found.append((product.id, total))\n    return found\n",
        after="def totals(products, sales):\n    found = []\n    sales_by_product = {}\n"
        "    for sale in sales:\n"
        "        sales_by_product.setdefault(sale.product, []).append(sale)\n"
        "    for product in products:\n"
        "        total = sum(sale.count for sale in sales_by_product.get(product.id, ())"
        " if sale.product == product.id)\n"
        "        found.append((product.id, total))\n    return found\n",
        line=4,
        evidence={"slow_pattern": "nested_loops"},
    ),
)
