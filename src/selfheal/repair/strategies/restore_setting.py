"""A setting of the whole process that a call changes is put back when the call ends."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from selfheal.codebase.index import dotted
from selfheal.codebase.leaks import kept_settings, late_restores
from selfheal.repair.blocks import block_of, enclosed, following, removed_lines, replaced_lines
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.source import Source
from selfheal.repair.state import Owned, accused, edit, state_strategy
from selfheal.repair.strategies.base import Example, import_splices

NAME = "restore_setting"


class _Change(NamedTuple):
    """The lines in place of the statement, and those of a ``finally``; none where ``with`` does it."""

    lines: list[str]
    last: list[str]
    imports: list[Splice]


def propose(problem: Problem) -> Iterator[Edit]:
    for owned in accused(problem, "setting_kept"):
        yield from _sheltered(owned)
        for statement, name in kept_settings(owned.function):
            change = _change(owned, statement)
            rest = following(owned.source, statement)
            if change is None or not rest:
                continue
            splices = _around(owned.source, statement, rest, change)
            if splices is not None:
                yield edit(
                    owned,
                    NAME,
                    "finally" if change.last else "with",
                    f"{name} is put back when the call ends, also where it fails.",
                    0.85,
                    splices,
                    setting=name,
                )


def _sheltered(owned: Owned) -> Iterator[Edit]:
    """What is put back at the end of the block is put back in a ``finally``."""
    source = owned.source
    for change, later in late_restores(owned.function):
        block = block_of(source, change)
        body = block[block.index(change) + 1 : block.index(later)]
        gone, text = removed_lines(source, later), source.segment(later)
        tail = ["finally:", f"{source.unit}{text}"]
        around = enclosed(source, body, ["try:"], tail) if "\n" not in text else None
        if gone is not None and around is not None:
            name = text.partition(" =")[0]
            yield edit(
                owned,
                NAME,
                "shelter",
                f"{name} is put back also where the code between fails.",
                0.85,
                [*around, gone],
                setting=name,
            )


def _around(
    source: Source, statement: ast.stmt, rest: list[ast.stmt], change: _Change
) -> list[Splice] | None:
    lines = [*change.lines, "try:"] if change.last else change.lines
    opened = replaced_lines(source, statement, lines)
    tail = ["finally:", *(f"{source.unit}{line}" for line in change.last)] if change.last else None
    around = enclosed(source, rest, [], tail)
    if opened is None or around is None:
        return None
    return [opened, *(each for each in around if each.text), *change.imports]


def _change(owned: Owned, statement: ast.stmt) -> _Change | None:
    source = owned.source
    text = source.segment(statement)
    if "\n" in text:
        return None
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return _call(owned, statement.value, text)
    if not isinstance(statement, ast.Assign) or len(statement.targets) > 1:
        return None
    target = statement.targets[0]
    if isinstance(target, ast.Attribute):
        name = source.fresh(owned.function, "context")
        value = source.segment(statement.value)
        if "getcontext" in value:
            return None
        lines = [
            f"with decimal.localcontext() as {name}:",
            f"{source.unit}{name}.{target.attr} = {value}",
        ]
        return _Change(lines, [], import_splices(source, "decimal"))
    if isinstance(target, ast.Subscript):
        return _environment(owned, source.segment(target.slice), text)
    return None


def _environment(owned: Owned, key: str, text: str) -> _Change:
    source = owned.source
    name = source.fresh(owned.function, "previous")
    return _Change(
        [f"{name} = os.environ.get({key})", text],
        [
            f"if {name} is None:",
            f"{source.unit}os.environ.pop({key}, None)",
            "else:",
            f"{source.unit}os.environ[{key}] = {name}",
        ],
        [],
    )


def _call(owned: Owned, call: ast.Call, text: str) -> _Change | None:
    source = owned.source
    name = source.fresh(owned.function, "previous")
    called = dotted(call.func)
    arguments = [source.segment(each) for each in call.args]
    if called == "os.chdir":
        imports = import_splices(source, "contextlib")
        return _Change([f"with contextlib.chdir({arguments[0]}):"], [], imports)
    if called == "warnings.simplefilter":
        return _Change(["with warnings.catch_warnings():", f"{source.unit}{text}"], [], [])
    if called == "os.umask":
        return _Change([f"{name} = {text}"], [f"os.umask({name})"], [])
    if called == "random.seed":
        return _Change([f"{name} = random.getstate()", text], [f"random.setstate({name})"], [])
    if called == "locale.setlocale" and len(arguments) == 2:
        saved = f"{name} = locale.setlocale({arguments[0]})"
        return _Change([saved, text], [f"locale.setlocale({arguments[0]}, {name})"], [])
    return None


STRATEGY = state_strategy(
    NAME,
    propose,
    Example(
        before="import os\n\n\ndef listed(folder):\n    os.chdir(folder)\n"
        "    return sorted(os.listdir())\n",
        after="import contextlib\nimport os\n\n\ndef listed(folder):\n"
        "    with contextlib.chdir(folder):\n        return sorted(os.listdir())\n",
        line=5,
    ),
    Example(
        before='import os\n\n\ndef run(task, zone):\n    os.environ["TZ"] = zone\n'
        "    return task()\n",
        after='import os\n\n\ndef run(task, zone):\n    previous = os.environ.get("TZ")\n'
        '    os.environ["TZ"] = zone\n    try:\n        return task()\n    finally:\n'
        '        if previous is None:\n            os.environ.pop("TZ", None)\n        else:\n'
        '            os.environ["TZ"] = previous\n',
        line=5,
    ),
    Example(
        before="def quietly(log, job):\n    level = log.level\n    log.level = 40\n"
        "    done = job()\n    log.level = level\n    return done\n",
        after="def quietly(log, job):\n    level = log.level\n    log.level = 40\n    try:\n"
        "        done = job()\n    finally:\n        log.level = level\n    return done\n",
        line=3,
    ),
    Example(
        before="import decimal\n\n\ndef share(total, parts):\n    decimal.getcontext().prec = 4\n"
        "    return decimal.Decimal(total) / parts\n",
        after="import decimal\n\n\ndef share(total, parts):\n"
        "    with decimal.localcontext() as context:\n        context.prec = 4\n"
        "        return decimal.Decimal(total) / parts\n",
        line=5,
    ),
)
