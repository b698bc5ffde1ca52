"""The routes that a project's own decorators declare, by method and path."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from selfheal.repair.problem import is_test
from selfheal.repair.source import Function, parse

_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")


class Route(NamedTuple):
    """``METHOD path`` and the function that serves it, with the first line of its docstring."""

    method: str
    path: str
    file: str
    function: str
    told: str


def routes(sources: Mapping[str, str]) -> list[Route]:
    """Routes of decorators like ``@app.get("/x")`` and ``@app.route("/x", methods=["POST"])``."""
    return [
        route
        for path in sorted(sources)
        if path.endswith(".py") and not is_test(path)
        and (source := parse(path, sources[path])) is not None
        for function in source.functions()
        for route in _of(path, function)
    ]  # fmt: skip


def summary(function: Function) -> str:
    """The first line of a docstring without its full stop; else the words of the name."""
    told = (ast.get_docstring(function) or "").strip().partition("\n")[0].rstrip(".")
    return told or function.name.strip("_").replace("_", " ")


def _of(file: str, function: Function) -> Iterator[Route]:
    for decorator in function.decorator_list:
        if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
            continue
        name = decorator.func.attr
        first = decorator.args[0] if decorator.args else None
        if not isinstance(first, ast.Constant) or not str(first.value).startswith("/"):
            continue
        if name in _METHODS:
            methods = [name.upper()]
        elif name in ("route", "api_route"):
            methods = _methods(decorator) or ["GET"]
        else:
            continue
        for method in methods:
            yield Route(method, str(first.value), file, function.name, summary(function))


def _methods(decorator: ast.Call) -> list[str]:
    given = next((word.value for word in decorator.keywords if word.arg == "methods"), None)
    listed = given.elts if isinstance(given, ast.List | ast.Tuple | ast.Set) else []
    return [str(each.value).upper() for each in listed if isinstance(each, ast.Constant)]
