"""Wrong literal: numbers, truth values, None, containers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from selfheal.repair.edits.definitions import root_name
from selfheal.repair.edits.model import Draft, Hints, Operator, OperatorExample
from selfheal.repair.edits.site import Site

OVERFIT = 0.05
_SMALL = (0, 1, -1, 2)
_EMPTY = ("[]", "{}", '""', "0", "None", "set()", "()")


def wrong_literal(old: str, new: str) -> str:
    """What is wrong, in words."""
    return f"has `{old}` where `{new}` was meant"


def numbers(site: Site) -> Iterator[Draft]:
    """Another number: its neighbours, 0, 1 and -1, others of the function, powers of ten."""
    others = [
        each.value
        for each in site.scope.nodes
        if isinstance(each, ast.Constant) and type(each.value) in (int, float)
    ]
    for node in site.of(ast.Constant):
        assert isinstance(node, ast.Constant)
        value = node.value
        if type(value) not in (int, float):
            continue
        assert isinstance(value, int | float)
        found: dict[object, float] = {}
        if isinstance(value, int):
            found |= dict.fromkeys((value + 1, value - 1), 0.2 if _is_round(value) else 1.0)
            found |= {each: 0.8 for each in (0, 1) if each not in found}
            found.setdefault(-1, 0.5)
            found.setdefault(2, 0.4)
        found.update({each: 0.6 for each in others if each not in found})
        found.update(dict.fromkeys(_told(site.hints, value), 1.2))
        for each in (
            -value,
            value * 10,
            value / 10,
            value * 2,
            value / 2,
            value * 100,
            value / 100,
        ):
            found.setdefault(
                int(each) if each == int(each) and isinstance(value, int) else each, 0.3
            )
        expected = _expected(site.hints)
        for other, weight in found.items():
            # What the assertion wants to see, put where it is read: right by this test alone.
            trust = OVERFIT if repr(other) in expected and other not in _SMALL else 1.0
            if other != value:
                yield site.draft(
                    node, repr(other), weight * trust, wrong_literal(site.text(node), repr(other))
                )
        if value == 0:
            for text in ("float('inf')", "float('-inf')", "None"):
                yield site.draft(node, text, 0.3, wrong_literal("0", text))
    for text, weight in (("float('inf')", 0.2), ("float('-inf')", 0.2)):
        for node in site.of(ast.Call):
            shown = site.text(node)
            if shown.replace('"', "'") in ("float('inf')", "float('-inf')") and shown != text:
                yield site.draft(node, text, 4 * weight, wrong_literal(shown, text))


def _is_round(value: int) -> bool:
    """Whether a number is one that people choose and do not count: 1,000 or 4,096."""
    size = abs(value)
    return size >= 100 and (size % 100 == 0 or size & (size - 1) == 0)


@lru_cache(maxsize=64)
def _expected(hints: Hints) -> frozenset[str]:
    """The values that assertions wanted, and the numbers in them."""
    found = set()
    for text in (*hints.expected, *hints.actual):
        for node in ast.walk(ast.parse(text.strip(), mode="eval")):
            if isinstance(node, ast.Constant):
                found.add(repr(node.value))
    return frozenset(found)


def _told(hints: Hints, value: int | float) -> Iterator[int | float]:
    """The number moved as the actual values have to be: by a difference or a factor."""
    for one, other in zip(hints.actual, hints.expected, strict=True):
        actual, expected = ast.literal_eval(one), ast.literal_eval(other)
        if all(type(each) in (int, float) for each in (actual, expected)):
            moved = [value + expected - actual, value - expected + actual]
            if actual and expected:
                moved += [value * expected / actual, value * actual / expected]
            for each in moved:
                whole = isinstance(value, int) and each == int(each) if abs(each) < 1e15 else False
                if whole or isinstance(value, float):
                    yield int(each) if whole else round(each, 10)


def truth_values(site: Site) -> Iterator[Draft]:
    """True for False, and what stands for nothing."""
    for node in site.of(ast.Constant):
        assert isinstance(node, ast.Constant)
        if isinstance(node.value, bool):
            yield site.draft(
                node, str(not node.value), 1.0, wrong_literal(str(node.value), str(not node.value))
            )
            yield site.draft(node, "None", 0.3, wrong_literal(str(node.value), "None"))
        elif node.value is None:
            parameters = site.scope.given
            for rank, text in enumerate(
                ("True", "False", '""', "[]", "{}", "0", "set()", *parameters)
            ):
                yield site.draft(node, text, 0.6 / (1 + 0.1 * rank), wrong_literal("None", text))


def empties(site: Site) -> Iterator[Draft]:
    """An empty value becomes another empty value, or one that holds it."""
    for node in site.of(ast.List, ast.Dict, ast.Tuple, ast.Call, ast.Constant):
        text = site.text(node)
        if text not in (*_EMPTY, "''", "list()", "dict()"):
            continue
        for other in ("[]", "{}", '""', "0", "None", "set()", "()", "[[]]", "[0]", "1"):
            if other != text:
                weight = 0.5 if other == "[[]]" and text == "[]" else 0.35
                yield site.draft(node, other, weight, wrong_literal(text, other))
        held = {"[]": "[{}]", "set()": "{{{}}}", "()": "({},)", "list()": "[{}]"}.get(text)
        for name in site.scope.parameters[:5] if held else ():
            if held and name not in ("self", "cls"):
                other = held.format(name)
                yield site.draft(node, other, 0.5, wrong_literal(text, other))


def containers(site: Site) -> Iterator[Draft]:
    """A display of another kind: list, tuple, set, generator."""
    for node in site.of(ast.List, ast.Tuple, ast.Set, ast.ListComp, ast.SetComp, ast.GeneratorExp):
        text = site.text(node)
        if text[:1] not in "[({" or not getattr(node, "elts", [None]):
            continue
        for left, right in ("[]", "()", "{}"):
            if left != text[0]:
                inner = text[1:-1]
                yield site.draft(
                    node,
                    f"{left}{inner}{right}",
                    0.6,
                    f"makes `{text[0]}{text[-1]}` where `{left}{right}` was meant",
                )
    for node in site.loads(ast.Name, ast.Attribute, ast.Subscript):
        parent = site.parent(node)
        placed = isinstance(parent, ast.Return | ast.BinOp | ast.Assign) or (
            isinstance(parent, ast.Call) and node in parent.args
        )
        if placed:
            text = site.text(node)
            yield site.draft(node, f"[{text}]", 0.4, f"lacks the list around `{text}`")
            yield site.draft(node, f"({text},)", 0.2, f"lacks the tuple around `{text}`")
    for node in site.of(ast.List, ast.Tuple):
        elements = getattr(node, "elts", [])
        if len(elements) == 1:
            inner = site.text(elements[0])
            yield site.draft(node, inner, 0.5, "has a container too many")
            if not isinstance(elements[0], ast.Starred | ast.Constant):
                made = f"{type(node).__name__.lower()}({inner})"
                wrong = f"holds `{inner}` itself where `{made}` was meant"
                yield site.draft(node, made, 0.5, wrong)


def members(site: Site) -> Iterator[Draft]:
    """A display of constants, or of members of one name, with one too many or one too few."""
    for node in site.of(ast.List, ast.Tuple, ast.Set):
        elements: list[ast.expr] = node.elts  # type: ignore[attr-defined]
        if not elements or not (_are_constants(elements) or _root(elements)):
            continue
        texts = [site.text(each) for each in elements]
        whole = site.text(node)
        left, right = (
            whole[: whole.find(texts[0])],
            whole[whole.rfind(texts[-1]) + len(texts[-1]) :],
        )
        wrong = f"has the wrong members in `{whole}`"
        for position in range(len(texts)) if len(texts) > 1 else ():
            rest = [*texts[:position], *texts[position + 1 :]]
            end = "," + right if isinstance(node, ast.Tuple) and len(rest) == 1 else right
            yield site.draft(node, left + ", ".join(rest) + end, 0.6, wrong)
        for other in _more(site, elements):
            if other not in texts:
                yield site.draft(node, left + ", ".join([*texts, other]) + right, 0.8, wrong)


def _are_constants(elements: list[ast.expr]) -> bool:
    return all(isinstance(_bare(each), ast.Constant) for each in elements)


def _root(elements: list[ast.expr]) -> str | None:
    """The name that all elements are members of, as in ``(Color.RED, Color.BLUE)``."""
    roots = {root_name(each) if isinstance(each, ast.Attribute) else None for each in elements}
    return next(iter(roots)) if len(roots) == 1 else None


def _bare(node: ast.expr) -> ast.expr:
    return node.operand if isinstance(node, ast.UnaryOp) else node


def _more(site: Site, elements: list[ast.expr]) -> list[str]:
    """Numbers beside those that are there, or texts of the file and of the failures."""
    if root := _root(elements):
        return site.scope.module.dotted.get(root, [])[:8] if root not in ("self", "cls") else []
    values = [ast.literal_eval(each) for each in elements]
    if all(type(each) is int for each in values):
        return [
            str(each)
            for each in dict.fromkeys(
                [0, max(values) + 1, min(values) - 1, *(each + 1 for each in values)]
            )
        ][:6]
    if all(isinstance(each, str) for each in values):
        return [
            repr(each)
            for each in dict.fromkeys([*sorted(site.hints.names), *site.scope.module.strings])
        ][:8]
    return []


OPERATORS = (
    Operator(
        "number",
        0.6,
        numbers,
        (
            OperatorExample("def f(n):\n    return n + 1\n", "def f(n):\n    return n + 0\n", 2),
            OperatorExample("def f(n):\n    return n * 10\n", "def f(n):\n    return n * 100\n", 2),
        ),
        fits={"IndexError": 1.4, "": 0.4, "ZeroDivisionError": 1.2},
        spreads=True,
    ),
    Operator(
        "truth",
        0.65,
        truth_values,
        (
            OperatorExample("def f():\n    return True\n", "def f():\n    return False\n", 2),
            OperatorExample("def f(a):\n    return g(a, None)\n", "def f(a):\n    return g(a, False)\n", 2),
        ),
        fits={"": 0.5},
    ),
    Operator(
        "empty",
        0.4,
        empties,
        (OperatorExample("def f():\n    return []\n", "def f():\n    return {}\n", 2),),
        fits={"AttributeError": 1.5, "TypeError": 1.5, "": 0.8},
    ),
    Operator(
        "members",
        0.25,
        members,
        (
            OperatorExample("def f(a):\n    return a in (-1, 1)\n", "def f(a):\n    return a in (-1, 1, 0)\n", 2),
            OperatorExample("def f(a):\n    return a in ('x', 'y')\n", "def f(a):\n    return a in ('x',)\n", 2),
            OperatorExample("def f(a):\n    return a in (T.A, T.B.C) or a is T.D\n", "def f(a):\n    return a in (T.A, T.B.C, T.D) or a is T.D\n", 2),
        ),
        fits={"": 0.5, "KeyError": 0.8},
    ),
    Operator(
        "container",
        0.25,
        containers,
        (
            OperatorExample("def f(a):\n    return [a, 1]\n", "def f(a):\n    return (a, 1)\n", 2),
            OperatorExample("def f(a, b):\n    return b + a\n", "def f(a, b):\n    return b + [a]\n", 2),
            OperatorExample("def f(a):\n    yield [a]\n", "def f(a):\n    yield list(a)\n", 2),
        ),
        fits={"TypeError": 1.6, "AttributeError": 1.2, "": 0.7},
    ),
)  # fmt: skip
