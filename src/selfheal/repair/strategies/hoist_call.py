"""A call that gives the same in each turn is made once before the loop, or once for each argument.

Loop-invariant code motion (Aho, Lam, Sethi, Ullman, "Compilers", 9.1) and memoization.
Whether a call is free of effects cannot be proven here: names that speak of effects,
time or chance are left alone, and validation has the last word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from selfheal.repair.edit import Edit, Splice
from selfheal.repair.loops import Loop, loops, outer_loops
from selfheal.repair.problem import Problem
from selfheal.repair.source import Source, is_plain, names_bound
from selfheal.repair.strategies.base import Example, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "hoist_call"
_EFFECTS = re.compile(
    r"(^|_)(append|add|extend|insert|update|pop|remove|discard|clear|write|save|send|delete|put|"
    r"post|commit|rollback|print|log|debug|info|warning|error|exception|next|read|random|choice|"
    r"shuffle|randint|uuid\d?|now|today|time|perf_counter|sleep|set|close|open|execute|fetch\w*|"
    r"setdefault|add_event|set_attribute|start\w*|begin)($|_)",
    re.IGNORECASE,
)
_CHEAP = frozenset(
    [
        "len",
        "int",
        "str",
        "float",
        "bool",
        "range",
        "enumerate",
        "zip",
        "isinstance",
        "getattr",
        "hasattr",
        "min",
        "max",
        "abs",
        "round",
        "tuple",
        "list",
        "dict",
        "set",
        "frozenset",
        "repr",
        "super",
        "type",
        "id",
        "iter",
        "divmod",
        "Decimal",
        "ord",
        "chr",
        "format",
        "strip",
        "lower",
        "upper",
        "split",
        "join",
        "startswith",
        "endswith",
        "replace",
        "items",
        "keys",
        "values",
        "get",
        "isoformat",
        "sum",
        "any",
        "all",
        "map",
        "filter",
        "reversed",
    ]
)


def has_effect(call: ast.Call) -> bool:
    """Whether the name of what is called speaks of an effect, of time or of chance."""
    return bool(_EFFECTS.search(ast.unparse(call.func).rpartition(".")[2]))


def propose(problem: Problem) -> Iterator[Edit]:
    patterns = ("", "repeated_call", "sort_in_loop", "compile_in_loop", "queries_in_loop")
    if problem.slow_pattern not in patterns:
        return
    for source, function, factor in scope(problem):
        every = loops(source, function)
        for loop in every:
            enclosing = [*outer_loops(loop, every), loop]
            invariant = [each for each in _calls(loop, every) if loop.invariant(each)]
            if invariant:
                yield _hoisted(enclosing, invariant, factor)
                for call in invariant if len(invariant) > 1 else ():
                    yield _hoisted(enclosing, [call], factor * 0.95)
            for call in _calls(loop, every):
                if not loop.invariant(call):
                    # Where something is the same in each turn, that is the likelier cause.
                    likely = not invariant and problem.slow_pattern == "repeated_call"
                    edit = _remembered(loop, call, factor if likely else 0.5 * factor)
                    if edit is not None:
                        yield edit


def _calls(loop: Loop, every: list[Loop]) -> list[ast.Call]:
    """The outermost calls of a turn that may cost something and have no visible effect."""
    inner = {
        id(node)
        for other in every
        if other.node is not loop.node and any(each is other.node for each in loop.nodes())
        for node in other.nodes()
    }
    found: list[ast.Call] = []
    covered: set[int] = set()
    for node in loop.nodes():
        if not isinstance(node, ast.Call) or id(node) in covered or id(node) in inner:
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        fetch = name in ("fetchone", "fetchall")
        quiet = not _EFFECTS.search(name) or fetch
        if not quiet or name in _CHEAP or "\n" in loop.source.segment(node):
            continue
        if isinstance(loop.source.parent(node), ast.Expr | ast.Await):
            continue
        if _assigns_inside(node):
            continue
        found.append(node)
        covered |= {id(each) for each in ast.walk(node)}
    return found


def _assigns_inside(node: ast.Call) -> bool:
    return any(isinstance(each, ast.NamedExpr | ast.Yield | ast.Await) for each in ast.walk(node))


def _hoisted(enclosing: list[Loop], calls: list[ast.Call], factor: float) -> Edit:
    """Each distinct call before the outermost loop that does not change what it reads."""
    source = enclosing[0].source
    function = enclosing[0].function
    if len(calls) == 1 and _movable(enclosing[-1], calls[0]):
        return _moved(enclosing, calls[0], factor)
    names: dict[str, str] = {}
    splices: list[Splice] = []
    lines: dict[int, tuple[Loop, list[str]]] = {}
    for call in calls:
        text = source.segment(call)
        if text not in names:
            wish = _result_name(source, call)
            taken = set(names.values())
            name = source.fresh(function, wish)
            while name in taken:
                name = f"{name}_2"
            names[text] = name
            loop = next(each for each in enclosing if _free(enclosing, each, call))
            lines.setdefault(id(loop), (loop, []))[1].append(f"{name} = {text}")
        splices.append(source.replace(call, names[text]))
    splices += [loop.prepare(prepared) for loop, prepared in lines.values()]
    shown = ", ".join(f"`{text}`" for text in names)
    return Edit(
        strategy=NAME,
        template="hoist",
        explanation=f"In {function.name}, {shown} is computed once before the loop.",
        fit=round(0.85 * factor, 6),
        parameters={"calls": sorted(names)},
        splices=splices,
    )


def _movable(loop: Loop, call: ast.Call) -> bool:
    """``name = call`` on a line of its own, the only binding of the name in the loop."""
    statement = loop.source.statement(call)
    if not isinstance(statement, ast.Assign) or statement.value is not call:
        return False
    target = statement.targets[0]
    bound = [
        node
        for node in loop.nodes()
        if isinstance(node, ast.Name)
        and isinstance(target, ast.Name)
        and node.id == target.id
        and not isinstance(node.ctx, ast.Load)
    ]
    alone = statement.lineno == statement.end_lineno and len(statement.targets) == 1
    block = loop.source.parent(statement)
    others = len(getattr(block, "body", ())) > 1
    return alone and others and len(bound) == 1 and loop.source.insertable(statement)


def _moved(enclosing: list[Loop], call: ast.Call, factor: float) -> Edit:
    """The statement goes before the loop as it is."""
    source = enclosing[0].source
    statement = source.statement(call)
    loop = next(each for each in enclosing if _free(enclosing, each, call))
    line = Splice(
        path=source.path,
        start=source.line_start(statement.lineno),
        stop=source.next_line(statement),
        text="",
    )
    text = source.segment(statement)
    return Edit(
        strategy=NAME,
        template="hoist",
        explanation=f"In {loop.function.name}, `{text}` is done once before the loop.",
        fit=round(0.9 * factor, 6),
        parameters={"calls": [source.segment(call)]},
        splices=[loop.prepare([text]), line],
    )


def _free(enclosing: list[Loop], loop: Loop, call: ast.Call) -> bool:
    """Whether a call reads nothing that this loop or one inside of it changes."""
    return all(each.invariant(call) for each in enclosing[enclosing.index(loop) :])


def _result_name(source: Source, call: ast.Call) -> str:
    """The name that the statement gives to the result, else one made of the function's name."""
    parent = source.parent(call)
    if isinstance(parent, ast.keyword) and parent.arg:
        return parent.arg
    name = ast.unparse(call.func).rpartition(".")[2].strip("_")
    for prefix in ("get_", "load_", "compute_", "find_", "fetch_", "read_", "make_", "list_"):
        name = name.removeprefix(prefix)
    if name in ("fetchone", "fetchall"):
        return "row" if name == "fetchone" else "rows"
    return f"{name}_once" if name.isidentifier() else "result"


