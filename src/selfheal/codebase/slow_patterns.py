"""Shapes of code whose cost grows with the data, found in the syntax tree.

The shapes are the usual suspects of performance regressions in data-driven services
(Chen et al., "Detecting performance anti-patterns for applications developed using
object-relational mapping", ICSE 2014; Nistor et al., "Toddler", ICSE 2013). A shape
alone accuses nobody: it counts together with measured growth and a change.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, get_args

from selfheal.artifacts.model import Model
from selfheal.codebase.costly_shapes import CostlyShapeName, Shape, costly_shapes
from selfheal.codebase.index import CodeIndex, Definition, FunctionNode, dotted, own_nodes, scopes
from selfheal.codebase.slices import mutated

SlowPatternName = (
    Literal[
        "queries_in_loop",
        "nested_loops",
        "membership_in_list",
        "repeated_call",
        "sort_in_loop",
        "compile_in_loop",
    ]
    | CostlyShapeName
)
# The order in which one is preferred where a function shows several.
PATTERN_ORDER: tuple[SlowPatternName, ...] = (
    "queries_in_loop",
    "nested_loops",
    "membership_in_list",
    "repeated_call",
    "sort_in_loop",
    "compile_in_loop",
    *get_args(CostlyShapeName),
)

LOOPS = (ast.For, ast.AsyncFor, ast.While)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_QUERIES = """
    execute executemany executescript scalar scalars fetch_all fetch_one fetch_val fetchrow
    fetchval select_related prefetch_related get_or_404
"""
QUERY_METHODS = frozenset(_QUERIES.split())
_CHEAP_CALLS = """
    len int str float bool range enumerate zip isinstance issubclass getattr hasattr print
    min max abs round tuple list dict set frozenset super repr id type iter next Decimal
    format ord chr field divmod time monotonic perf_counter now utcnow today uuid4 random
    choice sleep input
"""
CHEAP_CALLS = frozenset(_CHEAP_CALLS.split())
# Methods of the built-in types: too cheap to hoist, or made to be repeated.
_CHEAP_METHODS = """
    append add extend update setdefault get items keys values pop strip lower upper split
    join startswith endswith format replace isoformat copy encode decode insert discard
    remove write info debug warning error exception log isdigit casefold lstrip rstrip count
    index close set_attribute add_event quantize total_seconds fetchone fetchall
"""
CHEAP_METHODS = frozenset(_CHEAP_METHODS.split())


class SlowPattern(Model):
    """One shape at a line; `callee` is the helper through which it works, if any."""

    name: SlowPatternName
    line: int
    loop_line: int
    detail: str
    callee: str | None = None


class _Loop(Model):
    """A loop with the names whose value it changes."""

    line: int
    names: frozenset[str]
    iterates: str


def slow_patterns(
    source: str, qualified_name: str, helpers: Mapping[str, str] | None = None
) -> list[SlowPattern]:
    """The shapes in one function of a file, by line.

    `helpers` maps the called names that lead to a database query (as written in the
    function) to the definition they mean. A file that does not parse has none.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    for name, node, _ in scopes(tree):
        if name == qualified_name and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return patterns_in(node, helpers or {}, tree)
    return []


def patterns_in(
    function: FunctionNode, helpers: Mapping[str, str], tree: ast.Module | None = None
) -> list[SlowPattern]:
    """As `slow_patterns`, of a parsed function; `tree` is its module, for what it imports."""
    lists = _list_names(function)
    found = [
        pattern
        for node, loops in _within_loops(function)
        for pattern in _judge(node, loops, lists, helpers)
    ]
    found += [_of_shape(shape) for shape in costly_shapes(function, tree)]
    unique = {(item.name, item.line, item.detail): item for item in found}
    return sorted(unique.values(), key=lambda item: (item.line, item.name, item.detail))


def query_functions(index: CodeIndex) -> set[tuple[str, str]]:
    """(file, qualified name) of every function that runs a database query, itself or by its callees."""
    asking = {
        (found.file, found.qualified_name)
        for found in index.definitions
        if any(_is_query(call) for call in found.calls)
    }
    edges = {
        (found.file, found.qualified_name): [
            (target.file, target.qualified_name) for target in index.callees(found)
        ]
        for found in index.definitions
        if found.kind != "class"
    }
    grown = True
    while grown:
        more = {caller for caller, called in edges.items() if not asking.isdisjoint(called)}
        grown = not more <= asking
        asking |= more
    return asking


