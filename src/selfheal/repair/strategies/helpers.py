"""A helper that queries for one key, called in a loop: its twin for many keys."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from selfheal.repair.edit import Edit, Splice, spliced
from selfheal.repair.loops import Loop, key_of_turn, materialized, plural
from selfheal.repair.problem import Problem
from selfheal.repair.source import Function, Source, is_plain, last_line, walk_own
from selfheal.repair.sql import batched
from selfheal.repair.strategies.queries import (
    Names,
    Query,
    fetch_lines,
    lookup,
    queries,
    width_matters,
)

NAME = "batch_queries"
_BLOCKS = (ast.For, ast.AsyncFor, ast.While, ast.Try, ast.AsyncWith)


@dataclass(frozen=True)
class Helper:
    """A function of the project that runs queries; `own_file` if the loop is in its file."""

    source: Source
    function: Function
    queries: tuple[Query, ...]


@dataclass(frozen=True)
class _Key:
    """Which parameter of the helper varies, and the expression for it in a turn."""

    parameter: str
    text: str
    argument: ast.expr


def helper_calls(problem: Problem, loop: Loop) -> Iterator[tuple[ast.Call, Helper]]:
    """The calls in a loop of plain functions that query the database."""
    for node in loop.nodes():
        if isinstance(node, ast.Call) and not node.keywords:
            helper = _resolved(problem, loop.source, node.func)
            if helper is not None:
                yield node, helper


def _resolved(problem: Problem, source: Source, called: ast.expr) -> Helper | None:
    """The one module-level function of that name, here or where it is imported from."""
    if isinstance(called, ast.Name):
        name, origins = called.id, [source, *_imported_from(problem, source, called.id)]
    elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        name, origins = called.attr, _modules(problem, called.value.id)
    else:
        return None
    for origin in origins:
        for function in origin.tree.body:
            if isinstance(function, ast.FunctionDef) and function.name == name:
                found = tuple(queries(problem, origin, walk_own(function)))
                return Helper(origin, function, found) if found else None
    return None


def _imported_from(problem: Problem, source: Source, name: str) -> list[Source]:
    for node in source.tree.body:
        if isinstance(node, ast.ImportFrom) and any(
            each.name == name and each.asname is None for each in node.names
        ):
            return _modules(problem, (node.module or "").rpartition(".")[2])
    return []


def _modules(problem: Problem, name: str) -> list[Source]:
    found = [
        each
        for each in problem.python()
        if each.path.endswith((f"/{name}.py", f"/{name}/__init__.py")) or each.path == f"{name}.py"
    ]
    return found if len(found) == 1 else []


def batch_helper(
    problem: Problem, loop: Loop, call: ast.Call, helper: Helper, factor: float
) -> Edit | None:
    """The twin of a helper after it, one call of the twin before the loop, and the look-up."""
    del problem
    key = _key(loop, call, helper)
    if key is None or helper.function is loop.function:
        return None
    twin = f"{helper.function.name}_by_{key.parameter}"
    if any(each.name == twin for each in helper.source.functions()):
        return None
    body = _twin(helper, key, twin)
    if body is None:
        return None
    source = loop.source
    generators, lines, splices = materialized(loop, _list_name(loop))
    base = helper.function.name.removeprefix("get_").strip("_")
    wish = plural(base.removesuffix("_of").removesuffix("_for"))
    results = source.fresh(loop.function, wish)
    called, imports = _called(loop, call, helper, twin)
    arguments = ", ".join(
        f"[{key.text} {generators}]" if each is key.argument else source.segment(each)
        for each in call.args
    )
    lines.append(f"{results} = {called}({arguments})")
    unsure = any(width_matters(query) for query in helper.queries)
    return Edit(
        strategy=NAME,
        template="prefetch_helper",
        explanation=f"In {loop.function.name}, {twin} reads what {helper.function.name} read "
        f"for each turn of the loop, for every `{key.text}` with one query.",
        fit=round((0.65 if unsure else 0.85) * factor, 6),
        parameters={"helper": helper.function.name, "parameter": key.parameter},
        splices=[
            helper.source.insert_after(helper.function, body, indent=""),
            *imports,
            loop.prepare(lines),
            *splices,
            source.replace(call, f"{results}[{key.text}]"),
        ],
    )


def _key(loop: Loop, call: ast.Call, helper: Helper) -> _Key | None:
    parameters = [each.arg for each in helper.function.args.args]
    if len(parameters) < len(call.args) or helper.function.args.vararg:
        return None
    varying = [index for index, each in enumerate(call.args) if not loop.invariant(each)]
    if len(varying) != 1:
        return None
    argument = call.args[varying[0]]
    text = key_of_turn(loop, argument)
    return _Key(parameters[varying[0]], text, argument) if text is not None else None


def _list_name(loop: Loop) -> str:
    return plural(loop.target.id) if isinstance(loop.target, ast.Name) else "elements"


def _called(loop: Loop, call: ast.Call, helper: Helper, twin: str) -> tuple[str, list[Splice]]:
    """How the loop's file calls the twin, with the import that it needs."""
    source = loop.source
    if isinstance(call.func, ast.Attribute):
        return f"{source.segment(call.func.value)}.{twin}", []
    if helper.source is source:
        return twin, []
    for node in source.tree.body:
        if isinstance(node, ast.ImportFrom) and any(
            each.name == helper.function.name for each in node.names
        ):
            dots = "." * node.level
            line = f"from {dots}{node.module or ''} import {twin}"
            return twin, [source.insert_after(node, [line])]
    return twin, []


