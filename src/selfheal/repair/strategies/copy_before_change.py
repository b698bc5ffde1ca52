"""What belongs to someone else is copied before it is changed, kept or handed out.

Defensive copying (Bloch, "Effective Java", item 50): an argument that is changed in
place, a container kept from a caller or handed to one, and a module's container that a
function changes under a local name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.index import dotted, own_nodes
from selfheal.codebase.mutation import (
    changed_in_class,
    changes_of,
    defaults_of,
    element_changes,
    shared_aliases,
)
from selfheal.repair.blocks import first_statement
from selfheal.repair.edit import Edit
from selfheal.repair.problem import Problem
from selfheal.repair.source import walk_own
from selfheal.repair.state import Owned, accused, edit, state_strategy
from selfheal.repair.strategies.base import Example, import_splices

NAME = "copy_before_change"


def propose(problem: Problem) -> Iterator[Edit]:
    for owned in accused(problem, "argument_changed"):
        yield from _arguments(owned)
    for owned in accused(problem, "missing_copy"):
        yield from _borders(owned)
        for node in shared_aliases(owned.function, owned.source.tree):
            yield from _copied(owned, node.value, 0.9, "changes a copy of", "alias")


def _arguments(owned: Owned) -> Iterator[Edit]:
    """A function that answers, and on the way changes what it was asked with.

    One that returns nothing is called for the change, and is left alone.
    """
    source, function = owned.source, owned.function
    if not _answers(owned):
        return
    parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    rebound = {
        node.id
        for node in own_nodes(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    skipped = rebound | {"self", "cls"} | {each.arg for each, _ in defaults_of(function)}
    anchor = first_statement(source, function)
    for argument in parameters:
        name = argument.arg
        changed = changes_of(own_nodes(function), name)
        inner = element_changes(function, name)
        if name in skipped or anchor is None or not (changed or inner):
            continue
        if len(changed) == 1 and not inner and isinstance(changed[0], ast.Call):
            yield from _sorted(owned, name, changed[0])
        if changed and not inner:
            yield edit(
                owned,
                NAME,
                "argument",
                f"a copy of {name} is changed; the caller's own stays as it is.",
                0.85,
                [source.insert_before(anchor, [f"{name} = {name}.copy()"])],
                parameter=name,
            )
        yield edit(
            owned,
            NAME,
            "argument_deep",
            f"a copy of {name}, down to its elements, is changed; the caller's own stays.",
            0.8 if inner else 0.6,
            [
                source.insert_before(anchor, [f"{name} = copy.deepcopy({name})"]),
                *import_splices(source, "copy"),
            ],
            parameter=name,
        )


def _answers(owned: Owned) -> bool:
    return any(
        isinstance(node, ast.Return | ast.Yield) and node.value is not None
        for node in walk_own(owned.function)
    )


def _sorted(owned: Owned, name: str, call: ast.Call) -> Iterator[Edit]:
    """``rows.sort(…)`` → ``rows = sorted(rows, …)``."""
    source = owned.source
    statement = source.statement(call)
    if not isinstance(call.func, ast.Attribute) or not isinstance(statement, ast.Expr):
        return
    if call.func.attr != "sort" or call.args:
        return
    written = [source.segment(each) for each in call.keywords]
    text = f"{name} = sorted({', '.join([name, *written])})"
    yield edit(
        owned,
        NAME,
        "sorted",
        f"a sorted copy of {name} is used; the caller's own keeps its order.",
        0.9,
        [source.replace(call, text)],
        parameter=name,
    )


def _borders(owned: Owned) -> Iterator[Edit]:
    """``self.rows = rows`` and ``return self.rows`` where the class changes its rows in place."""
    owner, function = owned.owner, owned.function
    if owner is None or not owned.self_name:
        return
    parameters = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    for node in own_nodes(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            kept = any(_own_changed(owned, owner, target) for target in node.targets)
            if kept and node.value.id in parameters:
                yield from _copied(owned, node.value, 0.9, "keeps a copy of", "kept")
        given = node.value if isinstance(node, ast.Return) else None
        if given is not None and _own_changed(owned, owner, given):
            yield from _copied(owned, given, 0.85, "hands out a copy of", "handed_out")


def _own_changed(owned: Owned, owner: ast.ClassDef, node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and dotted(node.value) == owned.self_name
        and changed_in_class(owner, node.attr)
    )


def _copied(owned: Owned, node: ast.expr, fit: float, what: str, template: str) -> Iterator[Edit]:
    source = owned.source
    text = source.segment(node)
    if isinstance(node, ast.Name) and _may_be_none(owned, node.id):
        imports = import_splices(source, "copy")
        shallow = [source.replace(node, f"copy.copy({text})"), *imports]
    else:
        shallow = [source.replace(node, f"{text}.copy()")]
    told = f"it {what} `{text}`."
    yield edit(owned, NAME, template, told, fit, shallow, value=text)
    deep = [source.replace(node, f"copy.deepcopy({text})"), *import_splices(source, "copy")]
    told = f"it {what} `{text}`, down to its elements."
    yield edit(owned, NAME, f"{template}_deep", told, fit - 0.3, deep, value=text)


def _may_be_none(owned: Owned, name: str) -> bool:
    for argument, value in defaults_of(owned.function):
        if argument.arg == name and isinstance(value, ast.Constant):
            return True
    return False


STRATEGY = state_strategy(
    NAME,
    propose,
    Example(
        before="def cheapest(prices, limit):\n    prices.sort(reverse=True)  # dear ones first\n"
        "    return prices[-limit:]\n",
        after="def cheapest(prices, limit):\n"
        "    prices = sorted(prices, reverse=True)  # dear ones first\n"
        "    return prices[-limit:]\n",
        line=2,
    ),
    Example(
        before="def with_tax(order):\n    order['tax'] = order['net'] * 0.19\n    return order\n",
        after="def with_tax(order):\n    order = order.copy()\n"
        "    order['tax'] = order['net'] * 0.19\n    return order\n",
        line=2,
    ),
    Example(
        before="import json\n\n\ndef dump(rows):\n    for row in rows:\n        row.pop('secret')\n"
        "    return json.dumps(rows)\n",
        after="import copy\nimport json\n\n\ndef dump(rows):\n    rows = copy.deepcopy(rows)\n"
        "    for row in rows:\n        row.pop('secret')\n    return json.dumps(rows)\n",
        line=6,
    ),
    Example(
        before="class Queue:\n    def __init__(self, jobs):\n        self.jobs = jobs\n\n"
        "    def take(self):\n        return self.jobs.pop()\n",
        after="class Queue:\n    def __init__(self, jobs):\n        self.jobs = jobs.copy()\n\n"
        "    def take(self):\n        return self.jobs.pop()\n",
        line=3,
    ),
    Example(
        before="DEFAULTS = {'size': 1}\n\n\ndef options(size):\n    found = DEFAULTS\n"
        "    found['size'] = size\n    return found\n",
        after="DEFAULTS = {'size': 1}\n\n\ndef options(size):\n    found = DEFAULTS.copy()\n"
        "    found['size'] = size\n    return found\n",
        line=5,
    ),
    kinds=frozenset({"state", "error"}),
)
