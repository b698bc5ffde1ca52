"""One half of a suite is shown to the loop, the other is kept back to grade what it made."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator

from selfheal.repair import Splice
from selfheal.repair.edit import spliced
from selfheal.repair.source import FUNCTIONS, Function, Source, first_line


def visible_half(path: str, text: str, seed: int) -> str:
    """The test file without the test functions that are hidden; by name, the same each time."""
    source = Source(path, text)
    splices = []
    for owner, function in _tests(source.tree, ""):
        digest = hashlib.sha256(f"{seed}:{path}:{owner}{function.name}".encode()).digest()
        if digest[0] % 2:
            continue
        start = source.line_start(first_line(function))
        indent = source.indent(function)
        kept = f"{indent}pass{source.newline}" if owner else ""
        splices.append(Splice(path=path, start=start, stop=source.next_line(function), text=kept))
    return spliced(text, splices)


def _tests(node: ast.AST, owner: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS) and child.name.startswith("test"):
            yield owner, child
        elif isinstance(child, ast.ClassDef):
            yield from _tests(child, f"{owner}{child.name}.")