def query_helpers(
    index: CodeIndex, definition: Definition, asking: set[tuple[str, str]]
) -> dict[str, str]:
    """The calls of a function that lead to a query: name as written → qualified name."""
    found = {}
    for call in definition.calls:
        alone = definition.model_copy(update={"calls": [call]})
        for target in index.callees(alone):
            if (target.file, target.qualified_name) in asking:
                found[call] = target.qualified_name
    return found


def _within_loops(function: FunctionNode) -> Iterator[tuple[ast.AST, list[_Loop]]]:
    """Every own node of a function with the loops whose body it is repeated in, outermost first."""

    def visit(node: ast.AST, loops: list[_Loop]) -> Iterator[tuple[ast.AST, list[_Loop]]]:
        yield node, loops
        if isinstance(node, LOOPS):
            yield from _loop_parts(node, loops)
        elif isinstance(node, COMPREHENSIONS):
            yield from _comprehension_parts(node, loops)
        else:
            for child in ast.iter_child_nodes(node):
                if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    yield from visit(child, loops)

    def _loop_parts(
        node: ast.For | ast.AsyncFor | ast.While, loops: list[_Loop]
    ) -> Iterator[tuple[ast.AST, list[_Loop]]]:
        inner = [*loops, _loop(node, node.body)]
        if isinstance(node, ast.While):
            yield from visit(node.test, inner)
        else:
            yield from visit(node.iter, loops)
        for child in node.body:
            yield from visit(child, inner)
        for child in node.orelse:
            yield from visit(child, loops)

    def _comprehension_parts(
        node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, loops: list[_Loop]
    ) -> Iterator[tuple[ast.AST, list[_Loop]]]:
        around = loops
        for generator in node.generators:
            yield from visit(generator.iter, around)
            names = frozenset(_bound([generator.target]))
            iterates = ast.unparse(generator.iter)
            line = generator.iter.lineno
            around = [*around, _Loop(line=line, names=names, iterates=iterates)]
            for condition in generator.ifs:
                yield from visit(condition, around)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for part in parts:
            yield from visit(part, around)

    for statement in function.body:
        yield from visit(statement, [])


def _loop(node: ast.For | ast.AsyncFor | ast.While, body: list[ast.stmt]) -> _Loop:
    heads: list[ast.AST] = [] if isinstance(node, ast.While) else [node.target]
    iterates = "" if isinstance(node, ast.While) else ast.unparse(node.iter)
    names = frozenset(_bound([*heads, *body]))
    return _Loop(line=node.lineno, names=names, iterates=iterates)


