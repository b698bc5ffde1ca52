"""A suspicious statement, and the moves that operators share."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache

from selfheal.repair.edit import Splice
from selfheal.repair.edits.model import Draft, Hints
from selfheal.repair.edits.scope import Scope
from selfheal.repair.source import BLOCKS, FUNCTIONS, Source

_BINARY: dict[type[ast.operator], int] = {
    ast.BitOr: 7, ast.BitXor: 8, ast.BitAnd: 9, ast.LShift: 10, ast.RShift: 10,
    ast.Add: 11, ast.Sub: 11, ast.Mult: 12, ast.Div: 12, ast.FloorDiv: 12, ast.Mod: 12,
    ast.MatMult: 12, ast.Pow: 14,
}  # fmt: skip
PRIMARY = 16


class Site:
    """One statement; of a compound statement its header alone, bodies not counted."""

    def __init__(self, scope: Scope, statement: ast.stmt, hints: Hints) -> None:
        self.scope = scope
        self.source: Source = scope.source
        self.statement = statement
        self.hints = hints

    @cached_property
    def expressions(self) -> list[ast.expr]:
        """The expressions of the statement that have a place of their own, outermost first."""
        found: list[ast.expr] = []
        pending: list[ast.AST] = list(self._header())[::-1]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.expr) and self._readable(node):
                found.append(node)
            pending += list(ast.iter_child_nodes(node))[::-1]
        return found

    def _header(self) -> Iterator[ast.AST]:
        if isinstance(self.statement, ast.ClassDef):
            return
        for name, value in ast.iter_fields(self.statement):
            if name in (*BLOCKS, "handlers", "cases", "returns", "annotation", "decorator_list"):
                continue
            for node in value if isinstance(value, list) else [value]:
                if isinstance(node, ast.arguments):
                    yield from [each for each in (*node.defaults, *node.kw_defaults) if each]
                elif isinstance(node, ast.AST):
                    yield node

    def _readable(self, node: ast.expr) -> bool:
        """Not a piece of an f-string whose position is not known well."""
        parents = []
        for parent in self.source.ancestors(node):
            if isinstance(parent, ast.stmt):
                break
            parents.append(parent)
        if not any(isinstance(each, ast.JoinedStr) for each in parents):
            return True
        try:
            found = ast.parse(self.text(node), mode="eval").body
        except (SyntaxError, ValueError):
            return False
        return ast.dump(found) == ast.dump(node)

    def of(self, *kinds: type[ast.expr]) -> Iterator[ast.expr]:
        return (node for node in self.expressions if isinstance(node, kinds))

    def loads(self, *kinds: type[ast.expr]) -> Iterator[ast.expr]:
        """Expressions of some kinds that are read, not assigned to."""
        for node in self.of(*kinds):
            if isinstance(getattr(node, "ctx", None), ast.Load | None):
                yield node

    def text(self, node: ast.AST) -> str:
        return self.source.segment(node)

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self.source.parent(node)

    def replace(self, node: ast.expr, text: str) -> Splice:
        """`node` becomes `text`, in parentheses where its place needs them."""
        if precedence(text) < self._needed(node) and not self._enclosed(node):
            text = f"({text})"
        return self.source.replace(node, text)

    def within(self, node: ast.expr, needed: int) -> str:
        """The text of a node for a place that binds as strongly as `needed`."""
        text = self.text(node)
        return f"({text})" if precedence(text) < needed else text

    def draft(self, node: ast.expr, text: str, weight: float, wrong: str) -> Draft:
        return Draft((self.replace(node, text),), weight, wrong)

    def _enclosed(self, node: ast.expr) -> bool:
        parent = self.parent(node)
        if isinstance(parent, ast.Call) and node is not parent.func:
            return True
        return self.outer_span(node) != self.source.span(node)

    def outer_span(self, node: ast.expr) -> tuple[int, int]:
        """Where an expression stands with the parentheses around it that are its own."""
        start, stop = self.source.span(node)
        parent, text = self.parent(node), self.source.text
        lowest, highest = 0, len(text)
        if isinstance(parent, ast.expr):
            lowest, highest = self.source.span(parent)
            highest -= isinstance(parent, ast.Call)
        while True:
            before, after = start, stop
            while before > lowest and text[before - 1] == " ":
                before -= 1
            while after < highest and text[after] == " ":
                after += 1
            if before <= lowest or after >= highest:
                return start, stop
            if text[before - 1] != "(" or text[after] != ")":
                return start, stop
            start, stop = before - 1, after + 1

    def _needed(self, node: ast.expr) -> int:
        """How strongly the place binds, by Python's table of operator precedence."""
        parent = self.parent(node)
        match parent:
            case ast.BinOp():
                own = _BINARY[type(parent.op)]
                right = (node is parent.right) != isinstance(parent.op, ast.Pow)
                return own + 1 if right else own
            case ast.Compare() | ast.Starred():
                return 7
            case ast.BoolOp():
                return 5 if isinstance(parent.op, ast.And) else 4
            case ast.UnaryOp():
                return 5 if isinstance(parent.op, ast.Not) else 13
            case ast.Attribute() | ast.Await():
                return PRIMARY
            case ast.Subscript() if node is parent.value:
                return PRIMARY
            case ast.Call() if node is parent.func:
                return PRIMARY
            case ast.IfExp():
                return 2 if node is parent.orelse else 3
            case ast.comprehension():
                return 3
        return 0

    @cached_property
    def doubled(self) -> frozenset[int]:
        """Ids of the nodes of operands that are written twice: ``a - a``, ``f(x, x)``."""
        found: set[int] = set()
        for node in self.expressions:
            match node:
                case ast.BinOp():
                    operands = [node.left, node.right]
                case ast.Compare():
                    operands = [node.left, *node.comparators]
                case ast.BoolOp():
                    operands = node.values
                case ast.Call():
                    operands = node.args
                case _:
                    continue
            texts = [self.text(each) for each in operands]
            for operand, text in zip(operands, texts, strict=True):
                if texts.count(text) > 1 and not isinstance(operand, ast.Constant):
                    found |= {id(each) for each in ast.walk(operand)}
        return frozenset(found)

    # Statements

    @property
    def block(self) -> Sequence[ast.stmt]:
        """The statements of the block that the statement stands in."""
        return self.scope.block_of(self.statement)

    def neighbour(self, step: int) -> ast.stmt | None:
        position = self.block.index(self.statement) + step
        return self.block[position] if 0 <= position < len(self.block) else None

    def before(self, lines: list[str], weight: float, wrong: str) -> Iterator[Draft]:
        """Lines of their own before the statement, where it can have some."""
        if self.source.insertable(self.statement) and not self._defines:
            yield Draft((self.source.insert_before(self.statement, lines),), weight, wrong)

    def after(self, lines: list[str], weight: float, wrong: str) -> Iterator[Draft]:
        if self.source.starts_line(self.statement) and not self._defines:
            yield Draft((self.source.insert_after(self.statement, lines),), weight, wrong)

    @property
    def _defines(self) -> bool:
        return isinstance(self.statement, (*FUNCTIONS, ast.ClassDef))

    @property
    def in_loop(self) -> ast.stmt | None:
        """The innermost loop around the statement within its function."""
        for node in self.source.ancestors(self.statement):
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                return None
            if isinstance(node, ast.For | ast.AsyncFor | ast.While):
                return node
        return None


_PLAIN = re.compile(r"(?!\d*(?:not|lambda|await|yield)\b)[\w.]+(?:\([\w., ]*\)|\[[\w., ]*\])?")


@lru_cache(maxsize=16_384)
def precedence(text: str) -> int:
    """How strongly an expression binds; 0 for what is no expression by itself."""
    if _PLAIN.fullmatch(text):
        return PRIMARY
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return 0
    match node:
        case ast.BinOp():
            return _BINARY[type(node.op)]
        case ast.BoolOp():
            return 4 if isinstance(node.op, ast.And) else 3
        case ast.UnaryOp():
            return 5 if isinstance(node.op, ast.Not) else 13
        case ast.Compare():
            return 6
        case ast.IfExp():
            return 2
        case ast.Lambda():
            return 1
        case ast.Await():
            return 15
        case ast.NamedExpr() | ast.Yield() | ast.YieldFrom() | ast.Starred():
            return 0
        case ast.Tuple():
            return PRIMARY if text.strip().startswith("(") else 0
    return PRIMARY
