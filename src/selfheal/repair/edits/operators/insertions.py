"""Missing statements: copies of what is near, forgotten counting and filling, last flushes."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeGuard

from selfheal.repair.edits.kinds import EMPTY, LIST, NUMBER, SET
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.operators.statements import LOOPS, SIMPLE
from selfheal.repair.edits.site import Site

COPIES = 8


INSERTED = 24


NAMES = 8


def insert(site: Site) -> Iterator[Draft]:
    """A statement is missing: one that the function has elsewhere, or a simple change."""
    source, node = site.source, site.statement
    if not source.insertable(node) or site.scope.function is None:
        return
    others = [
        each
        for each in site.scope.nodes
        if isinstance(each, SIMPLE)
        and not isinstance(each, ast.Return | ast.Pass | ast.Raise)
        and each is not node
        and each.lineno == each.end_lineno
    ]
    others.sort(key=lambda each: abs(each.lineno - node.lineno))
    beside = _beside(site)
    copies = [
        (source.segment(each), 1.2 if each in beside else 0.5)
        for each in [*beside, *others[:COPIES]]
        if each is not node
    ]
    copies += [(text, 0.8) for text in _of_class(site)]
    copies.sort(key=lambda each: each[1])
    found = sorted(dict([*_assigned(site), *copies]).items(), key=lambda each: -each[1])
    for text, weight in found[:INSERTED]:
        wrong = f"lacks the statement `{text}`"
        yield from site.after([text], weight, wrong)
        yield from site.before([text], 0.9 * weight, wrong)


def _of_class(site: Site) -> list[str]:
    """Simple statements about the object in other methods of the class, of names known here."""
    function, own = site.scope.function, site.scope.self_name
    owner = site.source.parent(function) if function is not None else None
    if not isinstance(owner, ast.ClassDef) or not own:
        return []
    readable = set(site.scope.readable)
    found = []
    for method in owner.body:
        if method is function or not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for each in ast.walk(method):
            if _is_small(each):
                names = {node.id for node in ast.walk(each) if isinstance(node, ast.Name)}
                if own in names and names <= readable:
                    found.append(site.source.segment(each))
    return list(dict.fromkeys(found))[:COPIES]


def _beside(site: Site) -> list[ast.stmt]:
    """The simple statements of the other branches of the same condition."""
    outer = site.source.parent(site.statement)
    chain: ast.AST | None = outer
    while isinstance(chain, ast.If) and site.source.is_elif(chain):
        chain = site.source.parent(chain)
    if not isinstance(chain, ast.If):
        return []
    own = set(map(id, site.block))
    found: list[ast.stmt] = [
        each for each in ast.walk(chain) if _is_small(each) and id(each) not in own
    ]
    return found[:COPIES]


def _is_small(node: ast.AST) -> TypeGuard[ast.Assign | ast.AugAssign | ast.Expr]:
    """A simple statement on one line."""
    return (
        isinstance(node, ast.Assign | ast.AugAssign | ast.Expr) and node.lineno == node.end_lineno
    )


def carry(site: Site) -> Iterator[Draft]:
    """A value that a loop compares with, and that no turn of it changes, is carried on."""
    source = site.source
    loop = site.statement if isinstance(site.statement, LOOPS) else site.in_loop
    if not isinstance(loop, LOOPS) or not source.starts_line(loop.body[-1]):
        return
    inside = [node for part in loop.body for node in ast.walk(part)]
    bound = _stored([loop.target, *inside] if not isinstance(loop, ast.While) else inside)
    first = {
        target.id: node.value
        for node in site.scope.nodes
        if isinstance(node, ast.Assign) and node.lineno < loop.lineno
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in [*ast.walk(loop.test), *inside] if isinstance(loop, ast.While) else inside:
        sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        names = [{each.id for each in ast.walk(s) if isinstance(each, ast.Name)} for s in sides]
        for stale in sorted(set().union(*names) & set(first) - bound):
            constant = isinstance(first[stale], ast.Constant) and first[stale].value is not None  # type: ignore[attr-defined]
            for side in names:
                for fresh in sorted(side & bound) if stale not in side else ():
                    text = f"{stale} = {fresh}"
                    splice = source.insert_after(loop.body[-1], [text])
                    yield Draft((splice,), 0.4 if constant else 1.5, f"lacks `{text}`")


def _stored(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that are given values in some nodes."""
    return {
        each.id
        for node in nodes
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)
    }


def flush(site: Site) -> Iterator[Draft]:
    """What a loop gathers and gives on is also given on after the loop."""
    node, source = site.statement, site.source
    if not isinstance(node, LOOPS) or not source.starts_line(node):
        return
    for each in ast.walk(node):
        if not isinstance(each, ast.Expr) or each.lineno != each.end_lineno:
            continue
        value = each.value
        given = value.args[:1] if isinstance(value, ast.Call) else []
        if isinstance(value, ast.Yield) and value.value is not None:
            given = [value.value]
        if not given or not isinstance(given[0], ast.Name):
            continue
        text, name = source.segment(each), source.segment(given[0])
        wrong = f"does not `{text}` for the last time after the loop"
        yield from site.after([f"if {name}:", f"{source.unit}{text}"], 1.0, wrong)
        yield from site.after([text], 0.8, wrong)


