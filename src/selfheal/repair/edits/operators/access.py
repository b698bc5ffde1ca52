"""A key, an index, an attribute, a divisor that may be missing: access with a default."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from selfheal.repair.edits.definitions import last_name
from selfheal.repair.edits.kinds import COLLECTION, DICT, EMPTY, NUMBER, TEXT
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.operators.arithmetic import symbol
from selfheal.repair.edits.site import Site

_ATTRIBUTE = re.compile(r"has no attribute '(\w+)'")


def safe_access(site: Site) -> Iterator[Draft]:
    """A key, an index, an attribute or a divisor that may be missing gets a default."""
    for node in site.loads(ast.Subscript):
        assert isinstance(node, ast.Subscript)
        if isinstance(node.slice, ast.Slice) or isinstance(site.statement, ast.Delete):
            continue
        told = {"KeyError", "IndexError"} & set(site.hints.exceptions)
        if told != {"IndexError"}:
            yield from _safe_key(site, node)
        if told != {"KeyError"}:
            yield from _safe_index(site, node)
    for node in site.loads(ast.Attribute):
        assert isinstance(node, ast.Attribute)
        yield from _safe_attribute(site, node)
    yield from _counted_up(site)


def _safe_key(site: Site, node: ast.Subscript) -> Iterator[Draft]:
    base, key = site.within(node.value, 16), site.text(node.slice)
    wrong = f"expects `{key}` to be in `{base}`"
    if site.scope.kinds.of(node.value) in (None, DICT, COLLECTION):
        for default, weight in _values(site, node):
            arguments = key if default == "None" else f"{key}, {default}"
            yield site.draft(node, f"{base}.get({arguments})", weight, wrong)
        yield from _made_first(site, node)


def _safe_index(site: Site, node: ast.Subscript) -> Iterator[Draft]:
    base, key = site.within(node.value, 16), site.text(node.slice)
    wrong = f"expects `{base}` to have `{key}`"
    if site.scope.kinds.of(node.slice) in (None, NUMBER):
        for default, weight in _values(site, node)[:3]:
            test = base if key in ("0", "-1") else f"{key} < len({base})"
            text = f"{base}[{key}] if {test} else {default}"
            yield site.draft(node, text, 0.6 * weight, wrong)
        text = f"{base}[{site.within(node.slice, 12)} % len({base})]"
        yield site.draft(node, text, 0.3, wrong)


def _made_first(site: Site, node: ast.Subscript) -> Iterator[Draft]:
    """``d[k].append(v)`` becomes ``d.setdefault(k, []).append(v)``."""
    parent = site.parent(node)
    if not isinstance(parent, ast.Attribute):
        return
    first = {"append": "[]", "extend": "[]", "add": "set()", "update": "{}"}.get(parent.attr)
    if first is not None:
        base, key = site.within(node.value, 16), site.text(node.slice)
        text = f"{base}.setdefault({key}, {first})"
        yield site.draft(node, text, 1.0, f"expects `{key}` to be in `{base}`")


def _counted_up(site: Site) -> Iterator[Draft]:
    """``d[k] += v`` becomes ``d[k] = d.get(k, 0) + v``."""
    node = site.statement
    if not isinstance(node, ast.AugAssign) or not isinstance(node.target, ast.Subscript):
        return
    sign = symbol(site, node.target, node.value)
    target = site.text(node.target)
    base, key = site.text(node.target.value), site.text(node.target.slice)
    if sign is None or isinstance(node.target.slice, ast.Slice):
        return
    for first, weight in (("0", 1.0), ('""', 0.4), ("[]", 0.4)):
        text = f"{target} = {base}.get({key}, {first}) {sign.text} {site.within(node.value, 13)}"
        splice = site.source.replace(node, text)
        yield Draft((splice,), weight, f"expects `{key}` to be in `{base}`")


def _safe_attribute(site: Site, node: ast.Attribute) -> Iterator[Draft]:
    base = site.text(node.value)
    if base in ("self", "cls") or base in site.scope.module.names:
        return
    parent = site.parent(node)
    whole: ast.expr = node
    if isinstance(parent, ast.Call) and parent.func is node:
        whole = parent
    wrong = f"expects `{base}` to be there"
    for default, weight in _values(site, whole)[:4]:
        text = f"{site.within(whole, 3)} if {site.within(node.value, 7)} is not None else {default}"
        yield site.draft(whole, text, weight, wrong)
    yield site.draft(whole, f"{site.within(node.value, 5)} and {site.within(whole, 5)}", 0.6, wrong)
    if whole is node:
        named = {name for text in site.hints.messages for name in _ATTRIBUTE.findall(text)}
        for default, weight in (("None", 0.8), ("False", 0.4), ('""', 0.3)):
            sure = weight if node.attr in named else 0.3 * weight
            yield site.draft(node, f'getattr({base}, "{node.attr}", {default})', sure, wrong)


def _values(site: Site, node: ast.expr) -> list[tuple[str, float]]:
    """Values that could stand for a missing one, by how it is used."""
    parent = site.parent(node)
    while isinstance(parent, ast.IfExp):
        parent = site.parent(parent)
    found = {"None": 0.8, '""': 0.45, "0": 0.5, "[]": 0.4, "{}": 0.35, "False": 0.3}
    if isinstance(parent, ast.BinOp | ast.AugAssign):
        text = isinstance(parent, ast.BinOp) and site.scope.kinds.of(parent) in (None, TEXT)
        found |= {"0": 0.9, '""': 0.85 if text else 0.5, "[]": 0.55}
    elif isinstance(parent, ast.For | ast.comprehension):
        found |= {"[]": 0.9, "()": 0.7}
    elif isinstance(parent, ast.Attribute):
        found |= {"{}": 0.7, '""': 0.8}
    elif isinstance(parent, ast.Subscript):
        found |= {"{}": 0.9}
    elif isinstance(parent, ast.Call) and last_name(parent.func) in (
        "len",
        "sorted",
        "list",
        "sum",
    ):
        found |= {"[]": 0.9}
    return sorted(found.items(), key=lambda each: -each[1])


def default_value(site: Site) -> Iterator[Draft]:
    """A value that may be missing or empty: ``x or default``; a divisor that may be zero."""
    for node in site.loads(ast.Name, ast.Attribute, ast.Call, ast.Subscript):
        parent = site.parent(node)
        if isinstance(parent, ast.Starred) or node is getattr(parent, "func", None):
            continue
        if isinstance(parent, ast.Compare | ast.BoolOp | ast.If | ast.While) or (
            isinstance(parent, ast.Attribute) and isinstance(node, ast.Call)
        ):
            continue
        text = site.within(node, 4)
        if text in ("self", "cls") or text in site.scope.module.functions:
            continue
        kind = site.scope.kinds.of(node)
        values = (
            [EMPTY[kind]]
            if kind in EMPTY
            else [each for each, _ in _values(site, node) if each != "None"][:4]
        )
        for rank, value in enumerate(values):
            wrong = f"expects `{text}` to be there"
            yield site.draft(node, f"{text} or {value}", 0.8 / (1 + 0.2 * rank), wrong)
        for name in site.scope.parameters:
            if name not in ("self", "cls", text) and isinstance(node, ast.Call):
                yield site.draft(node, f"{text} or {name}", 0.3, f"expects `{text}` to be there")


def divisions(site: Site) -> Iterator[Draft]:
    """A division by what may be zero."""
    for node in site.of(ast.BinOp):
        assert isinstance(node, ast.BinOp)
        if not isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod):
            continue
        if isinstance(node.right, ast.Constant) or site.scope.kinds.of(node.left) == TEXT:
            continue
        divisor = site.text(node.right)
        for value, weight in (("0", 1.0), ("None", 0.6), ("0.0", 0.6), ("1", 0.3)):
            text = f"{site.text(node)} if {divisor} else {value}"
            yield site.draft(node, text, weight, f"divides by `{divisor}`, which may be 0")
        for text in (f"max({divisor}, 1)", f"({divisor} or 1)"):
            yield site.draft(node.right, text, 0.5, f"divides by `{divisor}`, which may be 0")


OPERATORS = (
    Operator(
        "safe_access",
        0.25,
        safe_access,
        (
            OperatorExample("def f(d, k):\n    return d[k]\n", "def f(d, k):\n    return d.get(k)\n", 2),
            OperatorExample("def f(a):\n    return a.name.lower()\n", "def f(a):\n    return a.name.lower() if a.name is not None else None\n", 2),
            OperatorExample("def f(d, k):\n    d[k] += 1\n", "def f(d, k):\n    d[k] = d.get(k, 0) + 1\n", 2),
            OperatorExample("def f(d, k, v):\n    d[k].append(v)\n", "def f(d, k, v):\n    d.setdefault(k, []).append(v)\n", 2),
            OperatorExample("def f(xs):\n    return xs[-1]\n", "def f(xs):\n    return xs[-1] if xs else None\n", 2),
        ),
        fits={"KeyError": 3.2, "AttributeError": 2.6, "IndexError": 2.0, "TypeError": 1.0, "NoneType": 2.6, "": 0.5},
    ),
    Operator(
        "default_value",
        0.25,
        default_value,
        (OperatorExample("def f(xs):\n    return sum(xs)\n", "def f(xs):\n    return sum(xs or [])\n", 2),),
        fits={"TypeError": 1.2, "NoneType": 2.6, "AttributeError": 1.2, "": 0.6},
    ),
    Operator(
        "division",
        0.2,
        divisions,
        (OperatorExample("def f(a, b):\n    return a / b\n", "def f(a, b):\n    return a / b if b else 0\n", 2),),
        fits={"ZeroDivisionError": 4.0, "": 0.2},
    ),
)  # fmt: skip
