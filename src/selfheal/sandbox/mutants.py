"""Whether the tests that come with a fix would notice if the fix were a little different.

Small faults are made in the lines that a patch changes, one at a time, and the new tests
are run in a fork with each: mutation testing (DeMillo, Lipton and Sayward, "Hints on test
data selection", 1978; the operators are the sufficient set of Offutt et al., 1996, and the
removal of a statement). A mutant that no test notices may be one that means the same, so
survivors are told and do not condemn.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import Field

from selfheal.artifacts import Model
from selfheal.config import TestsConfig
from selfheal.repair import Edit, Splice
from selfheal.repair.source import Source, last_line, parse
from selfheal.sandbox.changes import ChangedFile
from selfheal.sandbox.forkserver import ForkServer, ServerEnded, started
from selfheal.sandbox.runner import is_among
from selfheal.sandbox.search_plan import Planner

T = TypeVar("T")

AT_MOST = 40
LEAST_SECONDS, FACTOR = 1.0, 10.0

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*",
}  # fmt: skip
_REMOVABLE = (ast.Assign, ast.AugAssign, ast.Expr, ast.Raise, ast.Continue, ast.Break)


class Mutants(Model):
    """`survivors` are ``file:line: what``; `unavailable` says why nothing was tried."""

    killed: int = 0
    total: int = 0
    survivors: list[str] = Field(default_factory=list)
    unavailable: str = ""


class Lines(NamedTuple):
    """Lines of a file of code in which faults are made, by their numbers."""

    path: str
    text: str
    numbers: frozenset[int]


def changed_lines(files: Iterable[ChangedFile]) -> list[Lines]:
    """The lines of code that a patch adds or changes."""
    return [
        Lines(file.path, file.after, frozenset(file.added_lines))
        for file in files
        if file.role == "code" and file.path.endswith(".py") and file.after is not None
    ]


def function_lines(checkout: Path, path: str, name: str, line: int) -> Lines | None:
    """The lines of a function in a checkout; None where it is not there."""
    try:
        text = (checkout / path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    source = parse(path, text)
    found = source.function_at(line, name.rpartition(".")[2]) if source else None
    if found is None:
        return None
    return Lines(path, text, frozenset(range(found.lineno, last_line(found) + 1)))


def mutants_of(places: Iterable[Lines]) -> list[Edit]:
    """The mutants of some lines, in the order of their places."""
    found: list[Edit] = []
    for place in places:
        try:
            source = Source(place.path, place.text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(source.tree):
            if getattr(node, "lineno", 0) in place.numbers:
                found += _of_node(source, node)
    return sorted(found, key=lambda each: (each.splices[0].path, each.splices[0].start))


def count_killed(
    worktree: Path,
    tests: TestsConfig,
    select: Sequence[str],
    places: Sequence[Lines],
    *,
    memory_megabytes: int,
) -> Mutants:
    """How many mutants of these lines the tests of `select` (node ids) notice, in a checkout.

    Only faults within functions can be tried in a fork. Of many mutants a fixed choice
    over all lines is tried. Never raises for what the project does.
    """
    texts: dict[str, str | None] = {place.path: place.text for place in places}
    planner = Planner(texts)
    planned = [(each, planner.plan(each).functions) for each in mutants_of(places)]
    tried = _spread([(edit, functions) for edit, functions in planned if functions])
    if not tried or not select:
        return Mutants(unavailable="no such line of a function has a mutant" if select else "")
    modules = sorted({test.partition("::")[0] for test in select})
    server = ForkServer(worktree, tests, select=modules, memory_megabytes=memory_megabytes)
    survivors: list[str] = []
    killed = 0
    try:
        server = started(server, select)
        with server:
            wanted = [name for name in server.collected if is_among(name, list(select))]
            sound = server.ask([(name, 30.0) for name in wanted], survey=True)
            if {ran.outcome for ran in sound.results} != {"passed"}:
                return Mutants(unavailable="the tests do not pass in a fork")
            limits = [(ran.test, max(LEAST_SECONDS, FACTOR * ran.seconds)) for ran in sound.results]
            for edit, functions in tried:
                reply = server.ask(limits, functions)
                if reply.ended.startswith(("unfit", "error")):
                    continue
                if reply.ended == "done" and all(ran.outcome == "passed" for ran in reply.results):
                    survivors.append(_told(edit, texts))
                else:
                    killed += 1
    except ServerEnded:
        return Mutants(unavailable="the tests cannot be run in forks")
    return Mutants(killed=killed, total=killed + len(survivors), survivors=survivors)


def _spread(items: list[T]) -> list[T]:
    if len(items) <= AT_MOST:
        return items
    return [items[number * len(items) // AT_MOST] for number in range(AT_MOST)]


def _told(edit: Edit, texts: Mapping[str, str | None]) -> str:
    splice = edit.splices[0]
    line = (texts[splice.path] or "")[: splice.start].count("\n") + 1
    return f"{splice.path}:{line}: {edit.template}"


def _of_node(source: Source, node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from _between(source, node.left, node.comparators[0], _COMPARISONS[type(node.ops[0])])
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield from _between(source, node.left, node.right, _ARITHMETIC[type(node.op)])
    elif isinstance(node, ast.BoolOp):
        other = "or" if isinstance(node.op, ast.And) else "and"
        yield from _between(source, node.values[0], node.values[1], other)
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        text = source.segment(node.test)
        yield _edit(source, node.test, f"not ({text})", "the condition negated")
    elif isinstance(node, ast.Constant):
        yield from _of_constant(source, node)
    elif isinstance(node, ast.Return) and node.value is not None:
        is_none = isinstance(node.value, ast.Constant) and node.value.value is None
        if not is_none:
            yield _edit(source, node.value, "None", "None returned")
    elif isinstance(node, _REMOVABLE) and not _is_text(node):
        yield _edit(source, node, "pass", "the statement removed")


def _of_constant(source: Source, node: ast.Constant) -> Iterator[Edit]:
    if source.segment(node) != str(node.value):
        return
    if isinstance(node.value, bool):
        yield _edit(source, node, str(not node.value), f"{not node.value}")
    elif isinstance(node.value, int):
        yield _edit(source, node, str(node.value + 1), f"{node.value + 1}")


def _between(source: Source, left: ast.expr, right: ast.expr, operator: str) -> Iterator[Edit]:
    """The operator between two operands exchanged, where it is all that stands there."""
    start, stop = source.span(left)[1], source.span(right)[0]
    between = source.text[start:stop]
    if "(" in between or ")" in between or "\n" in between or "#" in between:
        return
    splice = Splice(path=source.path, start=start, stop=stop, text=f" {operator} ")
    yield _mutant(splice, f"{between.strip()} becomes {operator}")


def _edit(source: Source, node: ast.AST, text: str, told: str) -> Edit:
    start, stop = source.span(node)
    return _mutant(Splice(path=source.path, start=start, stop=stop, text=text), told)


def _mutant(splice: Splice, told: str) -> Edit:
    return Edit(strategy="mutant", template=told, explanation="", fit=0.0, splices=[splice])


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
