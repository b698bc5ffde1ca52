"""A module's variable that a call changes becomes the call's own, or begins anew with each call.

Three ways, from the safest on: a variable of this function alone becomes local; one that
other functions of the module read becomes a context variable, one value for each request
(PEP 567); one that must stay where it is, is set back when the function begins.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.index import dotted, own_nodes
from selfheal.codebase.mutation import (
    MUTATORS,
    changes_of,
    is_mutable_value,
    local_names,
    module_values,
    value_of,
)
from selfheal.repair.blocks import first_statement, removed_lines
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.source import Function, walk_own
from selfheal.repair.state import Owned, accused, edit, project_uses, state_strategy
from selfheal.repair.strategies.base import Example, import_splices

NAME = "local_state"


def propose(problem: Problem) -> Iterator[Edit]:
    for owned in accused(problem, "module_global"):
        own = local_names(owned.function)
        declared = _declared(owned.function)
        for name, statement in sorted(module_values(owned.source.tree).items()):
            value = value_of(statement)
            if name in own or value is None or name.startswith("__"):
                continue
            container = is_mutable_value(value) and bool(
                changes_of(own_nodes(owned.function), name)
            )
            if (name not in declared and not container) or not _read_here(owned, name):
                continue
            alone = not _read_elsewhere(problem, owned, name)
            if alone:
                yield from _local(owned, name, value, declared.get(name))
            elif not container and not project_uses(problem, owned.source, name):
                yield from _context(owned, name, statement)
            yield from _reset(owned, name, value, container)


def _declared(function: Function) -> dict[str, ast.Global]:
    return {
        name: node
        for node in own_nodes(function)
        if isinstance(node, ast.Global)
        for name in node.names
    }


def _read_here(owned: Owned, name: str) -> bool:
    """Whether the function uses what it puts there; what it only fills is a register for others."""
    source = owned.source
    for node in own_nodes(owned.function):
        if not isinstance(node, ast.Name) or node.id != name:
            continue
        parent = source.parent(node)
        if isinstance(parent, ast.AugAssign):
            return True
        filled = isinstance(parent, ast.Attribute) and parent.attr in MUTATORS
        stored = isinstance(parent, ast.Subscript) and not isinstance(parent.ctx, ast.Load)
        if isinstance(node.ctx, ast.Load) and not filled and not stored:
            return True
    return False


def _read_elsewhere(problem: Problem, owned: Owned, name: str) -> bool:
    """Whether code other than the function and the statement that makes it knows the variable."""
    inside = {id(node) for node in ast.walk(owned.function)}
    others = [
        node
        for node in ast.walk(owned.source.tree)
        if isinstance(node, ast.Name) and node.id == name and id(node) not in inside
    ]
    at_top = [node for node in others if isinstance(node.ctx, ast.Store)]
    return len(others) > 1 or len(at_top) != 1 or project_uses(problem, owned.source, name)


def _local(owned: Owned, name: str, value: ast.expr, declared: ast.Global | None) -> Iterator[Edit]:
    """Made by the call. Without what the module had put into it, if that is a container with content."""
    source, function = owned.source, owned.function
    anchor = first_statement(source, function)
    text = source.segment(value)
    if anchor is None or "\n" in text:
        return
    splices: list[Splice] = []
    if declared is not None:
        removed = _undeclared(owned, declared, name)
        if removed is None:
            return
        splices.append(removed)
    if not _assigned_first(anchor, name):
        splices.append(source.insert_before(anchor, [f"{name} = {text}"]))
    yield edit(
        owned,
        NAME,
        "local",
        f"{name} is a variable of the call: the module's own kept what earlier calls put there.",
        0.9,
        splices,
        variable=name,
    )


def _undeclared(owned: Owned, declared: ast.Global, name: str) -> Splice | None:
    """The ``global`` statement without a name, or without its line where it had no other."""
    rest = [each for each in declared.names if each != name]
    if rest:
        return owned.source.replace(declared, f"global {', '.join(rest)}")
    return removed_lines(owned.source, declared)


def _assigned_first(anchor: ast.stmt, name: str) -> bool:
    """Whether the function's first statement binds the name, from nothing of its own."""
    return (
        isinstance(anchor, ast.Assign)
        and len(anchor.targets) == 1
        and dotted(anchor.targets[0]) == name
        and not any(
            isinstance(each, ast.Name) and each.id == name for each in ast.walk(anchor.value)
        )
    )