def _remembered(loop: Loop, call: ast.Call, factor: float) -> Edit | None:
    """``y = f(x)`` in a turn asks a dictionary first, and calls once for each distinct `x`."""
    source = loop.source
    varying = [each for each in call.args if not loop.invariant(each)]
    statement = source.statement(call)
    if len(varying) != 1 or call.keywords or not is_plain(varying[0]):
        return None
    if not loop.invariant(call.func) or not isinstance(loop.node, ast.For):
        return None
    if not isinstance(call.func, ast.Name | ast.Attribute) or not source.insertable(statement):
        return None
    if names_bound(statement) & {
        each.id for each in ast.walk(varying[0]) if isinstance(each, ast.Name)
    }:
        return None
    name = source.fresh(loop.function, f"{ast.unparse(call.func).rpartition('.')[2]}_known")
    key = source.segment(varying[0])
    text = source.segment(call)
    lines = [f"if {key} not in {name}:", f"{source.unit}{name}[{key}] = {text}"]
    return Edit(
        strategy=NAME,
        template="remember",
        explanation=f"In {loop.function.name}, `{text}` is computed once for each `{key}`.",
        fit=round(0.6 * factor, 6),
        parameters={"call": ast.unparse(call.func)},
        splices=[
            loop.prepare([f"{name} = {{}}"]),
            source.insert_before(statement, lines),
            source.replace(call, f"{name}[{key}]"),
        ],
    )


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before="def prices(db, items, currency):\n    found = []\n    for item in items:\n"
        "        found.append(item.cents * rate(db, currency))\n    return found\n",
        after="def prices(db, items, currency):\n    found = []\n"
        "    rate_once = rate(db, currency)\n    for item in items:\n"
        "        found.append(item.cents * rate_once)\n    return found\n",
        line=4,
        evidence={"slow_pattern": "repeated_call"},
    ),
    Example(
        before="def prices(db, items):\n    found = []\n    for item in items:\n"
        "        factor = rate(db, item.currency)\n        found.append(item.cents * factor)\n"
        "    return found\n",
        after="def prices(db, items):\n    found = []\n    rate_known = {}\n"
        "    for item in items:\n        if item.currency not in rate_known:\n"
        "            rate_known[item.currency] = rate(db, item.currency)\n"
        "        factor = rate_known[item.currency]\n"
        "        found.append(item.cents * factor)\n    return found\n",
        line=4,
        evidence={"slow_pattern": "repeated_call"},
    ),
)
