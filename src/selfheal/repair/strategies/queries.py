"""Queries as they stand in Python code, and the lines that run one for many keys."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from selfheal.repair import sql as statement
from selfheal.repair.problem import Problem
from selfheal.repair.source import Function, Source, walk_own
from selfheal.repair.sql import Batched

FIRST_MARK = 0xE000
CHUNK = 500  # SQLite took 999 parameters before 3.32; other databases take more


@dataclass(frozen=True)
class Query:
    """``<runner>.execute(<sql>, (<parameters>))`` and how its rows are fetched.

    `node` is the whole expression that gives one row or all of them; `marks` are the
    texts of what an f-string puts into the statement, by private character.
    """

    source: Source
    node: ast.expr
    runner: ast.expr
    method: str
    sql: str
    parameters: tuple[ast.expr, ...]
    many: bool
    marks: dict[str, str] = field(default_factory=dict)
    resolved: dict[str, str] = field(default_factory=dict)


def queries(problem: Problem, source: Source, nodes: Iterator[ast.AST]) -> Iterator[Query]:
    """The SELECTs with positional parameters among some nodes."""
    for node in nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in ("execute", "query") and len(node.args) == 2 and not node.keywords:
            query = _query(problem, source, node, node.func)
            if query is not None:
                yield query


def _query(
    problem: Problem, source: Source, call: ast.Call, function: ast.Attribute
) -> Query | None:
    read = _text_of(problem, source, call.args[0])
    parameters = call.args[1]
    if read is None or not isinstance(parameters, ast.Tuple | ast.List):
        return None
    text, marks, resolved = read
    if not statement.is_select(text) or statement.placeholders(text) != len(parameters.elts):
        return None
    fetched = _fetched(source, call)
    if fetched is None:
        return None
    node, many = fetched
    return Query(
        source,
        node,
        function.value,
        function.attr,
        text,
        tuple(parameters.elts),
        many,
        marks,
        resolved,
    )


def _fetched(source: Source, call: ast.Call) -> tuple[ast.expr, bool] | None:
    """The expression that gives the rows: fetchone, fetchall, or the cursor looped over."""
    parent = source.parent(call)
    if isinstance(parent, ast.Attribute) and parent.attr in ("fetchone", "fetchall"):
        fetch = source.parent(parent)
        if isinstance(fetch, ast.Call) and not fetch.args:
            return fetch, parent.attr == "fetchall"
    if isinstance(parent, ast.For | ast.comprehension) and parent.iter is call:
        return call, True
    if isinstance(parent, ast.Call) and ast.unparse(parent.func) in ("list", "tuple"):
        return call, True
    return None


def _text_of(
    problem: Problem, source: Source, node: ast.expr
) -> tuple[str, dict[str, str], dict[str, str]] | None:
    """The statement's text; what an f-string puts in becomes one private character each."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value, {}, {}
    if isinstance(node, ast.Name):
        text = constant(problem, source, node.id)
        return (text, {}, {}) if text is not None else None
    if not isinstance(node, ast.JoinedStr):
        return None
    text = ""
    marks: dict[str, str] = {}
    resolved: dict[str, str] = {}
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
        elif isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name):
            mark = chr(FIRST_MARK + len(marks))
            content = constant(problem, source, part.value.id)
            if content is None:
                return None
            marks[mark], resolved[mark] = f"{{{part.value.id}}}", content
            text += mark
        else:
            return None
    return text, marks, resolved


def constant(problem: Problem, source: Source, name: str) -> str | None:
    """The text of a module's constant, looked for where the module imports it from too."""
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            named = any(isinstance(each, ast.Name) and each.id == name for each in node.targets)
            if named and isinstance(node.value.value, str):
                return node.value.value
        if isinstance(node, ast.ImportFrom) and any(each.name == name for each in node.names):
            for other in problem.python():
                module = other.path.removesuffix(".py").replace("/", ".")
                wanted = (node.module or "").split(".")
                if other is not source and module.split(".")[-len(wanted) :] == wanted:
                    return constant(problem, other, name)
    return None


