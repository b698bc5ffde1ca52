"""Of a query whose result is cut afterwards, the database gives only the rows that are used.

``fetchall()[:n]`` → ``LIMIT n``. Where the bound is no number but a variable, the cut stays
beside the limit, so that a negative bound means what it meant; it must be an int. Statements
that lock, limit or number their rows themselves are refused.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from selfheal.codebase.costly_shapes import reads_of
from selfheal.codebase.index import own_nodes
from selfheal.codebase.mutation import defaults_of
from selfheal.repair.costs import asked
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.source import Function, Source, names_bound
from selfheal.repair.sql import is_select, placeholders
from selfheal.repair.strategies.base import Example, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "limit_query"
_REFUSED = re.compile(r"\b(LIMIT|OFFSET|FETCH|FOR|INTO|TOP|ROWNUM|RETURNING)\b|--|;", re.IGNORECASE)
_ORDERED = re.compile(r"\bORDER\s+BY\b", re.IGNORECASE)


def propose(problem: Problem) -> Iterator[Edit]:
    if not asked(problem, "unlimited_query"):
        return
    for source, function, factor in scope(problem):
        for node in own_nodes(function):
            edit = None
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
                edit = _limited(source, function, node.value, [node], factor)
            elif isinstance(node, ast.Assign):
                edit = _assigned(source, function, node, factor)
            if edit is not None:
                yield edit


def _assigned(source: Source, function: Function, node: ast.Assign, factor: float) -> Edit | None:
    """``rows = ….fetchall()``, of which the same part is taken wherever it is read."""
    target = node.targets[0]
    if len(node.targets) > 1 or not isinstance(target, ast.Name):
        return None
    bound = [
        each
        for each in own_nodes(function)
        if isinstance(each, ast.Name) and each.id == target.id and isinstance(each.ctx, ast.Store)
    ]
    parts = []
    for each in reads_of(function, target.id):
        if not isinstance(each, ast.Subscript) or not isinstance(each.slice, ast.Slice):
            return None
        parts.append(each)
    if len(bound) != 1 or not parts or len({ast.unparse(each.slice) for each in parts}) > 1:
        return None
    return _limited(source, function, node.value, parts, factor)


def _limited(
    source: Source, function: Function, fetched: ast.expr, parts: list[ast.Subscript], factor: float
) -> Edit | None:
    execute = _execute_of(fetched)
    part = parts[0].slice
    if execute is None or not isinstance(part, ast.Slice) or part.step is not None:
        return None
    sql = execute.args[0]
    if not isinstance(sql, ast.Constant) or not isinstance(sql.value, str):
        return None
    if not is_select(sql.value) or _REFUSED.search(sql.value):
        return None
    constant = _constant_limit(part)
    if constant is not None:
        splices = [_ended(source, sql, f" LIMIT {constant}")]
        if part.lower is None:
            splices += [_uncut(source, each) for each in parts]
    else:
        found = _parameter(source, function, execute, part.upper, sql.value)
        if found is None:
            return None
        splices = [_ended(source, sql, f" LIMIT {found[0]}"), found[1]]
    shown = source.segment(part.upper) if part.upper is not None else ""
    return Edit(
        strategy=NAME,
        template="constant" if constant is not None else "parameter",
        explanation=f"In {function.name}, the database gives the first {shown} rows, not all.",
        fit=round((0.9 if _ORDERED.search(sql.value) else 0.7) * factor, 6),
        splices=splices,
    )


def _execute_of(fetched: ast.expr) -> ast.Call | None:
    """The ``execute(…)`` of ``….execute(…).fetchall()``."""
    if not isinstance(fetched, ast.Call) or not isinstance(fetched.func, ast.Attribute):
        return None
    call = fetched.func.value
    if fetched.func.attr != "fetchall" or fetched.args or not isinstance(call, ast.Call):
        return None
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "execute":
        return None
    return call if 1 <= len(call.args) <= 2 and not call.keywords else None


def _constant_limit(part: ast.Slice) -> int | None:
    """How many rows are needed at the most, if that is written out."""
    upper, lower = part.upper, part.lower
    if not isinstance(upper, ast.Constant) or type(upper.value) is not int or upper.value < 0:
        return None
    if lower is None or (isinstance(lower, ast.Constant) and type(lower.value) is int):
        return upper.value
    return None


def _ended(source: Source, sql: ast.Constant, text: str) -> Splice:
    """Text at the end of a string literal, before its white space and its closing quotes."""
    written = source.segment(sql)
    quotes = 3 if written.endswith(('"""', "'''")) else 1
    stop = source.span(sql)[1] - quotes
    start = stop
    while source.text[start - 1].isspace():
        start -= 1
    return Splice(path=source.path, start=start, stop=start, text=text)


