"""Documents that the code left behind: a parameter's old name, an old default.

Planted in docstrings that a library really has; graded by their own text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.healing.worlds import World
from selfheal.repair.source import Function, Source

_ENTRY = r"(?m)^[ \t]*(?::param (?:[\w\[\], .]+ )?|)(?P<name>\w+)(?= ?:| \()"
_STYLE = r"(?m):param |^[ \t]*Args:[ \t]*$|^[ \t]*Parameters\n[ \t]*-+$"
_DEFAULT = r"(?i)\bdefaults? (?:to|is|of|:) ?`{0,2}(?P<value>-?\d+|True|False|'[^']*'|\"[^\"]*\")"


class Drift(NamedTuple):
    """One text of a file that is no longer true: characters ``start:stop`` become `text`."""

    name: str
    file: str
    function: str
    line: int
    start: int
    stop: int
    text: str


def drifts(world: World) -> dict[str, list[Drift]]:
    """By class, what could be planted in a library."""
    found: dict[str, list[Drift]] = {"old parameter name": [], "old default": []}
    for path, text in sorted(world.code.items()):
        source = Source(path, text)
        for function in source.functions():
            for drift in (*_old_names(source, function), *_old_defaults(source, function)):
                found[drift.name].append(drift)
    return found


def _docstring(source: Source, function: Function) -> tuple[int, str] | None:
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        start, stop = source.span(first.value)
        if isinstance(first.value.value, str):
            return start, source.text[start:stop]
    return None


def _parameters(function: Function) -> list[str]:
    arguments = function.args
    given = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return [each.arg for each in given if each.arg not in ("self", "cls")]


def _old_names(source: Source, function: Function) -> Iterator[Drift]:
    told = _docstring(source, function)
    if told is None or function.args.kwarg is not None or not re.search(_STYLE, told[1]):
        return
    start, text = told
    for match in re.finditer(_ENTRY, text):
        name = match["name"]
        if name in _parameters(function) and len(re.findall(rf"\b{name}\b", text)) == 1:
            begin = start + match.start("name")
            yield _drift(
                source, function, "old parameter name", begin, begin + len(name), f"the_{name}"
            )


def _old_defaults(source: Source, function: Function) -> Iterator[Drift]:
    """Only of parameters with an entry, whose text tells the default that the code has."""
    told = _docstring(source, function)
    if told is None:
        return
    start, text = told
    defaults = _literals(function)
    entries = [m for m in re.finditer(_ENTRY, text) if m["name"] in defaults]
    bounds = [*(m.start() for m in re.finditer(_ENTRY, text)), len(text)]
    for entry in entries:
        end = min(bound for bound in bounds if bound > entry.start())
        match = re.compile(_DEFAULT).search(text, entry.end(), end)
        if match and _same(match["value"], defaults[entry["name"]]):
            begin = start + match.start("value")
            other = _other(defaults[entry["name"]])
            yield _drift(source, function, "old default", begin, begin + len(match["value"]), other)


def _literals(function: Function) -> dict[str, object]:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args]
    pairs = list(
        zip(named[len(named) - len(arguments.defaults) :], arguments.defaults, strict=True)
    )
    pairs += [
        (name, value)
        for name, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if value is not None
    ]
    return {
        name.arg: value.value
        for name, value in pairs
        if isinstance(value, ast.Constant) and isinstance(value.value, bool | int | str)
    }


def _same(written: str, value: object) -> bool:
    try:
        return bool(ast.literal_eval(written) == value)
    except (ValueError, SyntaxError):
        return False


def _other(value: object) -> str:
    if isinstance(value, bool):
        return str(not value)
    if isinstance(value, int):
        return str(value + 3)
    return repr(f"{value}-old")


def _drift(
    source: Source, function: Function, name: str, start: int, stop: int, text: str
) -> Drift:
    line = source.text.count("\n", 0, start) + 1
    return Drift(name, source.path, function.name, line, start, stop, text)
