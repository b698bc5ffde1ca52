"""What a value depends on inside a function: a backward slice by names.

After Weiser, "Program slicing" (ICSE 1981), over names instead of a control-flow graph:
coarser, but it can be compared between two versions of a function whose lines moved.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from selfheal.artifacts.model import Model
from selfheal.codebase.index import FunctionNode, dotted

_MUTATORS = frozenset(
    ["append", "add", "extend", "update", "insert", "setdefault", "pop", "remove", "clear", "sort"]
)


class Slice(Model):
    """The parts of a function that decide the value of some names.

    `definitions` are the assignments (and loop and with heads) that feed them, `conditions`
    the tests on them, `handlers` the exception types caught in the function; `calls` are
    the called names that feed them; all as Python writes them.
    """

    definitions: list[str]
    conditions: list[str]
    handlers: list[str]
    calls: list[str]
    names: list[str]


def slice_of(source: str, names: Iterable[str]) -> Slice | None:
    """The slice of the function that `source` holds (dedented). None where it does not parse."""
    function = parse_function(source)
    if function is None:
        return None
    seed = frozenset(names)
    wanted = _closure(function, seed)
    definitions = [text for targets, _, text in _definitions(function) if targets & wanted]
    conditions = [ast.unparse(test) for test in _conditions(function) if _names(test) & seed]
    calls = [
        dotted(call.func)
        for targets, value, _ in _definitions(function)
        if targets & wanted
        for call in ast.walk(value)
        if isinstance(call, ast.Call)
    ]
    handlers = [
        ast.unparse(node.type) if node.type else "BaseException"
        for node in ast.walk(function)
        if isinstance(node, ast.ExceptHandler)
    ]
    return Slice(
        definitions=sorted(definitions),
        conditions=sorted(conditions),
        handlers=sorted(handlers),
        calls=list(dict.fromkeys(calls)),
        names=sorted(wanted),
    )


def parse_function(source: str) -> FunctionNode | None:
    """The first function of a dedented source, None where there is none."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    functions = (
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return next(functions, None)


def _closure(function: FunctionNode, seed: frozenset[str]) -> frozenset[str]:
    wanted = seed
    while True:
        more = wanted.union(
            *(_names(value) for targets, value, _ in _definitions(function) if targets & wanted)
        )
        if more == wanted:
            return wanted
        wanted = more


def _definitions(function: FunctionNode) -> Iterator[tuple[frozenset[str], ast.AST, str]]:
    """(names defined, what they are defined from, as written) of each defining part."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            targets = frozenset().union(*(_stored(target) for target in node.targets))
            yield targets, node, ast.unparse(node)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value:
            yield _stored(node.target), node, ast.unparse(node)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            text = f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}"
            yield _stored(node.target), node.iter, text
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            yield _stored(node.optional_vars), node.context_expr, ast.unparse(node)
        elif isinstance(node, ast.Call) and (base := mutated(node)):
            yield frozenset({base}), node, ast.unparse(node)


def mutated(call: ast.Call) -> str | None:
    """The name whose value a call like ``names.append(x)`` changes, None for other calls."""
    if isinstance(call.func, ast.Attribute) and call.func.attr in _MUTATORS:
        return dotted(call.func.value).split(".")[0]
    return None


def _conditions(function: FunctionNode) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
            yield node.test
        elif isinstance(node, ast.comprehension):
            yield from node.ifs


def _stored(target: ast.AST) -> frozenset[str]:
    """The names that a target binds or changes a part of."""
    found = set()
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(dotted(node.value).split(".")[0])
    return frozenset(found)


def _names(node: ast.AST) -> frozenset[str]:
    return frozenset(found.id for found in ast.walk(node) if isinstance(found, ast.Name))