def _uncut(source: Source, node: ast.Subscript) -> Splice:
    """The ``[:n]`` taken off."""
    start, stop = source.span(node.value)[1], source.span(node)[1]
    return Splice(path=source.path, start=start, stop=stop, text="")


def _parameter(
    source: Source, function: Function, execute: ast.Call, upper: ast.expr | None, sql: str
) -> tuple[str, Splice] | None:
    """The placeholder's style, and the bound as one more parameter; the cut itself stays."""
    if not isinstance(upper, ast.Name) or not _is_number(function, upper.id):
        return None
    if _bound_later(source, function, execute, upper):
        return None
    percent = "%s" in sql
    shown = source.segment(upper)
    if len(execute.args) == 1:
        where = source.span(execute.args[0])[1]
        if percent or placeholders(sql):
            return None
        return "?", Splice(path=source.path, start=where, stop=where, text=f", ({shown},)")
    parameters = execute.args[1]
    if not isinstance(parameters, ast.Tuple | ast.List) or not parameters.elts:
        return None
    if placeholders(sql) != len(parameters.elts) and not percent:
        return None
    where = source.span(parameters.elts[-1])[1]
    return (
        "%s" if percent else "?",
        Splice(path=source.path, start=where, stop=where, text=f", {shown}"),
    )


def _is_number(function: Function, name: str) -> bool:
    """Whether a name is an int by annotation, by its default, or by all that is assigned to it."""
    for argument in (each for each in ast.walk(function.args) if isinstance(each, ast.arg)):
        if argument.arg == name:
            annotated = argument.annotation is not None and ast.unparse(argument.annotation)
            return annotated == "int" or _default_is_number(function, name)
    values = [
        node.value
        for node in own_nodes(function)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    ]
    return bool(values) and all(_gives_number(value) for value in values)


def _default_is_number(function: Function, name: str) -> bool:
    return any(
        argument.arg == name and isinstance(value, ast.Constant) and type(value.value) is int
        for argument, value in defaults_of(function)
    )


def _gives_number(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return type(value.value) is int
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name):
        return False
    named = value.func.id in ("min", "max")
    return value.func.id in ("int", "len") or (named and all(map(_gives_number, value.args)))


def _bound_later(source: Source, function: Function, execute: ast.Call, upper: ast.Name) -> bool:
    """Whether the bound gets its value only after the query was run."""
    name = upper.id
    line = source.statement(execute).lineno
    return any(
        isinstance(node, ast.stmt) and node.lineno >= line and name in names_bound(node)
        for node in own_nodes(function)
    )


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before='def newest(db):\n    rows = db.execute("SELECT * FROM orders ORDER BY id").fetchall()\n'
        "    return [row[0] for row in rows[:20]]\n",
        after='def newest(db):\n    rows = db.execute("SELECT * FROM orders ORDER BY id LIMIT 20")'
        ".fetchall()\n    return [row[0] for row in rows]\n",
        line=2,
        evidence={"slow_pattern": "unlimited_query"},
    ),
    Example(
        before='def newest(db, shop, count=20):\n    return db.execute(\n        """\n'
        '        SELECT * FROM orders WHERE shop = ? ORDER BY id\n        """,\n'
        "        (shop,),\n    ).fetchall()[:count]\n",
        after='def newest(db, shop, count=20):\n    return db.execute(\n        """\n'
        '        SELECT * FROM orders WHERE shop = ? ORDER BY id LIMIT ?\n        """,\n'
        "        (shop, count,),\n    ).fetchall()[:count]\n",
        line=2,
        evidence={"slow_pattern": "unlimited_query"},
    ),
)
