"""A sum that each turn computes anew goes along with the loop.

Incremental computation of an aggregate (Paige, Koenig, "Finite differencing of computable
expressions", TOPLAS 1982). The numbers are added in the same order as before.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.costly_shapes import is_aggregate, mutations
from selfheal.codebase.mutation import is_name
from selfheal.repair.costs import Built, asked, built
from selfheal.repair.edit import Edit
from selfheal.repair.loops import Loop, loops
from selfheal.repair.problem import Problem
from selfheal.repair.source import is_plain, names_bound
from selfheal.repair.strategies.base import Example, import_splices, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "running_total"


def propose(problem: Problem) -> Iterator[Edit]:
    if not asked(problem, "aggregate_in_loop"):
        return
    for source, function, factor in scope(problem):
        for loop in loops(source, function):
            for node in loop.nodes():
                if isinstance(node, ast.Call) and is_name(node.func, "sum") and len(node.args) == 1:
                    edit = _prefix(loop, node, factor)
                    if edit is not None:
                        yield edit
        for found in built(source, function):
            edit = _growing(found, factor)
            if edit is not None:
                yield edit


def _prefix(loop: Loop, call: ast.Call, factor: float) -> Edit | None:
    """``sum(xs[:i])`` for every index `i` of `xs` → an item of the list of all partial sums."""
    part = call.args[0]
    if not isinstance(part, ast.Subscript) or not isinstance(part.slice, ast.Slice):
        return None
    if part.slice.lower is not None or part.slice.step is not None or part.slice.upper is None:
        return None
    if not isinstance(part.value, ast.Name) or not loop.invariant(part.value):
        return None
    index = _index_of(loop, part.value.id)
    upper = ast.unparse(part.slice.upper)
    if index is None or upper not in (index, f"{index} + 1"):
        return None
    source, values = loop.source, part.value.id
    name = source.fresh(loop.function, f"{values}_sums")
    return Edit(
        strategy=NAME,
        template="partial_sums",
        explanation=f"In {loop.function.name}, the partial sums of {values} are computed once.",
        fit=round(0.85 * factor, 6),
        splices=[
            *import_splices(source, "itertools"),
            loop.prepare([f"{name} = [0, *itertools.accumulate({values})]"]),
            source.replace(call, f"{name}[{source.segment(part.slice.upper)}]"),
        ],
    )


def _index_of(loop: Loop, values: str) -> str | None:
    """The name that a loop gives to the index of `values`, if it runs over all of them from 0."""
    iterable = loop.iterable
    if not isinstance(iterable, ast.Call) or isinstance(loop.node, ast.GeneratorExp):
        return None
    written = ast.unparse(iterable)
    if written == f"range(len({values}))" and isinstance(loop.target, ast.Name):
        name = loop.target.id
    elif written == f"enumerate({values})" and isinstance(loop.target, ast.Tuple):
        first = loop.target.elts[0]
        if not isinstance(first, ast.Name):
            return None
        name = first.id
    else:
        return None
    rebound = isinstance(loop.node, ast.For) and any(
        name in names_bound(each) for each in loop.turn
    )
    return None if rebound else name


def _growing(found: Built, factor: float) -> Edit | None:
    """``sum(xs)`` in a loop whose only change of `xs` is one ``xs.append(x)``."""
    source, name = found.source, found.name
    sums = [
        node
        for node in ast.walk(found.loop)
        if isinstance(node, ast.Call)
        and is_aggregate(node, found.loop)
        and is_name(node.args[0], name)
    ]
    changes = mutations(found.loop, name)
    stores = [node for node in found.inside() if not isinstance(node.ctx, ast.Load)]
    if not sums or len(changes) != 1 or stores or not _only_read(found):
        return None
    call = changes[0]
    statement = source.statement(call)
    appends = isinstance(call.func, ast.Attribute) and call.func.attr == "append"
    if not appends or not isinstance(statement, ast.Expr) or not source.insertable(statement):
        return None
    if statement.value is not call or not is_plain(call.args[0]):
        return None
    total = source.fresh(found.function, f"{name}_total")
    return Edit(
        strategy=NAME,
        template="running_total",
        explanation=f"In {found.function.name}, the sum of {name} goes along with its elements.",
        fit=round(0.85 * factor, 6),
        splices=[
            source.insert_before(found.loop, [f"{total} = sum({name})"]),
            source.insert_after(statement, [f"{total} += {source.segment(call.args[0])}"]),
            *(source.replace(node, total) for node in sums),
        ],
    )


def _only_read(found: Built) -> bool:
    """Whether the loop hands the list to nobody who could change it."""
    source = found.source
    for node in found.inside():
        parent = source.parent(node)
        if isinstance(parent, ast.Attribute):
            if parent.attr not in ("append", "count", "index"):
                return False
        elif isinstance(parent, ast.Call):
            if not any(is_name(parent.func, each) for each in ("len", "sum", "min", "max")):
                return False
        elif isinstance(parent, ast.Subscript):
            if not isinstance(parent.ctx, ast.Load):
                return False
        elif not isinstance(parent, ast.Compare | ast.For | ast.comprehension):
            return False
    return True


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before="import math\n\n\ndef shares(parts):\n    found = []\n"
        "    for i in range(len(parts)):\n        found.append(sum(parts[: i + 1]))\n"
        "    return found\n",
        after="import itertools\nimport math\n\n\ndef shares(parts):\n    found = []\n"
        "    parts_sums = [0, *itertools.accumulate(parts)]\n"
        "    for i in range(len(parts)):\n        found.append(parts_sums[i + 1])\n"
        "    return found\n",
        line=7,
        evidence={"slow_pattern": "aggregate_in_loop"},
    ),
    Example(
        before="def averages(values):\n    seen = []\n    found = []\n    for value in values:\n"
        "        seen.append(value)\n        found.append(sum(seen) / len(seen))\n"
        "    return found\n",
        after="def averages(values):\n    seen = []\n    found = []\n    seen_total = sum(seen)\n"
        "    for value in values:\n        seen.append(value)\n        seen_total += value\n"
        "        found.append(seen_total / len(seen))\n    return found\n",
        line=6,
        evidence={"slow_pattern": "aggregate_in_loop"},
    ),
)