def _context(owned: Owned, name: str, statement: ast.stmt) -> Iterator[Edit]:
    """Every binding in a function becomes ``.set(…)``, every reading ``.get()``."""
    source = owned.source
    value = value_of(statement)
    if not isinstance(value, ast.Constant) or not isinstance(statement, ast.Assign):
        return
    made = f'contextvars.ContextVar("{name}", default={source.segment(value)})'
    splices = [source.replace(value, made), *import_splices(source, "contextvars")]
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Name) or node.id != name or node is statement.targets[0]:
            continue
        function = source.function_of(node)
        if function is None or name in local_names(function):
            return
        if isinstance(node.ctx, ast.Load):
            splices.append(source.replace(node, f"{name}.get()"))
            continue
        parent = source.parent(node)
        if not isinstance(parent, ast.Assign) or len(parent.targets) > 1:
            return
        start = source.span(parent)[0]
        stop, end = source.span(parent.value)
        splices.append(Splice(path=source.path, start=start, stop=stop, text=f"{name}.set("))
        splices.append(Splice(path=source.path, start=end, stop=end, text=")"))
    for each in ast.walk(source.tree):
        if isinstance(each, ast.Global) and name in each.names:
            held = Owned(source, source.function_of(each) or owned.function, None, 1.0)
            removed = _undeclared(held, each, name)
            if removed is None:
                return
            splices.append(removed)
    yield edit(
        owned,
        NAME,
        "context",
        f"{name} has a value of its own in each request: one request saw that of another.",
        0.75,
        splices,
        variable=name,
    )


def _reset(owned: Owned, name: str, value: ast.expr, container: bool) -> Iterator[Edit]:
    source = owned.source
    anchor = first_statement(source, owned.function)
    empty = _is_empty(value)
    text = source.segment(value)
    if anchor is None or "\n" in text or (container and not empty):
        return
    if not any(isinstance(node, ast.Name) and node.id == name for node in walk_own(owned.function)):
        return
    line = f"{name}.clear()" if container else f"{name} = {text}"
    yield edit(
        owned,
        NAME,
        "reset",
        f"{name} begins anew with each call.",
        0.5,
        [source.insert_before(anchor, [line])],
        variable=name,
    )


def _is_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.Set):
        return not value.elts
    if isinstance(value, ast.Dict):
        return not value.keys
    return isinstance(value, ast.Call) and not value.args and not value.keywords


STRATEGY = state_strategy(
    NAME,
    propose,
    Example(
        before="FOUND = []\n\n\ndef search(rows, word):\n    for row in rows:\n"
        "        if word in row:\n            FOUND.append(row)\n    return FOUND\n",
        after="FOUND = []\n\n\ndef search(rows, word):\n    FOUND = []\n    for row in rows:\n"
        "        if word in row:\n            FOUND.append(row)\n    return FOUND\n",
        line=7,
    ),
    Example(
        before="TOTAL = 0\n\n\ndef total(prices):\n    global TOTAL\n    for price in prices:\n"
        "        TOTAL += price\n    return TOTAL\n",
        after="TOTAL = 0\n\n\ndef total(prices):\n    TOTAL = 0\n    for price in prices:\n"
        "        TOTAL += price\n    return TOTAL\n",
        line=7,
    ),
    Example(
        before="USER = None\n\n\ndef handle(request):\n    global USER\n"
        "    USER = request.user or USER\n    return page()\n\n\ndef page():\n    return USER\n",
        after='import contextvars\n\nUSER = contextvars.ContextVar("USER", default=None)\n\n\n'
        "def handle(request):\n    USER.set(request.user or USER.get())\n    return page()\n\n\n"
        "def page():\n    return USER.get()\n",
        line=6,
    ),
)
