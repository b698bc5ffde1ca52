"""A wrong condition: and for or, a term too many, missing or turned round, truth for None."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from selfheal.repair.edit import Splice
from selfheal.repair.edits.atoms import atoms, negation
from selfheal.repair.edits.kinds import BOOL
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site

_RISKY = (ast.Subscript, ast.Attribute, ast.Call, ast.BinOp, ast.In, ast.NotIn)
_WORD = re.compile(r"\b(and|or)\b")


def tests(site: Site) -> Iterator[ast.expr]:
    """The conditions of the statement: of branches, loops, comprehensions, assertions."""
    if isinstance(site.statement, ast.If | ast.While | ast.Assert):
        yield site.statement.test
    for node in site.expressions:
        if isinstance(node, ast.IfExp):
            yield node.test
        for generator in getattr(node, "generators", ()):
            yield from generator.ifs


def terms(site: Site) -> Iterator[ast.expr]:
    """Conditions, the terms that they are made of, and truth values that are returned."""
    seen: set[int] = set()
    pending = list(tests(site))
    pending += [node for node in site.of(ast.BoolOp, ast.Compare) if node not in pending]
    while pending:
        node = pending.pop(0)
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            if isinstance(node, ast.BoolOp):
                pending += node.values


def swap_boolean(site: Site) -> Iterator[Draft]:
    """``and`` becomes ``or`` and the other way round, one word or all of them."""
    for node in site.of(ast.BoolOp):
        assert isinstance(node, ast.BoolOp)
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        splices = []
        for left, right in zip(node.values, node.values[1:], strict=False):
            start, stop = site.source.span(left)[1], site.source.span(right)[0]
            found = _WORD.search(site.source.text, start, stop)
            if found is not None:
                splices.append(
                    Splice(path=site.source.path, start=found.start(), stop=found.end(), text=new)
                )
        wrong = f"joins conditions by `{old}` where `{new}` was meant"
        yield Draft(tuple(splices), 1.0, wrong)
        if len(splices) > 1:
            yield from (Draft((each,), 0.6, wrong) for each in splices)


def drop_term(site: Site) -> Iterator[Draft]:
    """A condition without one of its terms."""
    for node in site.of(ast.BoolOp):
        assert isinstance(node, ast.BoolOp)
        for position, term in enumerate(node.values):
            path, span = site.source.path, site.outer_span
            if position:
                start, stop = span(node.values[position - 1])[1], span(term)[1]
            else:
                start, stop = span(term)[0], span(node.values[1])[0]
            wrong = f"has the condition `{site.text(term)}` too many"
            yield Draft((Splice(path=path, start=start, stop=stop, text=""),), 1.0, wrong)


def negate(site: Site) -> Iterator[Draft]:
    """A condition or a term of it turned round."""
    tested = {id(each) for each in tests(site)}
    for node in terms(site):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            continue
        weight = 1.0 if id(node) in tested or isinstance(node, ast.UnaryOp) else 0.6
        if isinstance(node, ast.BoolOp):
            weight = 0.7
        elif isinstance(parent := site.parent(node), ast.BoolOp) and node is parent.values[0]:
            weight = 0.9
        yield site.draft(node, negation(site, node), weight, f"has `{_shown(site, node)}` turned")
    for node in site.of(ast.UnaryOp):
        assert isinstance(node, ast.UnaryOp)
        if isinstance(node.op, ast.Not):
            yield site.draft(node, site.text(node.operand), 1.0, "has a `not` too many")
    for node in _truths(site):
        text = f"not {site.within(node, 5)}"
        yield site.draft(node, text, 0.5, f"has `{_shown(site, node)}` turned")


def _truths(site: Site) -> Iterator[ast.expr]:
    """Truth values that are returned, assigned or passed."""
    for node in site.loads(ast.Name, ast.Call, ast.Attribute):
        if isinstance(site.parent(node), ast.Return | ast.Assign | ast.keyword):
            name = site.text(node)
            if site.scope.kinds.of(node) == BOOL or re.match(r"(\w+\.)*(is|has|can)_", name):
                yield node


def _shown(site: Site, node: ast.expr) -> str:
    return " ".join(site.text(node).split())


def add_term(site: Site) -> Iterator[Draft]:
    """A condition more, joined by ``and`` or ``or``: one that is near, or made of what is."""
    found = {id(each): each for each in tests(site)}
    if isinstance(site.statement, ast.Return) and site.statement.value is not None:
        value = site.statement.value
        if site.scope.kinds.of(value) == BOOL or isinstance(value, ast.BoolOp):
            found[id(value)] = value
    for test in found.values():
        if isinstance(test, ast.Constant):
            continue
        text = site.text(test)
        # Which term comes first matters where one of them raises.
        raised = set(site.hints.exceptions) - {"AssertionError", "Failed"}
        unknown = not site.hints.exceptions
        risky = bool(raised) or (unknown and any(isinstance(e, _RISKY) for e in ast.walk(test)))
        for atom, weight in atoms(site, test):
            if atom == text:
                continue
            for word, level in (("and", 5), ("or", 4)):
                one = site.within(test, level)
                wrong = f"lacks `{atom}` in the condition `{text}`"
                yield site.draft(test, f"{one} {word} {atom}", weight, wrong)
                if risky:
                    yield site.draft(test, f"{atom} {word} {one}", 0.95 * weight, wrong)


def add_filter(site: Site) -> Iterator[Draft]:
    """A comprehension without condition gets one."""
    for node in site.expressions:
        for generator in getattr(node, "generators", ()):
            if generator.ifs:
                continue
            stop = site.source.span(generator.iter)[1]
            for atom, weight in atoms(site, generator.target):
                splice = Splice(path=site.source.path, start=stop, stop=stop, text=f" if {atom}")
                yield Draft((splice,), weight, f"lacks the filter `if {atom}`")


def truth_or_none(site: Site) -> Iterator[Draft]:
    """Empty, zero and None told apart: ``if x``, ``if x is not None``, ``if len(x) > 0``."""
    for node in terms(site):
        text = site.within(node, 7)
        if text in site.scope.variadic:
            continue
        if isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript):
            yield site.draft(
                node, f"{text} is not None", 1.0, f"takes an empty `{text}` for a missing one"
            )
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = site.within(node.operand, 7)
            yield site.draft(
                node, f"{inner} is None", 1.0, f"takes an empty `{inner}` for a missing one"
            )
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            right = node.comparators[0]
            if isinstance(right, ast.Constant) and right.value is None:
                left = site.within(node.left, 5)
                new = left if isinstance(node.ops[0], ast.IsNot | ast.NotEq) else f"not {left}"
                yield site.draft(node, new, 0.9, f"takes an empty `{left}` for a present one")
            elif isinstance(right, ast.Constant) and isinstance(right.value, bool):
                left = site.within(node.left, 5)
                same = right.value == isinstance(node.ops[0], ast.Is | ast.Eq)
                yield site.draft(
                    node, left if same else f"not {left}", 0.5, f"compares with `{right.value}`"
                )
    for node in site.of(ast.BoolOp):
        assert isinstance(node, ast.BoolOp)
        if isinstance(node.op, ast.Or) and len(node.values) == 2:
            one, other = site.within(node.values[0], 7), site.within(node.values[1], 3)
            text = f"{one} if {one} is not None else {other}"
            yield site.draft(node, text, 0.8, f"takes an empty `{one}` for a missing one")


def instance_types(site: Site) -> Iterator[Draft]:
    """More types in isinstance, and isinstance in place of an exact type."""
    wider = {
        "list": "(list, tuple)", "tuple": "(list, tuple)", "int": "(int, float)",
        "str": "(str, bytes)", "float": "(int, float)", "set": "(set, frozenset)",
        "bytes": "(bytes, bytearray)", "dict": "Mapping",
    }  # fmt: skip
    for node in site.of(ast.Call):
        assert isinstance(node, ast.Call)
        if isinstance(node.func, ast.Name) and node.func.id == "isinstance" and len(node.args) == 2:
            types = node.args[1]
            text = site.text(types)
            if text in wider:
                yield site.draft(types, wider[text], 1.0, f"accepts no other types than `{text}`")
            if text == "int":
                name = site.text(node.args[0])
                yield site.draft(
                    node, f"{site.text(node)} and not isinstance({name}, bool)", 0.6,
                    "takes truth values for numbers",
                )  # fmt: skip
    for node in site.of(ast.Compare):
        match node:
            case ast.Compare(
                left=ast.Call(func=ast.Name(id="type"), args=[value]), ops=[op], comparators=[right]
            ):
                text = f"isinstance({site.text(value)}, {site.text(right)})"
                text = text if isinstance(op, ast.Eq | ast.Is) else f"not {text}"
                yield site.draft(node, text, 0.8, "leaves subclasses out")


def ternaries(site: Site) -> Iterator[Draft]:
    """``a if c else b`` the other way round, or one side alone."""
    for node in site.of(ast.IfExp):
        assert isinstance(node, ast.IfExp)
        body, orelse = site.text(node.body), site.text(node.orelse)
        yield Draft(
            (site.replace(node.body, orelse), site.replace(node.orelse, body)),
            0.8, "has the two values of a conditional swapped",
        )  # fmt: skip
        for text in (body, orelse):
            yield site.draft(node, text, 0.5, "has a condition too many")


OPERATORS = (
    Operator(
        "boolean",
        0.75,
        swap_boolean,
        (OperatorExample("def f(a, b):\n    return a and b\n", "def f(a, b):\n    return a or b\n", 2),),
    ),
    Operator(
        "negation",
        0.75,
        negate,
        (
            OperatorExample("def f(a):\n    if a:\n        return 1\n", "def f(a):\n    if not a:\n        return 1\n", 2),
            OperatorExample("def f(a):\n    if not a:\n        return 1\n", "def f(a):\n    if a:\n        return 1\n", 2),
        ),
    ),
    Operator(
        "extra_condition",
        0.6,
        drop_term,
        (
            OperatorExample("def f(a, b):\n    return a and b > 1\n", "def f(a, b):\n    return a\n", 2),
            OperatorExample("def f(a, b):\n    return (a) and (b > 1)\n", "def f(a, b):\n    return (b > 1)\n", 2),
        ),
    ),
    Operator(
        "missing_condition",
        0.5,
        add_term,
        (
            OperatorExample("def f(a, b):\n    if a:\n        return 1\n", "def f(a, b):\n    if a and not b:\n        return 1\n", 2),
            OperatorExample("def f(i, xs):\n    while xs[i] > 0:\n        i += 1\n    return i\n", "def f(i, xs):\n    while i < len(xs) and xs[i] > 0:\n        i += 1\n    return i\n", 2),
        ),
        fits={"IndexError": 1.5, "KeyError": 1.3, "NoneType": 1.6, "": 0.8},
    ),
    Operator(
        "missing_filter",
        0.25,
        add_filter,
        (OperatorExample("def f(xs):\n    return [x for x in xs]\n", "def f(xs):\n    return [x for x in xs if x is not None]\n", 2),),
        fits={"TypeError": 1.2, "": 0.8},
    ),
    Operator(
        "none_or_empty",
        0.65,
        truth_or_none,
        (
            OperatorExample("def f(a):\n    if a:\n        return a\n", "def f(a):\n    if a is not None:\n        return a\n", 2),
            OperatorExample("def f(a):\n    return a or 3\n", "def f(a):\n    return a if a is not None else 3\n", 2),
            OperatorExample("def f(a):\n    if a is None:\n        return 1\n", "def f(a):\n    if not a:\n        return 1\n", 2),
        ),
    ),
    Operator(
        "type_check",
        0.5,
        instance_types,
        (
            OperatorExample("def f(a):\n    return isinstance(a, list)\n", "def f(a):\n    return isinstance(a, (list, tuple))\n", 2),
            OperatorExample("def f(a):\n    return type(a) == list\n", "def f(a):\n    return isinstance(a, list)\n", 2),
        ),
    ),
    Operator(
        "conditional_value",
        0.4,
        ternaries,
        (OperatorExample("def f(a, b):\n    return a if a > b else b\n", "def f(a, b):\n    return b if a > b else a\n", 2),),
    ),
)  # fmt: skip
