"""The expressions of `when` and `foreach`: questions to JSON values, nothing else.

    validation.selected != null and config.deploy.target == 'processes'
    anomalies.anomalies
    len(load_diagnosis.problems) > 0

Names are artifacts, beats and `config`; a dot or an index goes into a value, and
what is not there is null. Comparisons, and/or/not, in, literals and len() are all
that there is: the Python grammar parses it, and only these nodes are accepted.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

_CONSTANTS = {"true": True, "false": False, "null": None}

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}


class ExpressionError(ValueError):
    """The text is no expression of this language, or does not fit the values."""


def names_in(text: str) -> set[str]:
    """The names that an expression reads. Raises ExpressionError."""
    found: set[str] = set()
    _check(_parse(text), found)
    return found


def evaluate(text: str, values: Mapping[str, Any]) -> Any:
    """The value of an expression over JSON values. Raises ExpressionError."""
    try:
        return _value(_parse(text), values)
    except TypeError as error:
        raise ExpressionError(f"{text!r} cannot be decided: {error}") from error


def _parse(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise ExpressionError(f"{text!r} is no expression: {error}") from error


def _check(node: ast.expr, found: set[str]) -> None:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            pass
        case ast.Name(id=name):
            if name not in _CONSTANTS:
                found.add(name)
        case ast.Attribute(value=inner):
            _check(inner, found)
        case ast.Subscript(value=inner, slice=ast.Constant(value=int() | str())):
            _check(inner, found)
        case ast.BoolOp(values=values) | ast.List(elts=values):
            for value in values:
                _check(value, found)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _check(operand, found)
        case ast.Compare(left=left, comparators=others, ops=ops) if all(
            type(op) in _COMPARISONS for op in ops
        ):
            for value in (left, *others):
                _check(value, found)
        case ast.Call(func=ast.Name(id="len"), args=[argument], keywords=[]):
            _check(argument, found)
        case _:
            raise ExpressionError(
                f"{ast.unparse(node)!r} is not allowed; use names, fields, comparisons, "
                "and, or, not, in, len() and literals."
            )


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _CONSTANTS[name] if name in _CONSTANTS else values.get(name)
        case ast.Attribute(value=inner, attr=key):
            return _member(_value(inner, values), key)
        case ast.Subscript(value=inner, slice=ast.Constant(value=key)):
            return _member(_value(inner, values), key)
        case ast.List(elts=elements):
            return [_value(element, values) for element in elements]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, values)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(op=ast.Or(), values=parts):
            return any(_value(part, values) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=others):
            operands = [_value(part, values) for part in (left, *others)]
            return all(
                _COMPARISONS[type(op)](a, b)
                for op, a, b in zip(ops, operands, operands[1:], strict=False)
            )
        case ast.Call(args=[argument]):
            return len(_value(argument, values) or ())
        case _:
            raise ExpressionError(f"{ast.unparse(node)!r} is not allowed.")


def _member(value: Any, key: Any) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int):
        return value[key] if -len(value) <= key < len(value) else None
    return None