def _assigned(site: Site) -> Iterator[tuple[str, float]]:
    """Assignments and calls that change the variables of the function."""
    kinds = site.scope.kinds.names
    near = {each.id for each in ast.walk(site.statement) if isinstance(each, ast.Name)}
    names = [each for each in site.scope.locals if each not in ("self", "cls")]
    names = sorted(names, key=lambda each: each not in near | site.scope.unchanged)[:NAMES]
    grown = _grown(site)
    for name in names:
        if kinds.get(name) == NUMBER:
            weight = 1.5 if name in site.scope.unchanged else 0.5
            yield from ((f"{name} += 1", weight), (f"{name} -= 1", 0.9 * weight))
            yield f"{name} = 0", 0.3
        method = grown.get(name) or {LIST: "append", SET: "add"}.get(kinds.get(name) or "")
        for other in names:
            if other != name:
                if method:
                    yield f"{name}.{method}({other})", 0.45
                yield f"{name} = {other}", 0.25
    yield from _forgotten(site, grown)
    yield from _of_self(site)


def _grown(site: Site) -> dict[str, str]:
    """The method by which each name grows."""
    return {
        site.text(each.func.value): each.func.attr
        for each in site.scope.nodes
        if isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr in ("append", "add")
    }


def _forgotten(site: Site, grown: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """What is asked for in a collection that never grows is to be put into it."""
    for node in site.scope.nodes:
        match node:
            case ast.Compare(
                left=left, ops=[ast.In() | ast.NotIn()], comparators=[ast.Name(id=name)]
            ):
                kind = site.scope.kinds.names.get(name)
                if name in site.scope.parameters or name in grown or kind not in (LIST, SET):
                    continue
                method = "add" if kind == SET else "append"
                yield f"{name}.{method}({site.text(left)})", 1.5


def _of_self(site: Site) -> Iterator[tuple[str, float]]:
    """Attributes that a method sets, counts or fills."""
    own, function = site.scope.self_name, site.scope.function
    if own is None or function is None:
        return
    if function.name == "__init__":
        rest = function.args
        yield "super().__init__()", 0.8
        if rest.kwarg and rest.vararg:
            yield f"super().__init__(*{rest.vararg.arg}, **{rest.kwarg.arg})", 0.9
        elif rest.kwarg:
            yield f"super().__init__(**{rest.kwarg.arg})", 0.9
    for name in site.scope.parameters:
        if name != own:
            yield f"{own}.{name} = {name}", 0.8 if name in site.scope.unread else 0.4
    for name, kind in site.scope.own_attributes.items():
        attribute = f"{own}.{name}"
        if kind == NUMBER:
            weight = 1.5 if name in site.scope.own_unchanged else 0.6
            yield from ((f"{attribute} += 1", weight), (f"{attribute} -= 1", 0.8 * weight))
            yield f"{attribute} = 0", 0.4
        elif kind in EMPTY:
            yield f"{attribute} = {EMPTY[kind]}", 0.3
            for other in site.scope.locals if kind in (LIST, SET) else ():
                method = "append" if kind == LIST else "add"
                if other != own:
                    yield f"{attribute}.{method}({other})", 0.4


OPERATORS = (
    Operator(
        "missing_update",
        0.5,
        carry,
        (OperatorExample("def f(xs):\n    old, n = xs[0], 0\n    last = xs[0]\n    for x in xs[1:]:\n        if x == last + 1:\n            n += 1\n    return n\n", "def f(xs):\n    old, n = xs[0], 0\n    last = xs[0]\n    for x in xs[1:]:\n        if x == last + 1:\n            n += 1\n        last = x\n    return n\n", 5),),
        fits={"": 0.4},
    ),
    Operator(
        "missing_flush",
        0.3,
        flush,
        (OperatorExample("def f(xs):\n    out, part = [], []\n    for x in xs:\n        if x:\n            part.append(x)\n        else:\n            out.append(part)\n            part = []\n    return out\n", "def f(xs):\n    out, part = [], []\n    for x in xs:\n        if x:\n            part.append(x)\n        else:\n            out.append(part)\n            part = []\n    if part:\n        out.append(part)\n    return out\n", 3),),
        fits={"": 0.3},
    ),
    Operator(
        "missing_statement",
        0.12,
        insert,
        (
            OperatorExample("def f(n):\n    i = 0\n    while i < n:\n        g(i)\n    return i\n", "def f(n):\n    i = 0\n    while i < n:\n        g(i)\n        i += 1\n    return i\n", 4),
            OperatorExample("class A:\n    def put(self, k):\n        self.d[k] = k\n        self.d.move_to_end(k)\n\n    def get(self, k):\n        return self.d[k]\n", "class A:\n    def put(self, k):\n        self.d[k] = k\n        self.d.move_to_end(k)\n\n    def get(self, k):\n        self.d.move_to_end(k)\n        return self.d[k]\n", 7),
            OperatorExample("class A:\n    def __init__(self, a, b):\n        self.a = a\n", "class A:\n    def __init__(self, a, b):\n        self.a = a\n        self.b = b\n", 3),
        ),
        fits={"AttributeError": 1.5, "UnboundLocalError": 2.0},
    ),
)  # fmt: skip
