"""What a function opens is closed when it leaves, also where it fails: by ``with`` (PEP 343)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.index import dotted, own_nodes
from selfheal.codebase.leaks import unclosed
from selfheal.repair.blocks import (
    block_of,
    enclosed,
    following,
    removed_lines,
    replaced_lines,
    uses,
)
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.source import Source
from selfheal.repair.state import Owned, accused, edit, state_strategy
from selfheal.repair.strategies.base import Example, import_splices

NAME = "close_resource"
# What leaves a file to be read later, when it would be closed already.
_LAZY = frozenset({"csv.reader", "csv.DictReader", "map", "filter", "iter", "enumerate", "zip"})


def propose(problem: Problem) -> Iterator[Edit]:
    for owned in accused(problem, "unclosed_resource"):
        for call in unclosed(owned.function):
            yield from _closed(owned, call)
        yield from _locked(owned)


def _closed(owned: Owned, call: ast.Call) -> Iterator[Edit]:
    source = owned.source
    statement = source.statement(call)
    text = source.segment(call)
    if "\n" in text or not source.insertable(statement):
        return
    head, imports = _opened(source, call, text)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if isinstance(statement, ast.Assign) and statement.value is call:
        if not isinstance(target, ast.Name):
            return
        splices = _rest_enclosed(source, statement, target.id, f"with {head} as {target.id}:")
    else:
        name = source.fresh(owned.function, _wish(call))
        if _reads_late(statement):
            return
        around = enclosed(source, [statement], [f"with {head} as {name}:"])
        splices = None if around is None else [*around, source.replace(call, name)]
    if splices is not None:
        yield edit(
            owned,
            NAME,
            "with",
            f"`{text}` is closed in any case.",
            0.9,
            [*splices, *imports],
            opens=dotted(call.func),
        )


def _opened(source: Source, call: ast.Call, text: str) -> tuple[str, list[Splice]]:
    """A connection of SQLite ends its transaction at the end of ``with``, and stays open."""
    if dotted(call.func) != "sqlite3.connect":
        return text, []
    return f"contextlib.closing({text})", import_splices(source, "contextlib")


def _wish(call: ast.Call) -> str:
    name = dotted(call.func)
    return {"sqlite3.connect": "connection", "socket.socket": "connection"}.get(name, "file")


def _rest_enclosed(
    source: Source, statement: ast.Assign, name: str, head: str
) -> list[Splice] | None:
    """The rest of the block, as far as it knows the name, goes into the ``with``."""
    rest = following(source, statement)
    last = max((at for at, each in enumerate(rest) if _concerns(rest, at, name)), default=None)
    if last is None:
        return None
    body = rest[: last + 1]
    if any(_reads_late(each) for each in body if isinstance(each, ast.Return)):
        return None
    closing = [
        each
        for each in body
        if isinstance(each, ast.Expr) and ast.unparse(each) == f"{name}.close()"
    ]
    kept = [each for each in body if each not in closing]
    removed = [removed_lines(source, each) for each in closing]
    opened = replaced_lines(source, statement, [head])
    if not kept or opened is None or any(each is None for each in removed):
        return None
    around = enclosed(source, kept, [])
    if around is None:
        return None
    gone = [each for each in removed if each is not None]
    moved = [each for each in around if not any(g.start <= each.start < g.stop for g in gone)]
    return [opened, *(each for each in moved if each.text), *gone]


def _concerns(rest: list[ast.stmt], at: int, name: str) -> bool:
    """Whether a statement uses the name, or something made from it before."""
    derived = {name}
    for each in rest[:at]:
        if not isinstance(each, ast.Assign) or _read_at_once(each.value, name):
            continue
        if any(uses([each], known) for known in derived):
            derived |= {node.id for node in each.targets if isinstance(node, ast.Name)}
    return any(uses([rest[at]], known) for known in derived)


def _read_at_once(value: ast.expr, name: str) -> bool:
    """Whether a value is read out of the file, and does not need it any more."""
    return any(
        isinstance(node, ast.Call)
        and ast.unparse(node.func) in (f"{name}.read", f"{name}.readlines")
        for node in ast.walk(value)
    )


def _reads_late(statement: ast.stmt) -> bool:
    """Whether what a statement gives back may still read the file when it is closed."""
    if not isinstance(statement, ast.Return | ast.Assign):
        return False
    value = statement.value
    if isinstance(value, ast.GeneratorExp):
        return True
    return isinstance(value, ast.Call) and dotted(value.func) in _LAZY


def _locked(owned: Owned) -> Iterator[Edit]:
    """``lock.acquire() … lock.release()`` in one block → ``with lock:``."""
    source = owned.source
    for node in own_nodes(owned.function):
        if not isinstance(node, ast.Expr) or not ast.unparse(node).endswith(".acquire()"):
            continue
        lock = ast.unparse(node).removesuffix(".acquire()")
        block = block_of(source, node)
        start = block.index(node)
        released = [
            at
            for at, each in enumerate(block)
            if at > start + 1
            and isinstance(each, ast.Expr)
            and ast.unparse(each) == f"{lock}.release()"
        ]
        if len(released) != 1:
            continue
        opened = replaced_lines(source, node, [f"with {lock}:"])
        gone = removed_lines(source, block[released[0]])
        around = enclosed(source, block[start + 1 : released[0]], [])
        if opened is None or gone is None or around is None:
            continue
        yield edit(
            owned,
            NAME,
            "lock",
            f"{lock} is released in any case.",
            0.85,
            [opened, *(each for each in around if each.text), gone],
            opens=lock,
        )


STRATEGY = state_strategy(
    NAME,
    propose,
    Example(
        before="def words(path):\n    file = open(path)\n    text = file.read()  # all\n"
        "    file.close()\n    return text.split()\n",
        after="def words(path):\n    with open(path) as file:\n        text = file.read()  # all\n"
        "    return text.split()\n",
        line=2,
    ),
    Example(
        before="import json\n\n\ndef load(path):\n    return json.load(open(path))\n",
        after="import json\n\n\ndef load(path):\n    with open(path) as file:\n"
        "        return json.load(file)\n",
        line=5,
    ),
    Example(
        before="def longest(path):\n    best = ''\n    for line in open(path):\n"
        "        best = max(best, line, key=len)\n    return best\n",
        after="def longest(path):\n    best = ''\n    with open(path) as file:\n"
        "        for line in file:\n            best = max(best, line, key=len)\n    return best\n",
        line=3,
    ),
    Example(
        before="def book(lock, rows, row):\n    lock.acquire()\n    rows.append(row)\n"
        "    lock.release()\n    return len(rows)\n",
        after="def book(lock, rows, row):\n    with lock:\n        rows.append(row)\n"
        "    return len(rows)\n",
        line=2,
    ),
)