def _twin(helper: Helper, key: _Key, twin: str) -> list[str] | None:
    """The lines of the twin, two blank lines before it; None where the body is too rich."""
    source, function = helper.source, helper.function
    if source.indent(function) or not _simple(function):
        return None
    unit = source.unit
    keys = source.fresh(function, plural(key.parameter))
    results = source.fresh(function, "results")
    fetched: list[str] = []
    splices: list[Splice] = []
    for number, query in enumerate(helper.queries, start=1):
        positions = [i for i, each in enumerate(query.parameters) if _is(each, key.parameter)]
        others = [each for each in query.parameters if not _is(each, key.parameter)]
        known = {each.arg for each in function.args.args} - {key.parameter}
        if len(positions) != 1 or not all(_reads_only(each, known) for each in others):
            return None
        batch = batched(query.sql, positions[0], resolved=query.resolved)
        if batch is None or not _reads_only(query.runner, known):
            return None
        wish = "rows" if number == 1 else f"rows_{number}"
        names = Names.fresh(source, function, f"{key.parameter}_key", wish)
        replaced = lookup(query, batch, names, key.parameter)
        if replaced is None:
            return None
        fetched += fetch_lines(query, batch, names, keys)
        splices.append(source.replace(query.node, replaced))
    body = _per_key(helper, splices, f"{results}[{key.parameter}]")
    if body is None:
        return None
    kind = next(each.annotation for each in function.args.args if each.arg == key.parameter)
    typed = source.segment(kind) if kind is not None else None
    signature = [
        (f"{keys}: list[{typed}]" if typed else keys)
        if each.arg == key.parameter
        else source.segment(each)
        for each in function.args.args
    ]
    given = source.segment(function.returns) if typed and function.returns else None
    returns = f" -> dict[{typed}, {given}]" if given else ""
    return [
        "",
        "",
        f"def {twin}({', '.join(signature)}){returns}:",
        f'{unit}"""`{function.name}` for many `{key.parameter}`, as a dictionary by it."""',
        *(f"{unit}{line}" for line in fetched),
        f"{unit}{results} = {{}}",
        f"{unit}for {key.parameter} in dict.fromkeys({keys}):",
        *(f"{unit}{line}" if line else "" for line in body),
        f"{unit}return {results}",
    ]


def _simple(function: Function) -> bool:
    """Only what can run in a loop: no loops of its own around a return, no yield, no await."""
    for node in walk_own(function):
        if isinstance(node, ast.Yield | ast.YieldFrom | ast.Await | ast.Global | ast.Nonlocal):
            return False
        if isinstance(node, _BLOCKS) and any(
            isinstance(each, ast.Return) for each in ast.walk(node)
        ):
            return False
    return any(isinstance(node, ast.Return) and node.value for node in walk_own(function))


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _reads_only(node: ast.expr, known: set[str]) -> bool:
    """A constant, or an expression of the helper's other parameters."""
    return is_plain(node) and all(
        each.id in known for each in ast.walk(node) if isinstance(each, ast.Name)
    )


def _per_key(helper: Helper, splices: list[Splice], slot: str) -> list[str] | None:
    """The helper's body for one key: a return stores its value and goes on."""
    source, function = helper.source, helper.function
    body = list(function.body)
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    if not body or not all(source.starts_line(statement) for statement in body):
        return None
    final = body[-1]
    for node in walk_own(function):
        if not isinstance(node, ast.Return):
            continue
        if node.value is None or not source.starts_line(node):
            return None
        start, _ = source.span(node)
        value_start, _ = source.span(node.value)
        splices.append(Splice(path=source.path, start=start, stop=value_start, text=f"{slot} = "))
        if node is not final:
            splices.append(source.insert_after(node, ["continue"]))
    begin, end = source.line_start(body[0].lineno), source.next_line(final)
    own = [
        each.model_copy(update={"start": each.start - begin, "stop": each.stop - begin})
        for each in splices
    ]
    text = spliced(source.text[begin:end], own)
    if last_line(final) > final.lineno and '"""' in text:
        return None  # lines of a text must not be moved in
    return [line.rstrip("\r") for line in text.rstrip("\r\n").split("\n")]
