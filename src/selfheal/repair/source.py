"""A Python file to be edited: its syntax tree, tied to the characters of its text."""

from __future__ import annotations

import ast
import builtins
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cached_property, lru_cache

from selfheal.repair.edit import Splice

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
BLOCKS = ("body", "orelse", "finalbody")
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LINE_END = re.compile(r"\r\n|\r|\n")
_BOM = "\ufeff"


class Source:
    """Reads positions of nodes as character offsets; raises SyntaxError if it does not parse."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._shift = len(_BOM) if text.startswith(_BOM) else 0
        self.tree = ast.parse(text.removeprefix(_BOM))
        self._starts = [self._shift]
        self._starts += [match.end() for match in _LINE_END.finditer(text)]
        self._parents = {
            child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)
        }

    @cached_property
    def newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    @cached_property
    def unit(self) -> str:
        """One level of indentation, as the first indented statement shows it."""
        for node in ast.walk(self.tree):
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and node.body[0].lineno > node.lineno:
                inner, outer = self.indent(node.body[0]), self.indent(node)
                return inner.removeprefix(outer) or "    "
        return "    "

    def offset(self, line: int, column: int) -> int:
        """The character offset of ast's line (from 1) and UTF-8 column."""
        start = self._starts[line - 1]
        stop = self._starts[line] if line < len(self._starts) else len(self.text)
        encoded = self.text[start:stop].encode("utf-8")
        return start + len(encoded[:column].decode("utf-8"))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where an expression or a statement stands, decorators not counted."""
        assert isinstance(node, ast.expr | ast.stmt | ast.ExceptHandler | ast.arg | ast.keyword)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.offset(node.lineno, node.col_offset),
            self.offset(node.end_lineno, node.end_col_offset),
        )

    def segment(self, node: ast.AST) -> str:
        start, stop = self.span(node)
        return self.text[start:stop]

    @property
    def lines(self) -> int:
        """How many lines the text has; one more where it ends with a line's end."""
        return len(self._starts)

    def line_start(self, line: int) -> int:
        return self._starts[min(line, len(self._starts)) - 1]

    def next_line(self, node: ast.AST) -> int:
        """The offset after the line on which a node ends, the end of the text at the most."""
        line = getattr(node, "end_lineno", 1)
        return self._starts[line] if line < len(self._starts) else len(self.text)

    def indent(self, statement: ast.stmt) -> str:
        start = self.line_start(statement.lineno)
        return re.match(r"[ \t\f]*", self.text[start:])[0]  # type: ignore[index]

    def starts_line(self, statement: ast.stmt) -> bool:
        """Whether statements can be put on lines of their own before it."""
        start, _ = self.span(statement)
        return not self.text[self.line_start(statement.lineno) : start].strip()

    def is_elif(self, statement: ast.stmt) -> bool:
        return isinstance(statement, ast.If) and self.segment(statement).startswith("elif")

    def insertable(self, statement: ast.stmt) -> bool:
        return self.starts_line(statement) and not self.is_elif(statement)

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self._parents.get(node)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        current = self._parents.get(node)
        while current is not None:
            yield current
            current = self._parents.get(current)

    def statement(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that holds a node, or the node itself."""
        if isinstance(node, ast.stmt):
            return node
        return next(each for each in self.ancestors(node) if isinstance(each, ast.stmt))

    def functions(self) -> Iterator[Function]:
        for node in ast.walk(self.tree):
            if isinstance(node, FUNCTIONS):
                yield node

    def function_of(self, node: ast.AST) -> Function | None:
        return next((each for each in self.ancestors(node) if isinstance(each, FUNCTIONS)), None)

    def function_at(self, line: int, name: str = "") -> Function | None:
        """The innermost function around a line; by its plain name where the line is in none."""
        plain = name.rpartition(".")[2]
        around = [each for each in self.functions() if first_line(each) <= line <= last_line(each)]
        named = [each for each in around if each.name == plain]
        for group in (named, around):
            if group:
                return max(group, key=lambda each: each.lineno)
        return next((each for each in self.functions() if each.name == plain), None)

    def replace(self, node: ast.AST, text: str) -> Splice:
        start, stop = self.span(node)
        return Splice(path=self.path, start=start, stop=stop, text=text)

    def insert_before(self, statement: ast.stmt, lines: list[str]) -> Splice:
        """Whole lines before a statement, indented like it."""
        line = first_line(statement) if isinstance(statement, FUNCTIONS) else statement.lineno
        return self._insert(self.line_start(line), self.indent(statement), lines)

    def insert_after(
        self, statement: ast.stmt, lines: list[str], indent: str | None = None
    ) -> Splice:
        """Whole lines after the line on which a statement ends."""
        start = self.next_line(statement)
        splice = self._insert(start, self.indent(statement) if indent is None else indent, lines)
        if start and self.text[start - 1] not in "\r\n":
            return splice.model_copy(update={"text": self.newline + splice.text})
        return splice

    def _insert(self, start: int, indent: str, lines: list[str]) -> Splice:
        text = "".join(f"{indent}{line}{self.newline}" if line else self.newline for line in lines)
        return Splice(path=self.path, start=start, stop=start, text=text)

    def indented(self, statement: ast.stmt) -> list[Splice]:
        """Splices that move a statement one level in; lines inside of strings stay."""
        return self.indented_lines(statement.lineno, last_line(statement))

    def indented_lines(self, first: int, last: int) -> list[Splice]:
        """As `indented`, of whole lines with the comments between them."""
        inside = self.string_lines
        return [
            Splice(path=self.path, start=start, stop=start, text=self.unit)
            for line in range(first, last + 1)
            if line not in inside
            and self.text[(start := self.line_start(line)) : start + 1] not in ("", "\r", "\n")
        ]

    @cached_property
    def string_lines(self) -> frozenset[int]:
        """The lines that begin inside of a string."""
        inside: set[int] = set()
        plain = self.text.removeprefix(_BOM)
        for token in tokenize.generate_tokens(io.StringIO(plain, newline="").readline):
            if token.type == tokenize.STRING or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
                inside.update(range(token.start[0] + 1, token.end[0] + 1))
        return frozenset(inside)

    def fresh(self, function: ast.AST, wish: str) -> str:
        """A name like `wish` that is used nowhere in the function nor at module level."""
        taken = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        taken |= {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
        taken |= module_names(self) | set(dir(builtins))
        name, number = wish, 2
        while name in taken:
            name, number = f"{wish}_{number}", number + 1
        return name


@lru_cache(maxsize=512)
def parse(path: str, text: str) -> Source | None:
    """The source, parsed once; None where the text is not Python."""
    try:
        return Source(path, text)
    except (SyntaxError, ValueError):
        return None


def module_names(source: Source) -> set[str]:
    """The names that a module defines or imports at its top level."""
    found: set[str] = set()
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(each.asname or each.name).split(".")[0] for each in node.names}
        else:
            found |= names_bound(node)
    return found


def blocks_of(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The blocks of statements that a node holds itself."""
    for name in BLOCKS:
        block = getattr(node, name, None)
        if isinstance(block, list):
            yield block


def first_line(function: Function) -> int:
    """The first line of a function, its decorators counted."""
    return min([function.lineno, *(each.lineno for each in function.decorator_list)])


def last_line(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def walk_own(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions and classes defined in it."""
    pending = list(ast.iter_child_nodes(function))[::-1]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            pending += list(ast.iter_child_nodes(node))[::-1]


def names_in(node: ast.AST) -> set[str]:
    """The names that a node reads."""
    return {
        each.id
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
    }


def names_bound(node: ast.AST) -> set[str]:
    """The names that a node binds anywhere in it."""
    return {
        each.id
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)
    }


def is_plain(node: ast.AST) -> bool:
    """An expression that can be written twice: names, attributes, subscripts, constants."""
    return all(
        isinstance(
            each,
            ast.Name
            | ast.Attribute
            | ast.Subscript
            | ast.Constant
            | ast.expr_context
            | ast.UnaryOp
            | ast.unaryop
            | ast.Tuple,
        )
        for each in ast.walk(node)
    )


def same(one: ast.AST | None, other: ast.AST | None) -> bool:
    """Whether two nodes are the same code, wherever they stand and however they are laid out."""
    if one is None or other is None:
        return one is other
    return _dump(one) == _dump(other)


def _dump(node: ast.AST) -> str:
    return re.sub(r"ctx=(Load|Store|Del)\(\)", "ctx=_", ast.dump(node))
