"""What is settled before it is asked or reached: no fix brings such."""

from __future__ import annotations

import ast
from typing import NamedTuple

from selfheal.repair.source import FUNCTIONS, LEAVES, Function, blocks_of

# What gives the same value when it is asked twice: no calls, no comprehensions.
_PLAIN = (
    ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.UnaryOp, ast.BinOp,
    ast.operator, ast.unaryop, ast.expr_context, ast.Compare, ast.cmpop,
)  # fmt: skip
# ``len(x) >= 0`` and the like, with the length on the left.
_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.LtE: ast.GtE, ast.Gt: ast.Lt}


class Settled(NamedTuple):
    """How many `conditions` have one outcome only, and what is for nothing: statements that are
    never reached, local variables that are never read."""

    conditions: int = 0
    unreached: int = 0
    unread: int = 0

    def adds_to(self, before: Settled) -> bool:
        """Whether there is more of any of them; less of one makes up for no other."""
        return any(now > then for now, then in zip(self, before, strict=True))


def settled(tree: ast.AST) -> Settled:
    """What in a tree is settled before it runs.

    A plain value against itself (but for ``x != x``, which tells NaN), a length against
    less than zero, an operand beside itself, its own negation, or a comparison with None
    that its truth settles, and the type of ``*args`` and ``**kwargs`` that nobody binds anew.
    For nothing are statements behind one that leaves their block, and values that are given
    to a local variable which nothing reads.
    """
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, FUNCTIONS)]
    asked = sum(_is_settled(node) for node in nodes if isinstance(node, ast.Compare | ast.BoolOp))
    return Settled(
        conditions=asked + sum(map(_types_of_variadic, functions)),
        unreached=sum(map(_unreached, nodes)),
        unread=sum(len(_unread(function)) for function in functions),
    )


def _unreached(node: ast.AST) -> int:
    return sum(isinstance(each, LEAVES) for block in blocks_of(node) for each in block[:-1])


def _unread(function: Function) -> set[str]:
    """The names that plain assignments of a function bind and nothing in it reads."""
    nodes = [node for statement in function.body for node in ast.walk(statement)]
    bound, read = set(), set()
    for node in nodes:
        match node:
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                read |= set(names)
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("_"):
                bound.add(name)
    return set() if "locals" in read else bound - read


def _types_of_variadic(function: Function) -> int:
    """How often a function asks of what type its ``*args`` or ``**kwargs`` are."""
    given = {each.arg for each in (function.args.vararg, function.args.kwarg) if each is not None}
    nodes = [node for statement in function.body for node in ast.walk(statement)] if given else []
    given -= {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    asked = 0
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), _]):
                asked += name in given
    return asked


def _is_settled(node: ast.Compare | ast.BoolOp) -> bool:
    if isinstance(node, ast.BoolOp):
        plain = [each for each in map(_positive, node.values) if _is_plain(each)]
        texts = [ast.dump(each) for each in plain]
        return len(set(texts)) < len(texts) or any(
            _tells(node.op, one, other) for one in node.values for other in node.values
        )
    if len(node.ops) > 1:
        return False
    left, operator, right = node.left, type(node.ops[0]), node.comparators[0]
    if operator is not ast.NotEq and _is_plain(left) and ast.dump(left) == ast.dump(right):
        return True
    if operator in _MIRRORED:
        left, operator, right = right, _MIRRORED[operator], left
    return operator in (ast.GtE, ast.Lt) and _is_length(left) and _is_zero(right)


# Operator, whether the operand stands without ``not``, and the comparison: ``x and x is None``
# is never true, and of ``x or x is not None`` the second half says it all.
_SETTLED = {
    (ast.And, True, ast.Is), (ast.And, True, ast.IsNot), (ast.And, False, ast.Is),
    (ast.Or, True, ast.IsNot), (ast.Or, False, ast.Is), (ast.Or, False, ast.IsNot),
}  # fmt: skip


def _tells(operator: ast.boolop, operand: ast.expr, other: ast.expr) -> bool:
    """Whether a plain operand settles what the comparison of its value with None adds."""
    value = _positive(operand)
    match other:
        case ast.Compare(left=left, ops=[compared], comparators=[ast.Constant(value=None)]):
            known = (type(operator), value is operand, type(compared)) in _SETTLED
            return known and _is_plain(value) and ast.dump(left) == ast.dump(value)
    return False


_POSITIVE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.NotEq: ast.Eq, ast.IsNot: ast.Is, ast.NotIn: ast.In,
}  # fmt: skip


def _positive(node: ast.expr) -> ast.expr:
    """The condition without its ``not``, that of a comparison too."""
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return inner
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if (
            type(operator) in _POSITIVE
        ):
            return ast.Compare(left, [_POSITIVE[type(operator)]()], [right])
    return node


def _is_plain(node: ast.expr) -> bool:
    return all(isinstance(each, _PLAIN) for each in ast.walk(node))


def _is_length(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"


def _is_zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0