@dataclass(frozen=True)
class Names:
    """The names of the prefetching code, none of which the function knows yet."""

    keys: str
    rows: str
    start: str
    chunk: str
    marks: str
    found: str

    @classmethod
    def fresh(cls, source: Source, function: Function, column: str, rows: str) -> Names:
        bare = column.rpartition(".")[2].strip('"`')

        def name(wish: str) -> str:
            return source.fresh(function, wish)

        return cls(
            name(f"{bare}s" if bare.isidentifier() else "keys"),
            name(rows),
            name("start"),
            name("chunk"),
            name("marks"),
            name("found"),
        )


def fetch_lines(query: Query, batch: Batched, names: Names, keys: str) -> list[str]:
    """The lines that read the rows of all `keys` (an expression) into ``names.rows``."""
    unit = query.source.unit
    written = query.source.segment
    before = [written(query.parameters[index]) for index in batch.kept[: batch.split]]
    after = [written(query.parameters[index]) for index in batch.kept[batch.split :]]
    parameters = ", ".join([*before, f"*{names.chunk}", *after])
    parameters = names.chunk if not before and not after else f"({parameters})"
    key = f'"{batch.column.rpartition(".")[2]}"' if batch.key_index is None else batch.key_index
    row = names.found
    if batch.added and not _named_rows(query) and batch.missing is None:
        row = f"{names.found}[:-1]"
    stored = (
        f"{names.rows}.setdefault({names.found}[{key}], []).append({row})"
        if query.many
        else f"{names.rows}.setdefault({names.found}[{key}], {row})"
    )
    return [
        f"{names.keys} = list(dict.fromkeys({keys}))",
        f"{names.rows} = {{}}",
        f"for {names.start} in range(0, len({names.keys}), {CHUNK}):",
        f"{unit}{names.chunk} = {names.keys}[{names.start} : {names.start} + {CHUNK}]",
        f'{unit}{names.marks} = ", ".join("?" * len({names.chunk}))',
        f"{unit}for {names.found} in {written(query.runner)}.{query.method}(",
        *(f"{unit * 2}{line}" for line in _literal(query, batch, names)),
        f"{unit * 2}{parameters},",
        f"{unit}):",
        f"{unit * 2}{stored}",
    ]


def _named_rows(query: Query) -> bool:
    """Whether rows may be read by column name: then a column more does no harm to them."""
    return "row_factory" in query.source.text or _subscripted_by_name(query)


def _subscripted_by_name(query: Query) -> bool:
    return any(
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
        for function in query.source.functions()
        for node in walk_own(function)
    )


def _literal(query: Query, batch: Batched, names: Names) -> list[str]:
    """The statement as f-strings, one clause a line where it is long."""
    text = f"{_escaped(batch.before)}{{{names.marks}}}{_escaped(batch.after)}"
    if "%s" in query.sql and "?" not in query.sql:
        text = text.replace(f"{{{names.marks}}}", f"{{{names.marks}.replace('?', '%s')}}")
    for mark, written in query.marks.items():
        text = text.replace(mark, written)
    words = " ".join(text.split())
    pieces = [words]
    if len(words) > 70:
        for clause in (" FROM ", " WHERE ", " GROUP BY ", " ORDER BY "):
            pieces = _split_last(pieces, clause)
    lines = [f'f"{piece}"' if "{" in piece else f'"{piece}"' for piece in pieces]
    lines[-1] += ","
    return lines


def _split_last(pieces: list[str], clause: str) -> list[str]:
    head, found, tail = pieces[-1].partition(clause)
    return [*pieces[:-1], head, f"{found}{tail}"] if found else pieces


