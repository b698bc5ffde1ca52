"""``x in a_list`` in a loop becomes ``x in a_set``.

A list that grows in the loop gets a set beside it; one that stays as it is gets a set
made before the loop.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.edit import Edit, Splice
from selfheal.repair.loops import Loop, loops, outer_loops
from selfheal.repair.problem import Problem
from selfheal.repair.source import is_plain
from selfheal.repair.strategies.base import Example, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "membership_set"
_GROWING = frozenset({"append", "add", "insert"})
_CHANGING = frozenset({"extend", "remove", "pop", "clear", "discard", "update", "sort", "reverse"})


def propose(problem: Problem) -> Iterator[Edit]:
    if problem.slow_pattern not in ("", "membership_in_list", "nested_loops"):
        return
    for source, function, factor in scope(problem):
        every = loops(source, function)
        for loop in every:
            enclosing = [*outer_loops(loop, every), loop]
            for test in _tests(loop):
                edit = _with_set(enclosing, test, factor)
                if edit is not None:
                    yield edit


def _tests(loop: Loop) -> Iterator[ast.Compare]:
    for node in loop.nodes():
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            listed = node.comparators[0]
            if isinstance(node.ops[0], ast.In | ast.NotIn) and not isinstance(
                listed, ast.Tuple | ast.Set | ast.Constant | ast.Dict | ast.JoinedStr
            ):
                yield node


def _with_set(enclosing: list[Loop], test: ast.Compare, factor: float) -> Edit | None:
    holder = test.comparators[0]
    if isinstance(holder, ast.ListComp | ast.GeneratorExp | ast.Call):
        return _hoisted(enclosing, holder, factor)
    if not is_plain(holder) or not _listed(enclosing[-1], holder):
        return None
    text = enclosing[0].source.segment(holder)
    grown = _growth(enclosing[0], text)
    if grown is None:
        return None
    outermost = _outermost(enclosing, holder, growing=bool(grown))
    if outermost is None:
        return None
    source = outermost.source
    name = source.fresh(outermost.function, f"{text.rpartition('.')[2]}_set")
    splices = [outermost.prepare([f"{name} = set({text})"]), source.replace(holder, name)]
    for statement, added in grown:
        splices.append(source.insert_after(statement, [f"{name}.add({added})"]))
    return Edit(
        strategy=NAME,
        template="companion_set" if grown else "set_before_loop",
        explanation=f"In {outermost.function.name}, membership of {text} is asked of a set.",
        fit=round(0.9 * factor, 6),
        parameters={"growing": bool(grown)},
        splices=splices,
    )


def _listed(loop: Loop, holder: ast.expr) -> bool:
    """Not known to be something other than a list: a dictionary, a set, a text."""
    if not isinstance(holder, ast.Name):
        return isinstance(holder, ast.Attribute)
    values = [
        node.value
        for node in ast.walk(loop.function)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and any(
            isinstance(target, ast.Name) and target.id == holder.id
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        )
    ]
    return not any(
        isinstance(value, ast.Dict | ast.DictComp | ast.Set | ast.SetComp | ast.Constant)
        or (
            isinstance(value, ast.Call)
            and ast.unparse(value.func).rpartition(".")[2]
            in ("set", "dict", "frozenset", "defaultdict", "Counter", "str")
        )
        for value in values
    )


def _growth(loop: Loop, text: str) -> list[tuple[ast.stmt, str]] | None:
    """The statements of the loop that add one element, with the element; None if it changes more."""
    found: list[tuple[ast.stmt, str]] = []
    source = loop.source
    for node in loop.nodes():
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if source.segment(node.func.value) != text:
            continue
        if node.func.attr in _CHANGING:
            return None
        if node.func.attr in _GROWING:
            statement = source.statement(node)
            added = node.args[-1] if node.args else None
            if added is None or not isinstance(statement, ast.Expr) or not is_plain(added):
                return None
            if not source.starts_line(statement):
                return None
            found.append((statement, source.segment(added)))
    return found


def _outermost(enclosing: list[Loop], holder: ast.expr, *, growing: bool) -> Loop | None:
    """The outermost loop before which the list exists; its growth inside is followed."""
    free = None
    names = {node.id for node in ast.walk(holder) if isinstance(node, ast.Name)}
    for loop in reversed(enclosing):
        rebound = any(
            isinstance(node, ast.Name) and node.id in names and not isinstance(node.ctx, ast.Load)
            for part in (loop.target, *loop.turn)
            for node in ast.walk(part)
        )
        if rebound or (not growing and not loop.invariant(holder)):
            break
        free = loop
    return free


def _hoisted(enclosing: list[Loop], holder: ast.expr, factor: float) -> Edit | None:
    """A list that is made anew for each test becomes a set made once."""
    free = None
    for loop in reversed(enclosing):
        inner = {
            node.id
            for node in ast.walk(holder)
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        }
        read = {
            node.id
            for node in ast.walk(holder)
            if isinstance(node, ast.Name) and node.id not in inner
        }
        if read & loop.changing:
            break
        free = loop
    if free is None:
        return None
    source = free.source
    text = source.segment(holder)
    if "\n" in text:
        return None
    name = source.fresh(free.function, "known")
    splices: list[Splice] = [free.prepare([f"{name} = set({text})"]), source.replace(holder, name)]
    return Edit(
        strategy=NAME,
        template="set_before_loop",
        explanation=f"In {free.function.name}, `{text}` is made into a set once before the loop.",
        fit=round(0.85 * factor, 6),
        parameters={"growing": False},
        splices=splices,
    )


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before="def distinct(groups):\n    seen = []\n    for group in groups:\n"
        "        for item in group:\n            if item not in seen:\n"
        "                seen.append(item)\n    return seen\n",
        after="def distinct(groups):\n    seen = []\n    seen_set = set(seen)\n"
        "    for group in groups:\n        for item in group:\n"
        "            if item not in seen_set:\n                seen.append(item)\n"
        "                seen_set.add(item)\n    return seen\n",
        line=5,
        evidence={"slow_pattern": "membership_in_list"},
    ),
    Example(
        before="def known(items, names):\n    return [item for item in items if item in names]\n",
        after="def known(items, names):\n    names_set = set(names)\n"
        "    return [item for item in items if item in names_set]\n",
        line=2,
        evidence={"slow_pattern": "membership_in_list"},
    ),
)
