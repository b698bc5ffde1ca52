"""The classes of faults that a campaign plants, each a rule over syntax trees."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Sequence

from benchmarks.healing.faults import EXITS, FaultClass, Place, between, own, put
from selfheal.repair.source import Function, Source

_BOUNDS = {ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">")}
_WRONG = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", ">"),
    ast.Gt: (">", "<"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
}
_SIGNS = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.FloorDiv: ("//", "/"),
    ast.Mod: ("%", "//"),
}


def _compared(table: dict[type[ast.cmpop], tuple[str, str]]) -> Callable[..., Iterator[Place]]:
    def places(source: Source, function: Function) -> Iterator[Place]:
        for node in own(function):
            if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in table:
                old, new = table[type(node.ops[0])]
                yield from between(source, node.left, node.comparators[0], old, new)

    return places


def arithmetic(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS and not _is_text(node.left):
            yield from between(source, node.left, node.right, *_SIGNS[type(node.op)])


def _is_text(node: ast.expr) -> bool:
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return constant or isinstance(node, ast.JoinedStr)


def boolean(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        if isinstance(node, ast.BoolOp):
            old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            for left, right in zip(node.values, node.values[1:], strict=False):
                if len(node.values) == 2:
                    yield from between(source, left, right, old, new)


def missing_term(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        if isinstance(node, ast.BoolOp):
            for number in range(len(node.values)):
                kept = [v for n, v in enumerate(node.values) if n != number]
                word = " and " if isinstance(node.op, ast.And) else " or "
                yield put(source, node, word.join(source.segment(value) for value in kept))


def negation(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield put(source, node, source.segment(node.operand))
        elif isinstance(node, ast.If | ast.While) and isinstance(
            node.test, ast.Name | ast.Call | ast.Attribute
        ):
            yield put(source, node.test, f"not {source.segment(node.test)}")


def off_by_one(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        match node:
            case ast.BinOp(op=ast.Add() | ast.Sub(), right=ast.Constant(value=1)):
                yield put(source, node, source.segment(node.left))
            case ast.Subscript(slice=ast.Constant(value=int(value))) if value in (0, 1):
                yield put(source, node.slice, str(1 - value))
            case ast.Slice():
                for bound in (node.lower, node.upper):
                    if isinstance(bound, ast.Name | ast.Constant):
                        yield put(source, bound, f"{source.segment(bound)} + 1")
            case ast.Call(func=ast.Name(id="range"), args=[*_, last]):
                yield put(source, last, f"{source.segment(last)} - 1")


def wrong_number(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            yield put(source, node, str(node.value + 1 if node.value < 2 else node.value // 2))


def wrong_text(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if isinstance(source.parent(node), ast.Expr | ast.JoinedStr | ast.FormattedValue):
            continue
        if "\n" not in node.value and 0 < len(node.value) < 12:
            yield put(source, node, repr(node.value[:-1]))


def wrong_truth(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield put(source, node, str(not node.value))


def wrong_variable(source: Source, function: Function) -> Iterator[Place]:
    nodes = list(own(function))
    names = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)} - {"self", "cls"}
    names |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
            for other in sorted(names - {node.id}):
                yield put(source, node, other)


def wrong_attribute(source: Source, function: Function) -> Iterator[Place]:
    owner = next((a for a in source.ancestors(function) if isinstance(a, ast.ClassDef)), None)
    if owner is None:
        return
    names = {
        node.attr
        for node in ast.walk(owner)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    for node in own(function):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=attr, ctx=ast.Load()):
                for other in sorted(names - {attr}):
                    yield put(source, node, f"self.{other}")


def wrong_callee(source: Source, function: Function) -> Iterator[Place]:
    pairs = {"min": "max", "max": "min", "any": "all", "all": "any", "lstrip": "rstrip"}
    pairs |= {"append": "extend", "extend": "append", "startswith": "endswith", "rstrip": "lstrip"}
    pairs |= {"endswith": "startswith", "upper": "lower", "lower": "upper", "keys": "values"}
    pairs |= {"list": "set", "find": "rfind", "rfind": "find", "split": "rsplit", "next": "list"}
    for node in own(function):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in pairs:
                yield put(source, node.func, pairs[name])
            case ast.Call(func=ast.Attribute(attr=name, value=value)) if name in pairs:
                yield put(source, node.func, f"{source.segment(value)}.{pairs[name]}")


def swapped_arguments(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        if isinstance(node, ast.Call) and len(node.args) >= 2:
            for one, two in zip(node.args, node.args[1:], strict=False):
                if isinstance(one, ast.Starred) or isinstance(two, ast.Starred):
                    continue
                start, stop = source.span(one)[0], source.span(two)[1]
                gap = source.text[source.span(one)[1] : source.span(two)[0]]
                yield Place(start, stop, source.segment(two) + gap + source.segment(one))


def missing_argument(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        if isinstance(node, ast.Call) and len(node.args) + len(node.keywords) >= 2:
            values: list[ast.AST] = [*node.args, *(k.value for k in node.keywords)]
            if isinstance(values[-1], ast.Starred):
                continue
            last, before = values[-1], values[-2]
            yield Place(source.span(before)[1], source.span(last)[1], "")


def missing_call(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[one], keywords=[]) if name.islower():
                if not isinstance(one, ast.Starred | ast.GeneratorExp):
                    yield put(source, node, source.segment(one))
            case ast.Call(func=ast.Attribute(value=value), args=[], keywords=[]):
                if not isinstance(source.parent(node), ast.Expr):
                    yield put(source, node, source.segment(value))


def missing_return(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield put(source, node, source.segment(node.value))


def missing_guard(source: Source, function: Function) -> Iterator[Place]:
    """A whole ``if`` that only leaves or sets a default is not there."""
    for node in own(function):
        if not isinstance(node, ast.If) or node.orelse or source.is_elif(node):
            continue
        if len(node.body) == 1 and isinstance(node.body[0], (*EXITS, ast.Assign)):
            yield from _without(source, node)


def missing_statement(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        if isinstance(node, ast.Assign | ast.AugAssign) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        ):
            yield from _without(source, node)


def _without(source: Source, node: ast.stmt) -> Iterator[Place]:
    parent = source.parent(node)
    blocks = [getattr(parent, name, None) for name in ("body", "orelse", "finalbody")]
    block = next((each for each in blocks if isinstance(each, list) and node in each), None)
    if block and len(block) > 1 and source.starts_line(node):
        yield Place(source.line_start(node.lineno), source.next_line(node), "")


def moved_statement(source: Source, function: Function) -> Iterator[Place]:
    """Two neighbours in the wrong order."""
    for node in own(function):
        for name in ("body", "orelse"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield from _neighbours(source, block)
    yield from _neighbours(source, function.body)


def _neighbours(source: Source, block: Sequence[ast.stmt]) -> Iterator[Place]:
    simple = (ast.Assign, ast.AugAssign, ast.Expr)
    for one, two in itertools.pairwise(block):
        apart = two.lineno > (one.end_lineno or 0) and source.starts_line(one)
        if isinstance(one, simple) and isinstance(two, simple) and apart:
            first, between = source.line_start(one.lineno), source.next_line(one)
            second, end = source.line_start(two.lineno), source.next_line(two)
            text = source.text
            moved = text[second:end] + text[between:second] + text[first:between]
            yield Place(first, end, moved)


def too_deep(source: Source, function: Function) -> Iterator[Place]:
    """What stands after a loop or a condition is a part of it."""
    for node in own(function):
        block = getattr(source.parent(node), "body", None)
        if not isinstance(node, ast.For | ast.While | ast.If) or not isinstance(block, list):
            continue
        place = block.index(node) if node in block else -1
        after = block[place + 1] if 0 <= place < len(block) - 1 else None
        if node.orelse or not isinstance(after, ast.Return | ast.Assign | ast.AugAssign | ast.Expr):
            continue
        if after.lineno == after.end_lineno:
            start = source.line_start(after.lineno)
            yield Place(start, source.span(after)[0], source.indent(node.body[0]))


def wrong_default(source: Source, function: Function) -> Iterator[Place]:
    arguments = function.args
    for node in (*arguments.defaults, *(each for each in arguments.kw_defaults if each)):
        if isinstance(node, ast.Constant):
            value = node.value
            if isinstance(value, bool):
                yield put(source, node, str(not value))
            elif isinstance(value, int):
                yield put(source, node, str(value + 1))


def wrong_exception(source: Source, function: Function) -> Iterator[Place]:
    others = {"KeyError": "IndexError", "IndexError": "KeyError", "TypeError": "ValueError"}
    others |= {"ValueError": "TypeError", "AttributeError": "KeyError", "StopIteration": "KeyError"}
    for node in own(function):
        match node:
            case ast.ExceptHandler(type=ast.Name(id=name)) if name in others and node.type:
                yield put(source, node.type, others[name])
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name) as callee)) if name in others:
                yield put(source, callee, others[name])


def missing_branch(source: Source, function: Function) -> Iterator[Place]:
    """An ``elif`` that is not there."""
    for node in own(function):
        if isinstance(node, ast.If) and source.is_elif(node):
            yield Place(source.line_start(node.lineno), source.next_line(node.body[-1]), "")


def missing_copy(source: Source, function: Function) -> Iterator[Place]:
    for node in own(function):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr="copy"), args=[]):
                yield put(source, node, source.segment(value))
            case ast.Call(
                func=ast.Name(id="list" | "dict" | "set"),
                args=[ast.Name() | ast.Attribute() as one],
            ):
                yield put(source, node, source.segment(one))


def mutable_default(source: Source, function: Function) -> Iterator[Place]:
    """A container that each call makes anew becomes the default that all calls share."""
    arguments = function.args
    names = [*arguments.posonlyargs, *arguments.args][-len(arguments.defaults) or 99 :]
    defaults = dict(zip((each.arg for each in names), arguments.defaults, strict=True))
    for node in function.body:
        match node:
            case ast.If(
                test=ast.Compare(left=ast.Name(id=name), ops=[ast.Is()]),
                body=[ast.Assign(targets=[ast.Name(id=target)], value=value)],
                orelse=[],
            ) if (
                name == target
                and name in defaults
                and isinstance(value, ast.List | ast.Dict | ast.Set | ast.Call)
            ):
                start, stop = source.span(defaults[name])
                kept = source.text[stop : source.line_start(node.lineno)]
                yield Place(start, source.next_line(node), source.segment(value) + kept)


ERRORS = (
    FaultClass("off by one in a bound", _compared(_BOUNDS)),
    FaultClass("wrong comparison", _compared(_WRONG)),
    FaultClass("wrong arithmetic", arithmetic),
    FaultClass("and for or", boolean),
    FaultClass("missing term", missing_term),
    FaultClass("wrong negation", negation),
    FaultClass("off by one in an index", off_by_one),
    FaultClass("wrong number", wrong_number),
    FaultClass("wrong text", wrong_text),
    FaultClass("wrong truth value", wrong_truth),
    FaultClass("wrong variable", wrong_variable),
    FaultClass("wrong attribute", wrong_attribute),
    FaultClass("wrong callee", wrong_callee),
    FaultClass("swapped arguments", swapped_arguments),
    FaultClass("missing argument", missing_argument),
    FaultClass("missing call", missing_call),
    FaultClass("missing return", missing_return),
    FaultClass("missing guard", missing_guard),
    FaultClass("missing statement", missing_statement),
    FaultClass("statements in wrong order", moved_statement),
    FaultClass("statement too deep", too_deep),
    FaultClass("wrong default", wrong_default),
    FaultClass("wrong exception", wrong_exception),
    FaultClass("missing branch", missing_branch),
    FaultClass("missing copy", missing_copy, "state"),
    FaultClass("mutable default", mutable_default, "state"),
)
