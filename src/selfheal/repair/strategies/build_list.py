"""A list grows in place and at its end; a queue is a deque.

``x = x + [y]`` copies the list, ``x.insert(0, y)`` and ``x.pop(0)`` move all of its elements
(Python wiki, "TimeComplexity"; the library's own advice under ``collections.deque``).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.costly_shapes import LOOPS, grown_by_copy, is_shift, shortened
from selfheal.codebase.index import own_nodes
from selfheal.codebase.mutation import is_name
from selfheal.repair.costs import Built, asked, built, in_turn
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.source import Function, Source
from selfheal.repair.strategies.base import Example, edit_of, import_splices, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "build_list"
# What a deque does as a list does it.
_QUEUE_METHODS = frozenset({"append", "extend", "pop", "clear", "remove", "count", "index"})


def propose(problem: Problem) -> Iterator[Edit]:
    if not asked(problem, "list_copying", "list_shifting"):
        return
    for source, function, factor in scope(problem):
        for found in built(source, function):
            for edit in (_appended(found, factor), _reversed(found, factor)):
                if edit is not None:
                    yield edit
        for loop in own_nodes(function):
            edit = _eaten(source, function, loop, factor) if isinstance(loop, ast.While) else None
            if edit is not None:
                yield edit
        for name in sorted(_popped(function)):
            edit = _queue(source, function, name, factor)
            if edit is not None:
                yield edit


def _appended(found: Built, factor: float) -> Edit | None:
    """``x = x + [y]`` → ``x.append(y)``, where nobody else holds the list."""
    source, name = found.source, found.name
    copies = [
        node
        for node in ast.walk(found.loop)
        if isinstance(node, ast.Assign) and grown_by_copy(node) == name
    ]
    if not copies or not isinstance(found.init.value, ast.List | ast.ListComp):
        return None
    stores = [node for node in found.inside() if not isinstance(node.ctx, ast.Load)]
    own = {id(each) for node in copies for each in ast.walk(node)}
    others = [node for node in found.inside() if id(node) not in own]
    if found.between() or len(stores) != len(copies) or not all(_looks(source, n) for n in others):
        return None
    splices: list[Splice] = []
    for node in copies:
        added = node.value.right if isinstance(node.value, ast.BinOp) else node.value
        if not isinstance(added, ast.List) or not in_turn(found.loop, node):
            return None
        if any(is_name(each, name) for each in ast.walk(added)):
            return None
        single = len(added.elts) == 1 and not isinstance(added.elts[0], ast.Starred)
        text = source.segment(added.elts[0]) if single else source.segment(added)
        splices.append(source.replace(node, f"{name}.{'append' if single else 'extend'}({text})"))
    return edit_of(NAME, found.function, "append", f"{name} grows in place.", 0.9 * factor, splices)


def _looks(source: Source, node: ast.Name) -> bool:
    """A use that keeps no hold of the list: its length, an element, a test."""
    parent = source.parent(node)
    if isinstance(parent, ast.Call) and is_name(parent.func, "len"):
        return True
    if isinstance(parent, ast.Subscript) and parent.value is node:
        return isinstance(parent.ctx, ast.Load) and not isinstance(parent.slice, ast.Slice)
    if isinstance(parent, ast.Compare):
        return node in parent.comparators and isinstance(parent.ops[0], ast.In | ast.NotIn)
    return isinstance(parent, ast.If | ast.While | ast.IfExp) and parent.test is node


def _reversed(found: Built, factor: float) -> Edit | None:
    """``x.insert(0, y)`` → ``x.append(y)``, and ``x.reverse()`` after the loop."""
    source, name = found.source, found.name
    shifts = [
        node
        for node in ast.walk(found.loop)
        if isinstance(node, ast.Call)
        and is_shift(node)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "insert"
        and is_name(node.func.value, name)
    ]
    empty = isinstance(found.init.value, ast.List) and not found.init.value.elts
    if not shifts or not empty or found.between() or len(found.inside()) != len(shifts):
        return None
    if not all(in_turn(found.loop, node) for node in shifts):
        return None
    splices = [
        source.replace(node, f"{name}.append({source.segment(node.args[1])})") for node in shifts
    ]
    splices.append(source.insert_after(found.loop, [f"{name}.reverse()"]))
    told = f"{name} grows at its end, and is turned round once."
    return edit_of(NAME, found.function, "reverse", told, 0.9 * factor, splices)


def _popped(function: Function) -> set[str]:
    """The names whose first element a loop takes out."""
    return {
        node.func.value.id
        for loop in own_nodes(function)
        if isinstance(loop, LOOPS)
        for node in ast.walk(loop)
        if isinstance(node, ast.Call)
        and is_shift(node)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "pop"
        and isinstance(node.func.value, ast.Name)
    }


def _queue(source: Source, function: Function, name: str, factor: float) -> Edit | None:
    """A local list that nothing but the function sees, and that is used as a queue only."""
    uses = [node for node in ast.walk(function) if is_name(node, name)]
    stores = [node for node in uses if isinstance(getattr(node, "ctx", None), ast.Store)]
    parameters = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    if len(stores) != 1 or name in parameters:
        return None
    init = source.parent(stores[0])
    if not isinstance(init, ast.Assign) or len(init.targets) != 1 or not _makes_list(init.value):
        return None
    splices = [source.replace(init.value, f"collections.deque({source.segment(init.value)})")]
    for node in uses:
        if node is stores[0]:
            continue
        assert isinstance(node, ast.Name)
        taken = _queue_call(source, node)
        if taken is not None and is_shift(taken):
            splices.append(_renamed(source, taken))
        elif taken is None and not _looks(source, node) and not _tested(source, node):
            return None
    splices += import_splices(source, "collections")
    told = f"{name} is a deque, which gives its first element without moving the others."
    return edit_of(NAME, function, "deque", told, 0.9 * factor, splices)


def _eaten(source: Source, function: Function, loop: ast.While, factor: float) -> Edit | None:
    """``while x: … x = x[1:]`` → a deque that gives its first element away."""
    cuts = [
        node for node in loop.body if isinstance(node, ast.Assign) and shortened(node) is not None
    ]
    name = shortened(cuts[0]) if len(cuts) == 1 else None
    if name is None or not source.insertable(loop):
        return None
    if ast.unparse(loop.test) not in (name, f"len({name})", f"len({name}) > 0"):
        return None
    own = {id(each) for each in ast.walk(cuts[0])}
    inside = [node for node in ast.walk(loop) if is_name(node, name) and id(node) not in own]
    last = loop.end_lineno or loop.lineno
    after = [
        node
        for node in own_nodes(function)
        if isinstance(node, ast.Name) and node.id == name and node.lineno > last
    ]
    if after or not all(isinstance(n, ast.Name) and _looks(source, n) for n in inside):
        return None
    if any(isinstance(each, ast.For | ast.While) for each in source.ancestors(loop)):
        return None
    splices = [
        *import_splices(source, "collections"),
        source.insert_before(loop, [f"{name} = collections.deque({name})"]),
        source.replace(cuts[0], f"{name}.popleft()"),
    ]
    told = f"{name} gives its first element away; the rest is not copied with each turn."
    return edit_of(NAME, function, "deque_of_rest", told, 0.85 * factor, splices)


def _makes_list(value: ast.expr) -> bool:
    return isinstance(value, ast.List | ast.ListComp) or (
        isinstance(value, ast.Call) and is_name(value.func, "list")
    )


def _queue_call(source: Source, node: ast.Name) -> ast.Call | None:
    """The call of a method of the name that a deque has too: ``insert(0, x)``, ``pop()`` …"""
    method = source.parent(node)
    call = source.parent(method) if isinstance(method, ast.Attribute) else None
    if not isinstance(method, ast.Attribute) or not isinstance(call, ast.Call):
        return None
    if call.func is not method:
        return None
    same = method.attr in _QUEUE_METHODS and not (method.attr == "pop" and call.args)
    return call if same or is_shift(call) else None


def _renamed(source: Source, call: ast.Call) -> Splice:
    """``pop(0)`` → ``popleft()``, ``insert(0, x)`` → ``appendleft(x)``."""
    assert isinstance(call.func, ast.Attribute)
    holder = source.segment(call.func.value)
    if call.func.attr == "pop":
        return source.replace(call, f"{holder}.popleft()")
    return source.replace(call, f"{holder}.appendleft({source.segment(call.args[1])})")


def _tested(source: Source, node: ast.Name) -> bool:
    """Asked whether it is empty, or looped over."""
    parent = source.parent(node)
    if isinstance(parent, ast.UnaryOp):
        return isinstance(parent.op, ast.Not)
    if isinstance(parent, ast.For | ast.comprehension):
        return parent.iter is node
    return isinstance(parent, ast.BoolOp) and isinstance(source.parent(parent), ast.While | ast.If)


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before="def evens(rows):\n    found = []\n    for row in rows:\n        if row % 2 == 0:\n"
        "            found = found + [row]\n    return found\n",
        after="def evens(rows):\n    found = []\n    for row in rows:\n        if row % 2 == 0:\n"
        "            found.append(row)\n    return found\n",
        line=5,
        evidence={"slow_pattern": "list_copying"},
    ),
    Example(
        before="def newest(rows):\n    found = []\n    for row in rows:\n"
        "        found.insert(0, row)\n    return found\n",
        after="def newest(rows):\n    found = []\n    for row in rows:\n"
        "        found.append(row)\n    found.reverse()\n    return found\n",
        line=4,
        evidence={"slow_pattern": "list_shifting"},
    ),
    Example(
        before="import heapq\n\n\ndef total(rows):\n    found = 0\n    while rows:\n"
        "        found += rows[0]\n        rows = rows[1:]\n    return found\n",
        after="import collections\nimport heapq\n\n\ndef total(rows):\n    found = 0\n"
        "    rows = collections.deque(rows)\n    while rows:\n        found += rows[0]\n"
        "        rows.popleft()\n    return found\n",
        line=8,
        evidence={"slow_pattern": "list_copying"},
    ),
    Example(
        before="import heapq\n\n\ndef reach(graph, start):\n    seen, waiting = {start}, []\n"
        "    queue = [start]\n    while queue:\n        node = queue.pop(0)\n"
        "        for other in graph[node]:\n            if other not in seen:\n"
        "                seen.add(other)\n                queue.append(other)\n    return seen\n",
        after="import collections\nimport heapq\n\n\ndef reach(graph, start):\n"
        "    seen, waiting = {start}, []\n    queue = collections.deque([start])\n"
        "    while queue:\n        node = queue.popleft()\n"
        "        for other in graph[node]:\n            if other not in seen:\n"
        "                seen.add(other)\n                queue.append(other)\n    return seen\n",
        line=8,
        evidence={"slow_pattern": "list_shifting"},
    ),
)
