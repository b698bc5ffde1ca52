"""Tests that are kept from the loop, so that it is graded by what it has not seen."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence

from selfheal.artifacts.canonical import canonical_bytes, sha256_of
from selfheal.repair.edit import Splice, spliced
from selfheal.repair.source import FUNCTIONS, Function, Source, first_line, parse


def held_out(failing: Iterable[str], seed: int) -> list[str]:
    """Half of the failing tests (node ids), drawn by `seed`; none where only one fails.

    Parametrisations of one test stay together, as they are one function.
    """
    functions = sorted({name.partition("[")[0] for name in failing})
    drawn = sorted(functions, key=lambda name: sha256_of(canonical_bytes([seed, name])))
    return sorted(drawn[: len(drawn) // 2])


def without_tests(texts: Mapping[str, str], hidden: Sequence[str]) -> dict[str, str]:
    """The test files that hold `hidden`, without those functions."""
    names: dict[str, set[str]] = {}
    for node_id in hidden:
        path, _, name = node_id.partition("::")
        names.setdefault(path, set()).add(name)
    return {
        path: _without(source, names[path])
        for path in sorted(names)
        if path in texts and (source := parse(path, texts[path])) is not None
    }


def _without(source: Source, names: set[str]) -> str:
    splices = []
    for function in source.functions():
        owner = source.parent(function)
        if _name(source, function) not in names or not isinstance(function, FUNCTIONS):
            continue
        start = source.line_start(first_line(function))
        kept = f"{source.indent(function)}pass{source.newline}" if owner is not source.tree else ""
        stop = source.next_line(function)
        splices.append(Splice(path=source.path, start=start, stop=stop, text=kept))
    return spliced(source.text, splices)


def _name(source: Source, function: Function) -> str:
    owners = [each.name for each in source.ancestors(function) if isinstance(each, ast.ClassDef)]
    return "::".join([*reversed(owners), function.name])
