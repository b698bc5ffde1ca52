"""Whether a small edit heals by having code not run any more.

Edits that make tests pass by taking functionality away are the commonest wrong repairs (Qi
et al., "An analysis of patch plausibility and correctness", ISSTA 2015). A branch that is put
before code, or around it, and behind which no test of the suite goes any more, is one of them:
nothing tells whether the code would still do what it is for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from selfheal.repair.source import LEAVES, blocks_of, last_line, parse
from selfheal.sandbox.changes import ChangedFile

Ran = Mapping[int, bool]


def switched_off(files: Sequence[ChangedFile], coverage: Mapping[str, Ran]) -> list[str]:
    """``file:line`` of the conditions that a patch adds and behind which no test goes.

    `coverage` maps files, as they are with the patch, to their executable lines and whether
    the whole suite runs them.
    """
    found = []
    for file in files:
        if file.role != "code" or not file.path.endswith(".py") or file.path not in coverage:
            continue
        ran, added = coverage[file.path], frozenset(file.added_lines)
        for branch, behind in _branches(file.path, file.after or "", added):
            lines = [ran[line] for each in behind for line in _lines(each) if line in ran]
            if lines and not any(lines):
                found.append(f"{file.path}:{branch.lineno}")
    return found


def _branches(
    path: str, text: str, added: frozenset[int]
) -> Iterator[tuple[ast.If, Sequence[ast.stmt]]]:
    """The added conditions with the statements that they keep from being run."""
    source = parse(path, text)
    for node in ast.walk(source.tree) if source is not None else ():
        for block in blocks_of(node):
            for place, each in enumerate(block):
                if isinstance(each, ast.If) and each.lineno in added and not each.orelse:
                    leaves = isinstance(each.body[-1], LEAVES)
                    yield each, block[place + 1 :] if leaves else each.body


def _lines(node: ast.stmt) -> range:
    return range(node.lineno, last_line(node) + 1)
