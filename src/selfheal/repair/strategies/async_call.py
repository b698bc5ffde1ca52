"""A call that blocks in a coroutine waits without holding up the others.

``time.sleep`` becomes ``asyncio.sleep``, other waiting goes to a thread (asyncio's
documentation, "Running Blocking Code").
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.costly_shapes import blocking_calls
from selfheal.repair.costs import asked
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.source import Source
from selfheal.repair.strategies.base import Example, import_splices, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "async_call"


def propose(problem: Problem) -> Iterator[Edit]:
    if not asked(problem, "blocking_call"):
        return
    for source, function, factor in scope(problem):
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        splices: list[Splice] = []
        names: list[str] = []
        for call, full in blocking_calls(function, source.tree):
            if _may_await(source, call):
                splices.append(source.replace(call, _awaited(source, call, full)))
                names.append(full)
        if splices:
            yield Edit(
                strategy=NAME,
                template=NAME,
                explanation=f"In {function.name}, {', '.join(sorted(set(names)))} no longer "
                "blocks the event loop.",
                fit=round(0.9 * factor, 6),
                parameters={"calls": sorted(set(names))},
                splices=[*import_splices(source, "asyncio"), *splices],
            )


def _may_await(source: Source, call: ast.Call) -> bool:
    """Not within a lambda or a generator, which are no part of the coroutine, nor within another."""
    for each in source.ancestors(call):
        if isinstance(each, ast.Lambda | ast.GeneratorExp | ast.Call | ast.Await):
            return False
        if isinstance(each, ast.stmt):
            return True
    return True


def _awaited(source: Source, call: ast.Call, full: str) -> str:
    written = [source.segment(each) for each in (*call.args, *call.keywords)]
    if full == "time.sleep":
        text = f"await asyncio.sleep({', '.join(written)})"
    else:
        text = f"await asyncio.to_thread({', '.join([source.segment(call.func), *written])})"
    parent = source.parent(call)
    tight = isinstance(parent, ast.Attribute | ast.Subscript | ast.BinOp | ast.Starred)
    return f"({text})" if tight else text


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before="import subprocess\nimport time\n\n\nasync def poll(command):\n"
        "    time.sleep(0.1)  # let it start\n"
        "    return subprocess.run(command, check=True).returncode\n",
        after="import asyncio\nimport subprocess\nimport time\n\n\nasync def poll(command):\n"
        "    await asyncio.sleep(0.1)  # let it start\n"
        "    return (await asyncio.to_thread(subprocess.run, command, check=True)).returncode\n",
        line=6,
        evidence={"slow_pattern": "blocking_call"},
    ),
)
