"""Faults that are planted: rules over syntax trees, one place each, nothing knows the product.

A rule names every place of a function where its mistake could have been made, with the text
that stands there then. They follow what studies of real bugs found to be frequent (Pan et
al., "Toward an understanding of bug fix patterns", EMSE 2009; the mutation operators of
DeMillo and Offutt) and are no inverse of the product's edits.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from selfheal.repair.source import FUNCTIONS, Function, Source

EXITS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class Place(NamedTuple):
    """Characters ``start:stop`` become `text`."""

    start: int
    stop: int
    text: str


@dataclass(frozen=True)
class FaultClass:
    """A kind of mistake; `places` names where one function could have it."""

    name: str
    places: Callable[[Source, Function], Iterator[Place]]
    kind: str = "error"


class Fault(NamedTuple):
    """One mistake, as it is planted in a file; `line` and `function` are where it stands."""

    name: str
    kind: str
    file: str
    function: str
    line: int
    text: str
    last_line: int = 0


def faults_of(path: str, text: str, classes: Sequence[FaultClass]) -> dict[str, list[Fault]]:
    """By class, every single fault of a file that still compiles and changes the code."""
    source = Source(path, text)
    found: dict[str, list[Fault]] = {each.name: [] for each in classes}
    for function in source.functions():
        if function.name.startswith("__") and function.name not in ("__init__", "__call__"):
            continue
        for each in classes:
            for place in each.places(source, function):
                after = text[: place.start] + place.text + text[place.stop :]
                line = text.count("\n", 0, place.start) + 1
                # Deleted text leaves the line that follows as the place of the mistake.
                last = line + place.text.rstrip("\n").count("\n") + (1 if not place.text else 0)
                name = _qualified(source, function)
                found[each.name].append(Fault(each.name, each.kind, path, name, line, after, last))
    return found


def compiles(fault: Fault, original: str) -> bool:
    try:
        tree = ast.parse(fault.text)
        compile(fault.text, fault.file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return ast.dump(tree) != ast.dump(ast.parse(original))


def _qualified(source: Source, function: Function) -> str:
    owners = [
        each.name
        for each in source.ancestors(function)
        if isinstance(each, (*FUNCTIONS, ast.ClassDef))
    ]
    return ".".join([*owners[::-1], function.name])


def own(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function's body without those of functions and classes in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


def put(source: Source, node: ast.AST, text: str) -> Place:
    return Place(*source.span(node), text)


def between(source: Source, left: ast.AST, right: ast.AST, old: str, new: str) -> Iterator[Place]:
    """An operator's text between two operands."""
    start, stop = source.span(left)[1], source.span(right)[0]
    gap = source.text[start:stop]
    if gap.count(old) == 1:
        at = start + gap.index(old)
        yield Place(at, at + len(old), new)
