"""A value that is shared where it was to be copied."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.edits.kinds import DICT, LIST, SET
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site
from selfheal.repair.strategies.base import import_splices

_COPIES = {
    LIST: ("list({})", "{}[:]", "{}.copy()"),
    DICT: ("dict({})", "{}.copy()"),
    SET: ("set({})", "{}.copy()"),
    None: ("{}.copy()", "list({})", "dict({})", "{}[:]", "set({})"),
}


def copy_first(site: Site) -> Iterator[Draft]:
    """What is stored, returned, passed on or looped over is copied."""
    for node in site.loads(ast.Name, ast.Attribute, ast.Subscript):
        weight = _shared(site, node)
        if not weight:
            continue
        text = site.text(node)
        kind = site.scope.kinds.of(node)
        wrong = f"shares `{text}` where a copy was meant"
        for rank, pattern in enumerate(_COPIES.get(kind, _COPIES[None])):
            yield site.draft(node, pattern.format(text), weight / (1 + 0.2 * rank), wrong)
        deep = f"copy.deepcopy({text})"
        splices = (*import_splices(site.source, "copy"), site.replace(node, deep))
        yield Draft(splices, 0.4 * weight, wrong)


def _shared(site: Site, node: ast.expr) -> float:
    """How likely a value is to be shared by mistake at its place; 0 where it is not shared."""
    if site.scope.kinds.of(node) not in (None, LIST, DICT, SET, "collection"):
        return 0
    parent = site.parent(node)
    match parent:
        case ast.Assign():
            return 1.0 if isinstance(node, ast.Name | ast.Attribute) else 0.5
        case ast.Return() | ast.Yield():
            return 0.7 if isinstance(node, ast.Attribute) else 0.3
        case ast.For() if node is parent.iter:
            return 0.6
        case ast.Call(func=ast.Attribute(attr="append" | "add" | "insert" | "put" | "setdefault")):
            return 1.0 if node in parent.args else 0
        case ast.Call() if node in parent.args:
            return 0.4
        case ast.BinOp(op=ast.Mult()):
            return 0
    return 0


OPERATORS = (
    Operator(
        "missing_copy",
        0.3,
        copy_first,
        (
            OperatorExample(
                "def f(a):\n    b = a\n    b[0] = 1\n    return b\n",
                "def f(a):\n    b = a.copy()\n    b[0] = 1\n    return b\n",
                2,
            ),
            OperatorExample(
                "def f(a, out):\n    a.append(1)\n    out.append(a)\n",
                "def f(a, out):\n    a.append(1)\n    out.append(list(a))\n",
                3,
            ),
            OperatorExample(
                "import copy\n\n\ndef f(a):\n    return g(a)\n",
                "import copy\n\n\ndef f(a):\n    return g(copy.deepcopy(a))\n",
                5,
            ),
        ),
        fits={"RuntimeError": 2.0, "": 0.4},
    ),
)
