"""Missing guards: base cases, early exits, branches around a statement, safe access."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations

from selfheal.repair.edit import Splice
from selfheal.repair.edits.atoms import atoms, of_one
from selfheal.repair.edits.blocks import extent, movable, reindented
from selfheal.repair.edits.kinds import EMPTY, LIST, NUMBER, SIZED
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site
from selfheal.repair.source import FUNCTIONS


def leaves(site: Site) -> list[tuple[str, float]]:
    """Statements that leave the place, with weights: as the function does elsewhere first."""
    found: dict[str, float] = {}
    if site.in_loop:
        found |= {"continue": 0.9, "break": 0.7}
    own = site.scope.function.name if site.scope.function else ""
    constants = [
        each
        for each in site.scope.returned
        if len(each) <= 40 and "\n" not in each and f"{own}(" not in each
    ]
    for rank, text in enumerate(constants):
        known = set(site.scope.parameters)
        names = {
            node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)
        }
        if names <= known | set(site.scope.module.names) | {"len"}:
            found[f"return {text}"] = 0.9 / (1 + 0.15 * rank)
    for text, weight in _defaults(site):
        found.setdefault(f"return {text}".strip(), weight)
    for name in site.scope.given:
        found.setdefault(f"return {name}", 0.5)
    for each in _raised(site):
        found.setdefault(each, 0.7 if site.hints.wanted else 0.3)
    return sorted(found.items(), key=lambda each: -each[1])


def _defaults(site: Site) -> Iterator[tuple[str, float]]:
    """Empty values of the kinds that the function returns."""
    if site.scope.is_generator:
        yield "", 0.8
        return
    kinds = site.scope.kinds
    returned = [
        node.value for node in site.scope.nodes if isinstance(node, ast.Return) and node.value
    ]
    for value in returned:
        kind = kinds.of(value)
        if kind in EMPTY:
            yield EMPTY[kind], 0.8
        if kind == NUMBER or _computed(value):
            yield "0", 0.8
            yield "1", 0.75
        if kind == LIST:
            yield "[[]]", 0.5
        if kind == "bool":
            yield "True", 0.8
    for rank, text in enumerate(("None", "[]", "False", "0", "True", '""', "{}", "1", "[[]]")):
        yield text, 0.5 / (1 + 0.2 * rank)
    if not returned:
        yield "", 0.6


def _computed(value: ast.expr) -> bool:
    return isinstance(value, ast.BinOp) and not any(
        isinstance(each, ast.List | ast.Tuple | ast.JoinedStr)
        or (isinstance(each, ast.Constant) and isinstance(each.value, str))
        for each in ast.walk(value)
    )


def _raised(site: Site) -> list[str]:
    """Raises that the tests ask for, then those of the function and the file."""
    found = []
    for name in site.hints.wanted:
        subject = next(iter(site.scope.given), None)
        told = f'f"invalid {subject}: {{{subject}!r}}"' if subject else '"invalid input"'
        found.append(f"raise {name}({told})")
    for node in site.scope.nodes:
        if isinstance(node, ast.Raise) and node.exc is not None and node.lineno == node.end_lineno:
            found.append(site.text(node))
    return found[:4]


def base_case(site: Site) -> Iterator[Draft]:
    """A case that a function has to answer first: nothing given, zero, one, two alike."""
    function, node = site.scope.function, site.statement
    if function is None or site.source.parent(node) is not function:
        return
    position = function.body.index(node)
    told = function.body[0]
    documented = isinstance(told, ast.Expr) and isinstance(told.value, ast.Constant)
    if position != int(documented):
        return
    sure = 1.0 if site.scope.recursive else 0.6
    for condition, weight in _first_conditions(site):
        for leave, other in leaves(site)[:10]:
            lines = [f"if {condition}:", f"{site.source.unit}{leave}"]
            wrong = f"lacks the case `if {condition}`"
            yield from site.before(lines, sure * weight * other, wrong)


def _first_conditions(site: Site) -> Iterator[tuple[str, float]]:
    names = [
        each for each in site.scope.parameters if each not in ("self", "cls", "args", "kwargs")
    ]
    kinds = site.scope.kinds.names
    for rank, name in enumerate(names[:4]):
        kind = kinds.get(name)
        fade = 1 / (1 + 0.2 * rank)
        for condition, weight in of_one(name, kind):
            turned = {f"{name} > 0": 0.2, name: 0.3, f"{name} is not None": 0.2}
            yield condition, fade * min(weight, turned.get(condition, 1.0))
        if kind == NUMBER:
            yield f"{name} <= 1", 0.5 * fade
            yield f"{name} < 2", 0.4 * fade
        elif kind in (None, *SIZED):
            yield f"len({name}) <= 1", 0.5 * fade
            yield f"len({name}) == 1", 0.4 * fade
    for rank, name in enumerate(names[:3]):
        for other in names[rank + 1 : 3]:
            yield f"{name} == {other}", 0.4
            yield f"not {name} or not {other}", 0.3
            if NUMBER in (kinds.get(name), kinds.get(other)):
                yield f"{name} < {other}", 0.35
                yield f"{name} > {other}", 0.35
    yield from _either(site, names)
    for name, method in ((n, m) for n in names[:2] for m in _asked(site, n)):
        yield f"{name}.{method}()", 0.3


def _either(site: Site, names: list[str]) -> Iterator[tuple[str, float]]:
    """Two cases with one answer, as recursions often need them."""
    if not site.scope.recursive:
        return
    ends = [f"{name} == 0" for name in names[:3]]
    ends += [f"{one} == {other}" for one, other in combinations(names[:3], 2)]
    ends += [f"not {name}" for name in names[:3]]
    for one, other in combinations(ends, 2):
        yield f"{one} or {other}", 0.3


def _asked(site: Site, name: str) -> list[str]:
    return [
        each
        for each in site.scope.module.attributes.get(name, ())
        if each.startswith(("is_", "has_", "is")) and each in site.scope.module.calls
    ][:3]


def early_exit(site: Site) -> Iterator[Draft]:
    """Before a statement, the place is left if a condition holds."""
    if isinstance(site.source.parent(site.statement), FUNCTIONS) and not _late(site):
        return
    for condition, weight in atoms(site, site.statement)[:10]:
        for leave, other in leaves(site)[:4]:
            lines = [f"if {condition}:", f"{site.source.unit}{leave}"]
            wrong = f"goes on where it should `{leave}` if `{condition}`"
            yield from site.before(lines, weight * other, wrong)


def _late(site: Site) -> bool:
    """Not the first statement of a function: that is for `base_case`."""
    function = site.scope.function
    return function is not None and site.statement is not function.body[0]


def branch(site: Site) -> Iterator[Draft]:
    """A statement that is to be done under a condition alone."""
    node, source = site.statement, site.source
    if not movable(source, node) or isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return
    start, stop = extent(source, [node])
    indent = source.indent(node)
    text = reindented(source, [node], indent + source.unit)
    for condition, weight in atoms(site, node)[:24]:
        whole = f"{indent}if {condition}:{source.newline}{text}"
        splice = Splice(path=source.path, start=start, stop=stop, text=whole)
        wrong = f"does `{site.text(node).splitlines()[0]}` also where not `{condition}`"
        yield Draft((splice,), weight, wrong)


OPERATORS = (
    Operator(
        "base_case",
        0.5,
        base_case,
        (
            OperatorExample("def f(xs):\n    return max(xs)\n", "def f(xs):\n    if not xs:\n        return None\n    return max(xs)\n", 2),
            OperatorExample("def f(n):\n    return n * f(n - 1)\n", "def f(n):\n    if n == 0:\n        return 1\n    return n * f(n - 1)\n", 2),
        ),
        fits={"RecursionError": 1.8, "IndexError": 1.3, "ValueError": 1.1, "ZeroDivisionError": 1.3, "TypeError": 1.1, "AttributeError": 1.1, "": 0.8},
    ),
    Operator(
        "early_exit",
        0.22,
        early_exit,
        (
            OperatorExample("def f(xs):\n    for x in xs:\n        g(x)\n", "def f(xs):\n    for x in xs:\n        if x is None:\n            continue\n        g(x)\n", 3),
            OperatorExample("def f(a):\n    b = g(a)\n    return b.x\n", "def f(a):\n    b = g(a)\n    if b is None:\n        return None\n    return b.x\n", 3),
        ),
        fits={"NoneType": 2.4, "AttributeError": 1.4, "TypeError": 1.4, "IndexError": 1.5, "": 1.2},
    ),
    Operator(
        "missing_branch",
        0.22,
        branch,
        (OperatorExample("def f(a, b):\n    a.append(b)\n    return a\n", "def f(a, b):\n    if b not in a:\n        a.append(b)\n    return a\n", 2),),
        fits={"AttributeError": 1.3, "TypeError": 1.3},
    ),
)  # fmt: skip
