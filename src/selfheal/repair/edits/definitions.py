"""Small questions to the syntax tree of a definition or a call."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from selfheal.repair.source import FUNCTIONS, Function, Source


def outermost(source: Source, function: Function) -> Function:
    around = [each for each in source.ancestors(function) if isinstance(each, FUNCTIONS)]
    return around[-1] if around else function


def head_of(source: Source, outer: ast.stmt) -> str:
    """Lines that give a method its classes, and so its cells and its qualified name."""
    indent = source.indent(outer)
    around = [each for each in source.ancestors(outer) if isinstance(each, ast.ClassDef)]
    lines = [f"class {each.name}:\n" for each in reversed(around[: len(indent)])]
    if indent and not lines:
        lines = ["if True:\n"]
    return "".join(f"{indent[:depth]}{line}" for depth, line in enumerate(lines))


def qualified_name(source: Source, function: Function) -> str:
    """Python's ``__qualname__``."""
    parts = [function.name]
    for around in source.ancestors(function):
        if isinstance(around, FUNCTIONS):
            parts += ["<locals>", around.name]
        elif isinstance(around, ast.ClassDef):
            parts.append(around.name)
    return ".".join(reversed(parts))


def parameters(function: Function) -> list[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [each.arg for each in (*every, arguments.vararg, arguments.kwarg) if each is not None]


def last_name(node: ast.expr) -> str | None:
    """``c`` of ``a.b.c``."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def ranked(counts: Counter[str]) -> Iterator[tuple[str, int]]:
    return iter(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def is_member(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)


def root_name(node: ast.expr) -> str | None:
    """``a`` of ``a.b.c`` and of ``a``; None for what does not begin with a name."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
