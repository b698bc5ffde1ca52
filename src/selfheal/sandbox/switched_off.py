"""Whether a small edit heals by having code not run any more.

Edits that make tests pass by taking functionality away are the commonest wrong repairs (Qi
et al., "An analysis of patch plausibility and correctness", ISSTA 2015). A branch that is put
before code, or around it, and behind which no test of the suite goes any more, is one of them:
nothing tells whether the code would still do what it is for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from selfheal.sandbox.changes import ChangedFile

LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
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
        for branch, behind in _branches(file.after or "", added):
            lines = [ran[line] for each in behind for line in _lines(each) if line in ran]
            if lines and not any(lines):
                found.append(f"{file.path}:{branch.lineno}")
    return found


def _branches(text: str, added: frozenset[int]) -> Iterator[tuple[ast.If, Sequence[ast.stmt]]]:
    """The added conditions with the statements that they keep from being run."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            found = getattr(node, name, None)
            block: list[ast.stmt] = found if isinstance(found, list) else []
            for place, each in enumerate(block):
                if not isinstance(each, ast.If) or each.lineno not in added or each.orelse:
                    continue
                leaves = isinstance(each.body[-1], LEAVES)
                yield each, block[place + 1 :] if leaves else each.body


def _lines(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)
