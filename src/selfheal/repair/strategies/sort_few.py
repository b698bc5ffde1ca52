"""The first few of a sorted whole are found without sorting, and a list is sorted once.

``sorted(xs)[0]`` is ``min(xs)``, ``sorted(xs)[:n]`` is ``heapq.nsmallest(n, xs)`` (so the
library's documentation defines it), and a list that is sorted after each ``append`` need
only be sorted after the last.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.costly_shapes import few_of_sorted
from selfheal.codebase.index import own_nodes
from selfheal.codebase.mutation import is_name
from selfheal.repair.blocks import removed_lines
from selfheal.repair.costs import Built, asked, built, in_turn
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.source import Function, Source
from selfheal.repair.strategies.base import Example, import_splices, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "sort_few"
_CATCHES = frozenset({"IndexError", "LookupError", "Exception", "BaseException"})


def propose(problem: Problem) -> Iterator[Edit]:
    if not asked(problem, "sort_for_few", "sort_in_loop"):
        return
    for source, function, factor in scope(problem):
        for node in own_nodes(function):
            if isinstance(node, ast.Subscript) and few_of_sorted(node):
                edit = _few(source, function, node, factor)
                if edit is not None:
                    yield edit
        for found in built(source, function):
            edit = _once(found, factor)
            if edit is not None:
                yield edit


def _few(source: Source, function: Function, node: ast.Subscript, factor: float) -> Edit | None:
    call = node.value
    assert isinstance(call, ast.Call)
    keywords = {each.arg: each.value for each in call.keywords}
    turned = keywords.pop("reverse", None)
    if len(call.args) != 1 or set(keywords) - {"key"}:
        return None
    if turned is not None and not isinstance(turned, ast.Constant):
        return None
    down = turned is not None and bool(turned.value)
    text = source.segment(call.args[0])
    key = f", key={source.segment(keywords['key'])}" if "key" in keywords else ""
    splices: list[Splice] = []
    if isinstance(node.slice, ast.Slice):
        count = ast.literal_eval(node.slice.upper) if node.slice.upper else 0
        if count < 1:
            return None
        new = f"heapq.{'nlargest' if down else 'nsmallest'}({count}, {text}{key})"
        splices = import_splices(source, "heapq")
    else:
        last = ast.unparse(node.slice) == "-1"
        # Of elements with equal keys, the last of the sorted is not the first that max meets.
        if (last and key) or _handles_empty(source, node):
            return None
        bare = isinstance(call.args[0], ast.GeneratorExp) and not key and text.startswith("(")
        new = f"{'max' if down != last else 'min'}"
        new += text if bare else f"({text}{key})"
    return Edit(
        strategy=NAME,
        template="heap" if isinstance(node.slice, ast.Slice) else "extreme",
        explanation=f"In {function.name}, `{new}` finds what `{source.segment(node)}` sorted for.",
        fit=round(0.85 * factor, 6),
        splices=[source.replace(node, new), *splices],
    )


def _handles_empty(source: Source, node: ast.AST) -> bool:
    """Whether the exception for no elements is caught here, which ``min`` raises otherwise."""
    for each in source.ancestors(node):
        if isinstance(each, ast.Try):
            for handler in each.handlers:
                names = ast.unparse(handler.type) if handler.type else "BaseException"
                if any(name in names for name in _CATCHES):
                    return True
    return False


def _once(found: Built, factor: float) -> Edit | None:
    """``x.append(y); x.sort()`` in a loop that does not look at `x` → sorted after the loop."""
    source, name = found.source, found.name
    empty = isinstance(found.init.value, ast.List) and not found.init.value.elts
    calls = [
        node
        for node in ast.walk(found.loop)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and is_name(node.func.value, name)
    ]
    methods = [node.func.attr for node in calls if isinstance(node.func, ast.Attribute)]
    sorts = [
        node for node in calls if isinstance(node.func, ast.Attribute) and node.func.attr == "sort"
    ]
    if not empty or found.between() or len(sorts) != 1 or len(calls) != len(found.inside()):
        return None
    statement = source.statement(sorts[0])
    if set(methods) != {"append", "sort"} or not isinstance(statement, ast.Expr):
        return None
    removed = removed_lines(source, statement)
    # A conditional sort may leave the list as it is.
    always = source.parent(statement) is found.loop
    plain = all(
        isinstance(each.value, ast.Name | ast.Lambda | ast.Constant | ast.Attribute)
        for each in sorts[0].keywords
    )
    if removed is None or not always or not plain or not in_turn(found.loop, statement):
        return None
    if _leaves_early(found):
        return None
    return Edit(
        strategy=NAME,
        template="after_loop",
        explanation=f"In {found.function.name}, {name} is sorted once, after the loop.",
        fit=round(0.9 * factor, 6),
        splices=[removed, source.insert_after(found.loop, [source.segment(statement)])],
    )


def _leaves_early(found: Built) -> bool:
    """Whether a turn may leave between the appending and the sorting."""
    return any(
        isinstance(node, ast.Continue | ast.Break | ast.Return) for node in ast.walk(found.loop)
    )


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before="def best(rows):\n    return sorted(rows, key=lambda row: row[1], reverse=True)[0]\n",
        after="def best(rows):\n    return max(rows, key=lambda row: row[1])\n",
        line=2,
        evidence={"slow_pattern": "sort_for_few"},
    ),
    Example(
        before="def best(rows):\n    first = sorted(row.price for row in rows)[:3]\n    return first\n",
        after="import heapq\n\ndef best(rows):\n"
        "    first = heapq.nsmallest(3, (row.price for row in rows))\n    return first\n",
        line=2,
        evidence={"slow_pattern": "sort_for_few"},
    ),
    Example(
        before="def ranked(rows):\n    found = []\n    for row in rows:\n        found.append(row)\n"
        "        found.sort(reverse=True)\n    return found\n",
        after="def ranked(rows):\n    found = []\n    for row in rows:\n        found.append(row)\n"
        "    found.sort(reverse=True)\n    return found\n",
        line=5,
        evidence={"slow_pattern": "sort_in_loop"},
    ),
)
