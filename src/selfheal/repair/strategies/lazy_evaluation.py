"""Only what is asked for is computed or read.

``any([…])`` asks a generator, which stops at the first answer (PEP 289); a file is read
line by line; of a query whose first row is used, one row is fetched.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.costly_shapes import is_eager, reads_of
from selfheal.codebase.index import dotted, own_nodes
from selfheal.repair.costs import asked
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.source import Function, Source, same
from selfheal.repair.strategies.base import Example, edit_of, performance_strategy
from selfheal.repair.strategies.hoist_call import has_effect
from selfheal.repair.strategies.scope import scope

NAME = "lazy_evaluation"


def propose(problem: Problem) -> Iterator[Edit]:
    if not asked(problem, "eager_evaluation"):
        return
    for source, function, factor in scope(problem):
        for node in own_nodes(function):
            edit = None
            if isinstance(node, ast.Call) and is_eager(node):
                edit = _stopping(source, function, node, factor)
            elif isinstance(node, ast.For):
                edit = _by_line(source, function, node, factor)
            elif isinstance(node, ast.Assign):
                edit = _one_row(source, function, node, factor)
            if edit is not None:
                yield edit


def _stopping(source: Source, function: Function, call: ast.Call, factor: float) -> Edit | None:
    """The brackets go; refused where an element has an effect that would not happen any more."""
    listed = call.args[0]
    assert isinstance(listed, ast.ListComp)
    calls = [node for node in ast.walk(listed) if isinstance(node, ast.Call)]
    awaits = any(isinstance(node, ast.Await | ast.NamedExpr) for node in ast.walk(listed))
    if awaits or any(has_effect(node) for node in calls):
        return None
    start, stop = source.span(listed)
    splices = [
        Splice(path=source.path, start=start, stop=start + 1, text=""),
        Splice(path=source.path, start=stop - 1, stop=stop, text=""),
    ]
    told = f"`{dotted(call.func)}` stops at the first element that decides."
    return edit_of(NAME, function, "generator", told, (0.75 if calls else 0.9) * factor, splices)


def _by_line(source: Source, function: Function, loop: ast.For, factor: float) -> Edit | None:
    """``for line in file.readlines()`` → ``for line in file``, where the body leaves the file alone."""
    call = loop.iter
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    holder = call.func.value
    if call.func.attr != "readlines" or call.args or call.keywords:
        return None
    if any(same(node, holder) for part in loop.body for node in ast.walk(part)):
        return None
    told = f"the lines of {source.segment(holder)} are read one by one."
    splices = [source.replace(call, source.segment(holder))]
    return edit_of(NAME, function, "by_line", told, 0.8 * factor, splices)


def _one_row(source: Source, function: Function, node: ast.Assign, factor: float) -> Edit | None:
    """``rows = ….fetchall()`` used as ``rows[0] if rows else …`` only → ``fetchone()``."""
    target, call = node.targets[0], node.value
    if len(node.targets) > 1 or not isinstance(target, ast.Name):
        return None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    name = target.id
    bound = [
        each
        for each in own_nodes(function)
        if isinstance(each, ast.Name) and each.id == name and isinstance(each.ctx, ast.Store)
    ]
    if call.func.attr != "fetchall" or call.args or len(bound) != 1:
        return None
    choices = [
        each
        for each in own_nodes(function)
        if isinstance(each, ast.IfExp)
        and ast.unparse(each.test) == name
        and ast.unparse(each.body) == f"{name}[0]"
    ]
    if not choices or len(reads_of(function, name)) != 2 * len(choices):
        return None
    row = source.fresh(function, "row")
    receiver = source.segment(call.func.value)
    splices = [source.replace(node, f"{row} = {receiver}.fetchone()")]
    for each in choices:
        other = source.segment(each.orelse)
        text = row if other == "None" else f"{row} if {row} is not None else {other}"
        splices.append(source.replace(each, text))
    return edit_of(NAME, function, "one_row", "one row is fetched, not all.", 0.9 * factor, splices)


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before="def known(rows, name):\n    return any([row.name == name for row in rows])\n",
        after="def known(rows, name):\n    return any(row.name == name for row in rows)\n",
        line=2,
        evidence={"slow_pattern": "eager_evaluation"},
    ),
    Example(
        before="def first(path, word):\n    with open(path) as file:\n"
        "        for line in file.readlines():\n            if word in line:\n"
        "                return line\n    return None\n",
        after="def first(path, word):\n    with open(path) as file:\n"
        "        for line in file:\n            if word in line:\n"
        "                return line\n    return None\n",
        line=3,
        evidence={"slow_pattern": "eager_evaluation"},
    ),
    Example(
        before='def newest(db):\n    rows = db.execute("SELECT * FROM orders").fetchall()\n'
        "    return rows[0] if rows else None\n",
        after='def newest(db):\n    row = db.execute("SELECT * FROM orders").fetchone()\n'
        "    return row\n",
        line=2,
        evidence={"slow_pattern": "eager_evaluation"},
    ),
)
