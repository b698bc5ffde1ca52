"""A query for each turn of a loop becomes one query for all turns.

The keys of all turns are collected, their rows are read with ``IN (…)`` into a
dictionary, and each turn looks its row up (prefetching, as in Cheung et al., "Sloth",
SIGMOD 2014, and every ORM's eager loading).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.edit import Edit, Splice
from selfheal.repair.loops import Loop, key_of_turn, loops, materialized, plural
from selfheal.repair.problem import Problem
from selfheal.repair.source import Source
from selfheal.repair.sql import Batched, batched
from selfheal.repair.strategies.base import Example, performance_strategy
from selfheal.repair.strategies.helpers import batch_helper, helper_calls
from selfheal.repair.strategies.queries import (
    Names,
    Query,
    fetch_lines,
    lookup,
    queries,
    width_matters,
)
from selfheal.repair.strategies.scope import scope

NAME = "batch_queries"
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


def propose(problem: Problem) -> Iterator[Edit]:
    if problem.slow_pattern and problem.slow_pattern != "queries_in_loop":
        return
    for source, function, factor in scope(problem):
        for loop in loops(source, function):
            if _writes(loop):
                continue
            for query in queries(problem, source, loop.nodes()):
                edit = _inline(loop, query, factor)
                if edit is not None:
                    yield edit
            for call, helper in helper_calls(problem, loop):
                edit = batch_helper(problem, loop, call, helper, factor)
                if edit is not None:
                    yield edit


def _writes(loop: Loop) -> bool:
    """Whether the loop changes the database: then its queries may depend on its turns."""
    return any(
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.lstrip().upper().startswith(_WRITES)
        for node in loop.nodes()
    )


def _inline(loop: Loop, query: Query, factor: float) -> Edit | None:
    """The query stands in the loop itself."""
    found = keyed(loop, query)
    if found is None:
        return None
    key, batch = found
    source = loop.source
    wish = f"rows_by_{batch.column.rpartition('.')[2]}"
    names = Names.fresh(source, loop.function, batch.column, wish)
    generators, lines, splices = materialized(loop, _list_name(loop))
    keys = f"{key} {generators}"
    replaced = lookup(query, batch, names, key)
    if replaced is None or overlap(splices, source, query.node):
        return None
    lines += fetch_lines(query, batch, names, keys)
    unsure = batch.added and batch.missing is None and width_matters(query)
    return Edit(
        strategy=NAME,
        template="prefetch_many" if query.many else "prefetch_one",
        explanation=f"In {loop.function.name}, one query reads the rows of every "
        f"`{key}` instead of one query for each turn of the loop.",
        fit=round((0.6 if unsure else 0.9) * factor, 6),
        parameters={"column": batch.column, "many": query.many},
        splices=[loop.prepare(lines), *splices, source.replace(query.node, replaced)],
    )


def keyed(loop: Loop, query: Query) -> tuple[str, Batched] | None:
    """The one parameter that changes with the turns, and the statement batched over it."""
    if not loop.invariant(query.runner):
        return None
    varying = [i for i, each in enumerate(query.parameters) if not loop.invariant(each)]
    if len(varying) != 1:
        return None
    key = key_of_turn(loop, query.parameters[varying[0]])
    batch = batched(query.sql, varying[0], resolved=query.resolved)
    return (key, batch) if key is not None and batch is not None else None


def overlap(splices: list[Splice], source: Source, node: ast.AST) -> bool:
    start, stop = source.span(node)
    return any(each.start < stop and start < each.stop for each in splices)


def _list_name(loop: Loop) -> str:
    return plural(loop.target.id) if isinstance(loop.target, ast.Name) else "elements"


_BEFORE = """\
def page(db, rows):
    shown = []
    for row in rows:
        stock = db.execute("SELECT quantity FROM stock WHERE product_id = ?", (row["id"],)).fetchone()
        shown.append((row["name"], stock["quantity"]))
    return shown
"""
_AFTER = """\
def page(db, rows):
    shown = []
    product_ids = list(dict.fromkeys(row["id"] for row in rows))
    rows_by_product_id = {}
    for start in range(0, len(product_ids), 500):
        chunk = product_ids[start : start + 500]
        marks = ", ".join("?" * len(chunk))
        for found in db.execute(
            f"SELECT quantity, product_id FROM stock WHERE product_id IN ({marks})",
            chunk,
        ):
            rows_by_product_id.setdefault(found[-1], found)
    for row in rows:
        stock = rows_by_product_id.get(row["id"])
        shown.append((row["name"], stock["quantity"]))
    return shown
"""

STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(_BEFORE, _AFTER, line=4, evidence={"slow_pattern": "queries_in_loop"}),
)