def _bound(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The names that change while some nodes run: assigned, or mutated by a method or an item."""
    for node in nodes:
        for found in ast.walk(node):
            if isinstance(found, ast.Name) and isinstance(found.ctx, ast.Store | ast.Del):
                yield found.id
            elif isinstance(found, ast.Subscript | ast.Attribute) and isinstance(
                found.ctx, ast.Store | ast.Del
            ):
                yield dotted(found.value).split(".")[0]
            elif isinstance(found, ast.Call) and (base := mutated(found)):
                yield base


def _judge(
    node: ast.AST, loops: list[_Loop], lists: frozenset[str], helpers: Mapping[str, str]
) -> Iterator[SlowPattern]:
    """The shapes that one node makes inside its loops."""
    if isinstance(node, (*LOOPS, *COMPREHENSIONS)):
        yield from _nested(node, loops)
    if not loops:
        return
    if isinstance(node, ast.Compare):
        yield from _membership(node, loops, lists)
    elif isinstance(node, ast.Call):
        yield from _call(node, loops, helpers)


def _nested(node: ast.AST, loops: list[_Loop]) -> Iterator[SlowPattern]:
    """A loop that runs over a whole collection again for every turn of another loop.

    Looping over a part of the current element (``for line in order.lines``) is linear in
    the data and no match.
    """
    heads: list[tuple[ast.expr, ast.expr]] = []
    if isinstance(node, ast.For | ast.AsyncFor):
        heads = [(node.target, node.iter)]
    elif isinstance(node, COMPREHENSIONS):
        heads = [(generator.target, generator.iter) for generator in node.generators]
    around = list(loops)
    for target, iterable in heads:
        if around and _independent(iterable, around) and not _short(iterable):
            text = ast.unparse(iterable)
            detail = f"loops over {text} inside the loop over {around[-1].iterates}"
            yield _pattern("nested_loops", iterable, around, detail)
        names = frozenset(_bound([target]))
        around.append(_Loop(line=iterable.lineno, names=names, iterates=ast.unparse(iterable)))


def _independent(iterable: ast.expr, loops: list[_Loop]) -> bool:
    """Whether what is looped over is the same collection in every turn of the loops around it."""
    names = {found.id for found in ast.walk(iterable) if isinstance(found, ast.Name)}
    varying = frozenset().union(*(loop.names for loop in loops))
    return bool(names) and names.isdisjoint(varying)


def _short(iterable: ast.expr) -> bool:
    """A range, or a literal written out: its length is no matter of data."""
    if isinstance(iterable, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.Constant):
        return True
    if not isinstance(iterable, ast.Call):
        return False
    constant = all(isinstance(argument, ast.Constant) for argument in iterable.args)
    return dotted(iterable.func) == "range" and constant


def _membership(
    node: ast.Compare, loops: list[_Loop], lists: frozenset[str]
) -> Iterator[SlowPattern]:
    """``x in names`` where `names` is a list: each test walks through it."""
    for operator, right in zip(node.ops, node.comparators, strict=True):
        if not isinstance(operator, ast.In | ast.NotIn):
            continue
        listed = isinstance(right, ast.Name) and right.id in lists
        made = isinstance(right, ast.ListComp) or (
            isinstance(right, ast.Call) and dotted(right.func) in ("list", "sorted")
        )
        if listed or made:
            yield _pattern("membership_in_list", node, loops, f"tests {ast.unparse(node)}")


def _call(node: ast.Call, loops: list[_Loop], helpers: Mapping[str, str]) -> Iterator[SlowPattern]:
    name = dotted(node.func)
    last = name.rpartition(".")[2]
    text = ast.unparse(node)
    asks = name in helpers or _is_query(name)
    cheap = last in CHEAP_CALLS or last in CHEAP_METHODS or "?" in name
    used = {found.id for found in ast.walk(node) if isinstance(found, ast.Name)}
    if asks:
        detail = f"runs a query for each turn: {text}"
        yield _pattern("queries_in_loop", node, loops, detail, helpers.get(name))
    elif name == "sorted" or last == "sort":
        yield _pattern("sort_in_loop", node, loops, f"sorts again for each turn: {text}")
        return
    elif name.startswith("re.") and node.args and not isinstance(node.args[0], ast.Constant):
        yield _pattern("compile_in_loop", node, loops, f"compiles for each turn: {text}")
        return
    if (asks or not cheap) and used.isdisjoint(loops[-1].names):
        yield _pattern("repeated_call", node, loops, f"gives the same for each turn: {text}")


def _pattern(
    name: SlowPatternName,
    node: ast.expr,
    loops: list[_Loop],
    detail: str,
    callee: str | None = None,
) -> SlowPattern:
    return SlowPattern(
        name=name,
        line=node.lineno,
        loop_line=loops[-1].line,
        detail=_shown(detail),
        callee=callee,
    )


def _of_shape(shape: Shape) -> SlowPattern:
    line = shape.node.lineno
    return SlowPattern(
        name=shape.name,
        line=line,
        loop_line=shape.loop.lineno if shape.loop is not None else line,
        detail=_shown(shape.detail),
    )


def _shown(detail: str) -> str:
    shown = " ".join(detail.split())
    return shown if len(shown) <= 200 else f"{shown[:199]}…"


def _list_names(function: FunctionNode) -> frozenset[str]:
    """The local names that hold a list, by what is assigned to them and by annotation."""
    found: set[str] = set()
    others: set[str] = set()
    for node in own_nodes(function):
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            (found if _makes_list(node.value) else others).update(names)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            listed = ast.unparse(node.annotation).lower().startswith("list")
            (found if listed else others).add(node.target.id)
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    for argument in arguments:
        if argument.annotation and ast.unparse(argument.annotation).lower().startswith("list"):
            found.add(argument.arg)
    return frozenset(found - others)


def _makes_list(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.ListComp):
        return True
    name = dotted(value.func) if isinstance(value, ast.Call) else ""
    return name in ("list", "sorted") or name.endswith(".fetchall")


def _is_query(name: str) -> bool:
    return "." in name and name.rpartition(".")[2] in QUERY_METHODS
