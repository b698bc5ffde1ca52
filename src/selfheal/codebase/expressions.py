"""Which expression of a line raised an exception, by its type and message."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Literal

from selfheal.artifacts.model import Model
from selfheal.codebase.index import dotted

ExpressionKind = Literal[
    "attribute", "subscript", "call", "division", "operation", "unpacking", "raise", "other"
]


class FailingExpression(Model):
    """`text` as Python writes it, on `line`; `names` are the variables in it, `base` the failing part."""

    text: str
    kind: ExpressionKind
    line: int
    last_line: int
    base: str
    names: list[str]


# Which calls raise which exception on account of their argument.
_CONVERTS = ("int", "float", "fromisoformat", "strptime", "fromtimestamp", "UUID")
_RAISES = {
    "ValueError": (*_CONVERTS, "index", "remove", "max", "min", "loads", "json", "Decimal"),
    "JSONDecodeError": ("loads", "load", "json", "get_json"),
    "UnicodeDecodeError": ("decode", "str"),
    "InvalidOperation": ("Decimal", "quantize"),
    "StatisticsError": ("mean", "fmean", "median", "mode", "stdev", "variance", "quantiles"),
    "StopIteration": ("next",),
    "IndexError": ("choice",),
}
_HASHES = ("get", "pop", "setdefault", "add", "set", "frozenset", "fromkeys", "discard")


def failing_expression(
    source: str, line: int, exception_type: str, message: str
) -> FailingExpression | None:
    """The expression on a line that can have raised such an exception, the narrowest that fits.

    None where the source does not parse or the line holds no code. An exception type
    without a rule gives the statement's expression as ``other``.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    name = exception_type.rpartition(".")[2]
    statement = _statement(tree, line)
    if statement is None:
        return None
    if isinstance(statement, ast.Raise):
        return _describe(statement, "raise", ast.unparse(statement.exc or statement))
    fits = [
        (_preference(node, line), _describe(node, kind, base))
        for node in _expressions(statement)
        for kind, base in _explain(node, name, message)
    ]
    if fits:
        return min(fits, key=lambda fit: fit[0])[1]
    return _describe(statement, "other", "")


def _statement(tree: ast.Module, line: int) -> ast.stmt | None:
    """The innermost statement on a line."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return max(around, key=lambda node: (node.lineno, node.col_offset), default=None)


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement itself; the statements that it holds have lines of their own."""
    yield statement
    pending: list[ast.AST] = [statement]
    while pending:
        for child in ast.iter_child_nodes(pending.pop()):
            if not isinstance(child, ast.stmt):
                yield child
                pending.append(child)


def _preference(node: ast.AST, line: int) -> tuple[bool, int, int]:
    """Expressions that begin on the line come first, then the narrowest, then the leftmost."""
    first = getattr(node, "lineno", line)
    width = len(ast.unparse(node))
    return first != line, width, getattr(node, "col_offset", 0)


def _explain(node: ast.AST, name: str, message: str) -> Iterator[tuple[ExpressionKind, str]]:
    """How a node can have raised the exception: the kind, and the part of it that was wrong."""
    if isinstance(node, ast.Attribute) and name == "AttributeError":
        wanted = re.search(r"has no attribute '(\w+)'", message)
        if wanted is None or wanted[1] == node.attr:
            yield "attribute", ast.unparse(node.value)
    elif isinstance(node, ast.Subscript):
        if name == "TypeError" and "unhashable" in message:
            if not isinstance(node.slice, ast.Constant):
                yield "subscript", ast.unparse(node.slice)
        elif _subscript_fails(node, name, message):
            yield "subscript", ast.unparse(node.value)
    elif isinstance(node, ast.BinOp | ast.AugAssign):
        yield from _operation(node, name, message)
    elif isinstance(node, ast.Call):
        yield from _call(node, name, message)
    elif isinstance(node, ast.Compare) and name == "TypeError" and "not supported" in message:
        yield "operation", ast.unparse(node.left)
    elif isinstance(node, ast.Compare) and name == "TypeError" and "not iterable" in message:
        yield "operation", ast.unparse(node.comparators[-1])
    elif isinstance(node, ast.Assign) and "unpack" in message:
        yield "unpacking", ast.unparse(node.value)
    elif isinstance(node, ast.For | ast.comprehension) and "not iterable" in message:
        yield "operation", ast.unparse(node.iter)


def _subscript_fails(node: ast.Subscript, name: str, message: str) -> bool:
    if name in ("KeyError", "IndexError"):
        return _same_key(node.slice, message)
    return name == "TypeError" and any(
        part in message for part in ("subscriptable", "item assignment", "indices")
    )


def _operation(
    node: ast.BinOp | ast.AugAssign, name: str, message: str
) -> Iterator[tuple[ExpressionKind, str]]:
    right = node.right if isinstance(node, ast.BinOp) else node.value
    divides = isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod)
    if (divides and name in ("ZeroDivisionError", "DivisionByZero", "DivisionUndefined")) or (
        divides and name == "InvalidOperation" and "Undefined" in message
    ):
        yield "division", ast.unparse(right)
    elif name == "TypeError" and re.search(r"operand|concatenate", message):
        left = node.left if isinstance(node, ast.BinOp) else node.target
        yield "operation", ast.unparse(right if isinstance(left, ast.Constant) else left)


def _call(node: ast.Call, name: str, message: str) -> Iterator[tuple[ExpressionKind, str]]:
    last = dotted(node.func).rpartition(".")[2]
    argument = ast.unparse(node.args[0]) if node.args else ""
    if name == "TypeError":
        if "not callable" in message:
            yield "call", ast.unparse(node.func)
        elif f"{last}()" in message or ("unhashable" in message and last in _HASHES):
            yield "call", argument
    elif last in _RAISES.get(name, ()):
        yield "call", argument
    elif last == "pop" and name in ("KeyError", "IndexError") and len(node.args) < 2:
        yield "subscript", dotted(node.func).rpartition(".")[0]


def _same_key(key: ast.expr, message: str) -> bool:
    """A constant key must be the one that the message names; a computed one can be any."""
    if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
        return True
    return message in ("", key.value, repr(key.value)) or "item with that key" in message


def _describe(node: ast.AST, kind: ExpressionKind, base: str) -> FailingExpression:
    line = getattr(node, "lineno", 1)
    header = isinstance(node, ast.stmt) and hasattr(node, "body")
    shown = ast.unparse(node).split("\n")[0] if header else ast.unparse(node)
    names = {found.id for found in ast.walk(node) if isinstance(found, ast.Name)}
    return FailingExpression(
        text=shown.rstrip(":"),
        kind=kind,
        line=line,
        last_line=line if header else getattr(node, "end_lineno", None) or line,
        base=base,
        names=sorted(names),
    )