def _escaped(text: str) -> str:
    for old, new in (("\\", "\\\\"), ('"', '\\"'), ("{", "{{"), ("}", "}}")):
        text = text.replace(old, new)
    return text


def lookup(query: Query, batch: Batched, names: Names, key: str) -> str | None:
    """The expression that takes the place of the query for one key; None if it cannot."""
    parameter = batch.limit_parameter
    limit = None if parameter is None else query.source.segment(query.parameters[parameter])
    limit = str(batch.limit) if batch.limit is not None else limit
    if query.many:
        sliced = f"[:{limit}]" if limit else ""
        default = "()" if isinstance(query.node, ast.Call) and not _is_fetchall(query) else "[]"
        default = "[]" if sliced else default
        return f"{names.rows}.get({key}, {default}){sliced}"
    if limit not in (None, "1"):
        return None
    if batch.missing is None:
        return f"{names.rows}.get({key})"
    row = _missing_row(query, batch)
    return f"{names.rows}.get({key}, {row})" if row else None


def _is_fetchall(query: Query) -> bool:
    return (
        isinstance(query.node, ast.Call)
        and isinstance(query.node.func, ast.Attribute)
        and query.node.func.attr == "fetchall"
    )


def _missing_row(query: Query, batch: Batched) -> str | None:
    """A row for a key without rows, in the shape in which the code reads it."""
    columns = batch.missing or ()
    by_name = _used(query, lambda key: isinstance(key, str))
    by_index = _used(query, lambda key: isinstance(key, int))
    if by_name and not by_index and all(name for name, _ in columns):
        return "{" + ", ".join(f'"{name}": {value}' for name, value in columns) + "}"
    if by_name:
        return None
    return "(" + "".join(f"{value}, " for _, value in columns).rstrip() + ")"


def _used(query: Query, fits: Callable[[object], bool]) -> bool:
    return any(
        isinstance(use, ast.Subscript)
        and isinstance(use.slice, ast.Constant)
        and fits(use.slice.value)
        for use in row_uses(query)
    )


def row_uses(query: Query) -> list[ast.AST]:
    """What the code does with a row: the parents of every place where one is read."""
    source, function = query.source, query.source.function_of(query.node)
    parent = source.parent(query.node)
    if not query.many:
        return _uses_of(source, function, parent, query.node)
    uses: list[ast.AST] = []
    for holder in _list_uses(source, function, parent):
        if isinstance(holder, ast.For | ast.comprehension) and isinstance(holder.target, ast.Name):
            uses += _loads(source, function, holder.target.id)
        else:
            uses.append(holder)
    return uses


def _list_uses(source: Source, function: Function | None, parent: ast.AST | None) -> list[ast.AST]:
    if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
        return _loads(source, function, parent.targets[0].id)
    return [parent] if parent is not None else []


def _uses_of(
    source: Source, function: Function | None, parent: ast.AST | None, node: ast.AST
) -> list[ast.AST]:
    if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
        return _loads(source, function, parent.targets[0].id)
    return [parent if parent is not None else node]


def _loads(source: Source, function: Function | None, name: str) -> list[ast.AST]:
    if function is None:
        return []
    found = [
        source.parent(node)
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
    ]
    return [each for each in found if each is not None]


def width_matters(query: Query) -> bool:
    """Whether the code reads a row as a whole, so that one more column would show."""
    for use in row_uses(query):
        if isinstance(use, ast.Assign | ast.Starred | ast.Compare) and not _is_test(use):
            return True
        if isinstance(use, ast.Call) and ast.unparse(use.func) in ("dict", "tuple", "list", "len"):
            return True
        if isinstance(use, ast.For | ast.comprehension) and isinstance(use.target, ast.Tuple):
            return True
        if isinstance(use, ast.Dict | ast.keyword):
            return True
    return False


def _is_test(use: ast.AST) -> bool:
    return isinstance(use, ast.Compare) and isinstance(use.ops[0], ast.Is | ast.IsNot)
