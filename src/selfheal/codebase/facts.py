"""What one file says of itself: definitions, calls and imports of code, words of a document."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field

from selfheal.artifacts.model import Model

DOCUMENT_SUFFIXES = (".md", ".rst", ".txt", ".adoc")
_WORD = re.compile(r"[A-Za-z_]\w{2,}|/[\w/<>{}:.-]+")
_TEST_FILE = re.compile(r"(^|/)(tests?/|conftest\.py$|test_[^/]*\.py$|[^/]*_test\.py$)")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
ScopeNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# Nodes without any below them, which most nodes have one of.
_LEAVES = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop)


class Definition(Model):
    """A function, method or class.

    `qualified_name` is Python's ``__qualname__`` without ``<locals>`` (``Cart.total``,
    ``make_app.search``). `first_line` is the first decorator's line, `line` the one with
    ``def`` or ``class``. `calls` are the called names as written (``db.execute``), in order,
    each once; nested definitions keep their own.
    """

    file: str
    kind: Literal["function", "method", "class"]
    name: str
    qualified_name: str
    first_line: int
    line: int
    last_line: int
    decorators: list[str]
    calls: list[str]


class Broken(Model):
    """A Python file that does not parse, and where."""

    file: str
    line: int
    reason: str


class FileFacts(Model):
    """What the index knows of one file: of code its definitions and imports, of a document its words."""

    definitions: list[Definition] = Field(default_factory=list)
    imports: dict[str, str] = Field(default_factory=dict)
    words: list[str] = Field(default_factory=list)
    broken: Broken | None = None
    parsed: bool = False


def module_of(file: str) -> str:
    """The dotted module of a path: ``src/shop/cart.py`` → ``src.shop.cart``."""
    path = PurePosixPath(file)
    parts = path.parts[:-1] if path.name == "__init__.py" else (*path.parts[:-1], path.stem)
    return ".".join(parts)


def is_test(file: str) -> bool:
    """Whether a path is a part of the test suite, by the usual names."""
    return _TEST_FILE.search(file) is not None


def is_vendored(file: str, vendored: Sequence[str]) -> bool:
    """Whether a path lies in one of the folders whose code is somebody else's."""
    return any(f"/{part.strip('/')}/" in f"/{file}" for part in vendored if part.strip("/"))


def facts_of(path: str, text: str) -> FileFacts:
    """What the index keeps of one file."""
    if not path.endswith(".py"):
        return FileFacts(words=sorted({word.rstrip(".:-") for word in _WORD.findall(text)}))
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        return FileFacts(broken=Broken(file=path, line=line, reason=str(error)))
    definitions, imports = _walk(path, tree)
    return FileFacts(definitions=definitions, imports=imports, parsed=True)


def _walk(path: str, tree: ast.Module) -> tuple[list[Definition], dict[str, str]]:
    """The definitions of one parsed file in the order of their lines, and its imports, in one pass."""
    found: list[tuple[str, ScopeNode, bool, dict[str, None]]] = []
    imports: dict[str, str] = {}
    calls: dict[str, None] = {}
    pending: list[tuple[ast.AST, str, bool, dict[str, None]]] = [(tree, "", False, calls)]
    while pending:
        node, prefix, in_class, calls = pending.pop()
        if isinstance(node, SCOPES):
            calls = {}
            found.append((f"{prefix}{node.name}", node, in_class, calls))
            prefix, in_class = f"{prefix}{node.name}.", isinstance(node, ast.ClassDef)
        elif isinstance(node, ast.Call):
            calls[dotted(node.func)] = None
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imports |= _imported_names(path, node)
            continue
        children: list[ast.AST] = []
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                children += [child for child in value if isinstance(child, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, _LEAVES):
                children.append(value)
        pending += [(child, prefix, in_class, calls) for child in reversed(children)]
    definitions = [_definition(path, *item) for item in found]
    definitions.sort(key=lambda item: (item.first_line, item.line))
    return definitions, dict(sorted(imports.items()))


def scopes(
    tree: ast.AST, prefix: str = "", parent: ast.AST | None = None
) -> Iterator[tuple[str, ScopeNode, ast.AST | None]]:
    """(qualified name, node, enclosing definition) of every function and class below a node."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, SCOPES):
            name = f"{prefix}{child.name}"
            yield name, child, parent
            yield from scopes(child, f"{name}.", child)
        elif not isinstance(child, ast.expr):  # an expression holds no definitions
            yield from scopes(child, prefix, parent)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below a definition in source order, nested definitions left out."""
    pending = [*ast.iter_child_nodes(node)][::-1]
    while pending:
        child = pending.pop()
        if not isinstance(child, SCOPES):
            yield child
            pending += [*ast.iter_child_nodes(child)][::-1]


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of a chain of names and attributes; what is no chain begins with ``?``."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return "?"


def _definition(
    file: str, qualified_name: str, node: ScopeNode, in_class: bool, calls: Iterable[str]
) -> Definition:
    kind: Literal["function", "method", "class"] = "method" if in_class else "function"
    return Definition(
        file=file,
        kind="class" if isinstance(node, ast.ClassDef) else kind,
        name=node.name,
        qualified_name=qualified_name,
        first_line=min([node.lineno, *(item.lineno for item in node.decorator_list)]),
        line=node.lineno,
        last_line=node.end_lineno or node.lineno,
        decorators=[ast.unparse(item) for item in node.decorator_list],
        calls=[call for call in calls if call != "?"],
    )


def _imported_names(file: str, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """The local names that an import statement binds, with their dotted origins."""
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.split(".")[0]: (
                alias.name if alias.asname else alias.name.split(".")[0]
            )
            for alias in node.names
        }
    package = module_of(file).split(".")
    if not file.endswith("__init__.py"):
        package = package[:-1]
    above = package[: len(package) - node.level + 1] if node.level else []
    base = ".".join([*above, *((node.module or "").split(".") if node.module else [])])
    return {
        alias.asname or alias.name: f"{base}.{alias.name}" if base else alias.name
        for alias in node.names
    }
