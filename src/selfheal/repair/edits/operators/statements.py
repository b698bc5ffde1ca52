"""Wrong statements: too many, in the wrong order, at the wrong level, of the wrong kind."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.edit import Splice
from selfheal.repair.edits.blocks import (
    around,
    extent,
    guarded_alone,
    insertion,
    last_blocks,
    movable,
    reindented,
    removal,
    text_of,
)
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site
from selfheal.repair.source import LEAVES

SIMPLE = (
    ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return, ast.Raise, ast.Assert,
    ast.Delete, ast.Break, ast.Continue, ast.Pass, ast.Global, ast.Nonlocal,
)  # fmt: skip


LOOPS = ast.For | ast.AsyncFor | ast.While


def shown(site: Site, statement: ast.stmt) -> str:
    """The first line of a statement."""
    return site.text(statement).splitlines()[0][:80]


def delete(site: Site) -> Iterator[Draft]:
    """A statement is left out; of a compound one, its header, or all of it."""
    node, source = site.statement, site.source
    if not movable(source, node) or isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Pass):
        return
    if guarded_alone(source, node, site.block):
        return
    wrong = f"has the statement `{shown(site, node)}` too many"
    weight = 1.0 if isinstance(node, SIMPLE) else 0.5
    if isinstance(node, ast.Assign | ast.AnnAssign):
        weight = 0.6
    yield Draft((removal(source, [node], site.block),), weight, wrong)
    if isinstance(node, ast.If | ast.With | ast.Try | ast.For | ast.While):
        inner = node.body
        if movable(source, inner[0]):
            start, stop = extent(source, [node])
            text = reindented(source, inner, source.indent(node))
            splice = Splice(path=source.path, start=start, stop=stop, text=text)
            yield Draft((splice,), 0.5, f"has `{shown(site, node)}` around it too many")
        other = getattr(node, "orelse", [])
        if other and movable(source, other[0]):
            start, stop = extent(source, [node])
            text = reindented(source, other, source.indent(node))
            splice = Splice(path=source.path, start=start, stop=stop, text=text)
            yield Draft((splice,), 0.3, f"has `{shown(site, node)}` around it too many")


def swap(site: Site) -> Iterator[Draft]:
    """A statement before the one above it, or below the next one; to the start of its block."""
    node, source = site.statement, site.source
    if not movable(source, node):
        return
    for step in (-1, 1):
        other = site.neighbour(step)
        if other is None or not movable(source, other):
            continue
        first, second = (other, node) if step < 0 else (node, other)
        start, middle = extent(source, [first])
        later, stop = extent(source, [second])
        text = text_of(source, [second]) + source.text[middle:later] + text_of(source, [first])
        splice = Splice(path=source.path, start=start, stop=stop, text=text)
        dead = isinstance(second, LEAVES)
        weight = 0.2 if dead else 1.0
        yield Draft((splice,), weight, f"does `{shown(site, first)}` too early")
    position = site.block.index(node)
    for place in range(position - 1):
        target = site.block[place]
        if movable(source, target) and position - place <= 6:
            start = extent(source, [target])[0]
            put = Splice(path=source.path, start=start, stop=start, text=text_of(source, [node]))
            gone = removal(source, [node], site.block)
            yield Draft((put, gone), 0.4, f"does `{shown(site, node)}` too late")
    for place in range(position + 2, min(position + 6, len(site.block))):
        gone = removal(source, [node], site.block)
        put = insertion(source, site.block[place], text_of(source, [node]))
        yield Draft((gone, put), 0.4, f"does `{shown(site, node)}` too early")


def dedent(site: Site) -> Iterator[Draft]:
    """A statement, or all from it on, out of its block: after or before what holds it."""
    source, node = site.source, site.statement
    if guarded_alone(source, node, site.block):
        return
    rest = list(site.block[site.block.index(node) :])
    current: ast.stmt = node
    for depth in range(2):
        outer = around(source, current)
        if outer is None or not movable(source, node) or source.is_elif(outer):
            return
        current = outer
        weight = 1.0 if depth == 0 else 0.5
        for group in [rest, [node]] if len(rest) > 1 else [[node]]:
            text = reindented(source, group, source.indent(outer))
            gone = removal(source, group, site.block)
            wrong = f"does `{shown(site, node)}` one level too deep"
            end = gone.stop == source.next_line(outer)
            if end and gone.text == "":
                moved = gone.model_copy(update={"text": text})
                yield Draft((moved,), weight, wrong)
            else:
                yield Draft((gone, insertion(source, outer, text)), weight * 0.9, wrong)
        start = extent(source, [outer])[0]
        text = reindented(source, [node], source.indent(outer))
        put = Splice(path=source.path, start=start, stop=start, text=text)
        wrong = f"does `{shown(site, node)}` within `{shown(site, outer)}`"
        yield Draft((put, removal(source, [node], site.block)), 0.5 * weight, wrong)


def indent(site: Site) -> Iterator[Draft]:
    """A statement, or all from it on, into the block above it, or at its start."""
    source, node = site.source, site.statement
    above = site.neighbour(-1)
    if above is None or not movable(source, node):
        return
    rest = list(site.block[site.block.index(node) :])
    blocks = last_blocks(above)
    for depth, block in enumerate(blocks):
        if not source.starts_line(block[-1]):
            return
        wrong = f"does `{shown(site, node)}` outside of `{shown(site, above)}`"
        for group in [[node], rest] if len(rest) > 1 else [[node]]:
            start, stop = extent(source, group)
            text = reindented(source, group, source.indent(block[-1]))
            if len(group) == len(rest) and not source.text[start:stop].endswith("\n"):
                text = text.rstrip("\r\n")
            splice = Splice(path=source.path, start=start, stop=stop, text=text)
            yield Draft((splice,), 1.0 / (1 + depth), wrong)
    body = getattr(above, "body", None)
    if body and getattr(above, "orelse", None) and movable(source, body[-1]):
        put = insertion(source, body[-1], reindented(source, [node], source.indent(body[-1])))
        gone = removal(source, [node], site.block)
        yield Draft((put, gone), 0.5, f"does `{shown(site, node)}` outside of the branch")


def keyword(site: Site) -> Iterator[Draft]:
    """``if`` for ``while`` or ``elif``, one way of leaving for another."""
    node, source = site.statement, site.source
    start, stop = source.span(node)

    def becomes(old: str, new: str, weight: float) -> Draft:
        splice = Splice(path=source.path, start=start, stop=start + len(old), text=new)
        return Draft((splice,), weight, f"has `{old}` where `{new}` was meant")

    if isinstance(node, ast.While) and not node.orelse:
        yield becomes("while", "if", 0.7)
    elif isinstance(node, ast.If):
        if source.is_elif(node):
            if not node.orelse:
                yield becomes("elif", "if", 0.6)
        else:
            if not node.orelse:
                yield becomes("if", "while", 1.0)
            above = site.neighbour(-1)
            if isinstance(above, ast.If) and not _has_else(above):
                yield becomes("if", "elif", 0.7)
    elif isinstance(node, ast.Break | ast.Continue | ast.Pass) or (
        isinstance(node, ast.Return) and node.value is None
    ):
        old = source.text[start:stop]
        choices = ["break", "continue"] if site.in_loop else []
        choices += ["return", *(f"return {text}" for text in site.scope.returned[:4]), "pass"]
        for rank, new in enumerate(choices):
            if new != old:
                yield becomes(old, new, 1.0 / (1 + 0.2 * rank))
    elif isinstance(node, ast.Return) and site.in_loop:
        old = source.text[start:stop]
        yield becomes(old, "break", 0.3)
        yield becomes(old, "continue", 0.5)


def _has_else(node: ast.If) -> bool:
    while node.orelse:
        if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
            return True
        node = node.orelse[0]
    return False


def leave(site: Site) -> Iterator[Draft]:
    """``break``, ``continue`` or a return is missing after a statement of a branch or loop."""
    node = site.statement
    outer = around(site.source, node)
    if outer is None or isinstance(node, LEAVES):
        return
    last = site.neighbour(1) is None
    choices = ["break", "continue"] if site.in_loop else []
    choices += [f"return {text}" for text in site.scope.returned[:4] if "\n" not in text]
    choices += ["return"] if not site.scope.returned else []
    for rank, text in enumerate(choices):
        weight = (1.0 if last else 0.4) / (1 + 0.25 * rank)
        yield from site.after([text], weight, f"goes on where it should `{text}`")


OPERATORS = (
    Operator(
        "extra_statement",
        0.35,
        delete,
        (
            OperatorExample("def f(a):\n    a += 1\n    return a\n", "def f(a):\n    return a\n", 2),
            OperatorExample("def f(a):\n    if a:\n        g()\n    return a\n", "def f(a):\n    g()\n    return a\n", 2),
            OperatorExample("def f(a):\n    if a:\n        g()\n    return a\n", "def f(a):\n    if a:\n        pass\n    return a\n", 3),
        ),
        fits={"": 0.8},
    ),
    Operator(
        "statement_order",
        0.4,
        swap,
        (
            OperatorExample("def f(a):\n    g(a)\n    a += 1\n    return a\n", "def f(a):\n    a += 1\n    g(a)\n    return a\n", 2),
            OperatorExample("def f(a):\n    b(a)\n    c(a)\n    d(a)\n    return a\n", "def f(a):\n    d(a)\n    b(a)\n    c(a)\n    return a\n", 4),
        ),
        fits={"UnboundLocalError": 2.0, "NameError": 1.5, "": 0.8},
    ),
    Operator(
        "too_deep",
        0.45,
        dedent,
        (
            OperatorExample("def f(xs):\n    n = 0\n    for x in xs:\n        n += x\n        return n\n", "def f(xs):\n    n = 0\n    for x in xs:\n        n += x\n    return n\n", 5),
            OperatorExample("def f(xs):\n    for x in xs:\n        seen = []\n        seen.append(x)\n    return seen\n", "def f(xs):\n    seen = []\n    for x in xs:\n        seen.append(x)\n    return seen\n", 3),
        ),
        fits={"UnboundLocalError": 1.5, "": 0.7},
    ),
    Operator(
        "too_shallow",
        0.4,
        indent,
        (OperatorExample("def f(xs, out):\n    for x in xs:\n        y = x\n    out.append(y)\n    return out\n", "def f(xs, out):\n    for x in xs:\n        y = x\n        out.append(y)\n    return out\n", 4),),
        fits={"UnboundLocalError": 1.2, "": 0.7},
    ),
    Operator(
        "keyword",
        0.5,
        keyword,
        (
            OperatorExample("def f(n):\n    if n > 9:\n        n -= 9\n    return n\n", "def f(n):\n    while n > 9:\n        n -= 9\n    return n\n", 2),
            OperatorExample("def f(xs):\n    for x in xs:\n        break\n", "def f(xs):\n    for x in xs:\n        continue\n", 3),
            OperatorExample("def f(n):\n    if n > 9:\n        n = 2\n    if n > 1:\n        n = 1\n    return n\n", "def f(n):\n    if n > 9:\n        n = 2\n    elif n > 1:\n        n = 1\n    return n\n", 4),
        ),
        fits={"": 0.6},
    ),
    Operator(
        "missing_exit",
        0.35,
        leave,
        (OperatorExample("def f(xs):\n    for x in xs:\n        if x:\n            y = x\n    return y\n", "def f(xs):\n    for x in xs:\n        if x:\n            y = x\n            break\n    return y\n", 4),),
        fits={"": 0.6},
    ),
)  # fmt: skip
