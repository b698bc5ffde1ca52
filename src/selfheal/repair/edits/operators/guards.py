"""Missing guards: base cases, early exits, branches around a statement, safe access."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import combinations

from selfheal.repair.edit import Splice
from selfheal.repair.edits.atoms import atoms, of_one
from selfheal.repair.edits.blocks import extent, movable, reindented
from selfheal.repair.edits.kinds import DICT, EMPTY, LIST, NUMBER, SIZED, TEXT
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.scope import last_name
from selfheal.repair.edits.site import Site
from selfheal.repair.source import FUNCTIONS

_ATTRIBUTE = re.compile(r"has no attribute '(\w+)'")


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
    for name in site.scope.parameters:
        if name not in ("self", "cls"):
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
        subject = next(
            (each for each in site.scope.parameters if each not in ("self", "cls")), None
        )
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


def safe_access(site: Site) -> Iterator[Draft]:
    """A key, an index, an attribute or a divisor that may be missing gets a default."""
    for node in site.loads(ast.Subscript):
        assert isinstance(node, ast.Subscript)
        if isinstance(node.slice, ast.Slice) or isinstance(site.statement, ast.Delete):
            continue
        base, key = site.within(node.value, 16), site.text(node.slice)
        wrong = f"expects `{key}` to be in `{base}`"
        if site.scope.kinds.of(node.value) in (None, DICT, "collection"):
            for default, weight in _values(site, node):
                text = (
                    f"{base}.get({key})" if default == "None" else f"{base}.get({key}, {default})"
                )
                yield site.draft(node, text, weight, wrong)
        if site.scope.kinds.of(node.slice) in (None, NUMBER):
            for default, weight in _values(site, node)[:3]:
                test = base if key in ("0", "-1") else f"{key} < len({base})"
                yield site.draft(
                    node, f"{base}[{key}] if {test} else {default}", 0.6 * weight, wrong
                )
            yield site.draft(
                node, f"{base}[{site.within(node.slice, 12)} % len({base})]", 0.3, wrong
            )
    for node in site.loads(ast.Attribute):
        assert isinstance(node, ast.Attribute)
        yield from _safe_attribute(site, node)


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
            weight = weight if node.attr in named else 0.3 * weight
            yield site.draft(node, f'getattr({base}, "{node.attr}", {default})', weight, wrong)


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
    Operator(
        "safe_access",
        0.25,
        safe_access,
        (
            OperatorExample("def f(d, k):\n    return d[k]\n", "def f(d, k):\n    return d.get(k)\n", 2),
            OperatorExample("def f(a):\n    return a.name.lower()\n", "def f(a):\n    return a.name.lower() if a.name is not None else None\n", 2),
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
