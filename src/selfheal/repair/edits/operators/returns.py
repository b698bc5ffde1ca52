"""Missing, extra or wrong returns, yields, raises and unused results."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.edit import Splice
from selfheal.repair.edits.kinds import BOOL, NUMBER, SIZED
from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site
from selfheal.repair.source import FUNCTIONS, names_bound

_EXCEPTIONS = (
    "ValueError", "TypeError", "KeyError", "IndexError", "AttributeError", "RuntimeError",
    "NotImplementedError", "LookupError", "StopIteration", "ZeroDivisionError",
)  # fmt: skip


def _prefixed(site: Site, text: str) -> Splice:
    start, _ = site.source.span(site.statement)
    return Splice(path=site.source.path, start=start, stop=start, text=text)


def add_return(site: Site) -> Iterator[Draft]:
    """A value that is computed and not returned; the return at the end of a function."""
    node = site.statement
    if site.scope.function is None:
        return
    if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant | ast.Yield):
        yield Draft((_prefixed(site, "return "),), 1.0, f"does not return `{site.text(node)}`")
    elif isinstance(node, ast.Assign):
        text = site.text(node.value)
        forgotten = any(name in site.scope.unread for name in names_bound(node))
        splice = site.source.replace(node, f"return {text}")
        yield Draft((splice,), 1.3 if forgotten else 0.4, f"does not return `{text}`")
    if node is site.block[-1] and isinstance(site.source.parent(node), FUNCTIONS):
        yield from _at_the_end(site)


def _at_the_end(site: Site) -> Iterator[Draft]:
    node = site.statement
    if isinstance(node, ast.Return | ast.Raise):
        return
    bound = [each for each in reversed(site.scope.locals) if each not in ("self", "cls")]
    near = names_bound(node)
    bound.sort(key=lambda each: each not in near)
    values = [*bound[:6], *site.scope.returned[:3], "True", "False", "None"]
    if site.scope.self_name:
        values.insert(1, site.scope.self_name)
        values[4:4] = [f"{site.scope.self_name}.{name}" for name in site.scope.own_attributes][:5]
    for rank, value in enumerate(dict.fromkeys(values)):
        weight = 1.0 / (1 + 0.2 * rank)
        yield from site.after([f"return {value}"], weight, f"ends without returning `{value}`")


def other_return(site: Site) -> Iterator[Draft]:
    """Something else is returned: another value of the function, its opposite, nothing."""
    node = site.statement
    if not isinstance(node, ast.Return) or node.value is None:
        return
    text = site.text(node.value)
    kind = site.scope.kinds.of(node.value)
    choices = [(each, 0.8) for each in site.scope.returned]
    choices += [(each, 0.6) for each in reversed(site.scope.locals) if each not in ("self", "cls")]
    choices += [("None", 0.3), ("True", 0.3), ("False", 0.3), ("[]", 0.2), ("0", 0.2)]
    if kind in (None, *SIZED):
        choices += [(f"len({text})", 0.3), (f"{text}[0]", 0.2)]
    if kind == NUMBER:
        choices += [(f"max({text}, 0)", 0.3), (f"abs({text})", 0.3)]
    if kind == BOOL:
        choices.append((f"not ({text})", 0.5))
    for other, weight in dict(reversed(choices)).items():
        if other != text:
            yield site.draft(
                node.value, other, weight, f"returns `{text}` where `{other}` was meant"
            )
    gone = Splice(
        path=site.source.path, start=site.source.span(node)[0],
        stop=site.source.span(node.value)[0], text="",
    )  # fmt: skip
    if isinstance(node.value, ast.Call):
        yield Draft((gone,), 0.5, f"returns `{text}` where it should go on")


def generators(site: Site) -> Iterator[Draft]:
    """``yield``, ``yield from`` and ``return`` for each other; a generator that is not used."""
    node = site.statement
    for found in site.of(ast.Yield, ast.YieldFrom):
        value = found.value  # type: ignore[attr-defined]
        if value is None:
            continue
        text = site.text(value)
        from_ = isinstance(found, ast.YieldFrom)
        other = f"yield {text}" if from_ else f"yield from {text}"
        yield site.draft(found, other, 1.0, f"has `{site.text(found)}` where `{other}` was meant")
        if isinstance(node, ast.Expr) and node.value is found:
            yield site.draft(found, f"return {text}", 0.3, "yields where it should return")
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and site.scope.is_generator:
        for word in ("yield from ", "yield "):
            wrong = f"does not yield what `{site.text(node)}` gives"
            yield Draft((_prefixed(site, word),), 0.8, wrong)
    if isinstance(node, ast.Return) and node.value is not None:
        text = site.text(node.value)
        for word, weight in (("yield", 0.4), ("yield from", 0.3)):
            wrong = f"returns `{text}` where it should {word}"
            yield Draft((site.source.replace(node, f"{word} {text}"),), weight, wrong)


_IN_PLACE = frozenset(
    [
        "append",
        "extend",
        "insert",
        "add",
        "update",
        "sort",
        "reverse",
        "clear",
        "remove",
        "discard",
        "pop",
        "write",
        "setdefault",
    ]
)


def keep_result(site: Site) -> Iterator[Draft]:
    """The result of a call is thrown away: ``s.strip()`` becomes ``s = s.strip()``."""
    node = site.statement
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        yield from _in_place(site, node, node.value)
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return
    call = node.value
    targets: list[str] = []
    if (
        isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name | ast.Attribute)
        and call.func.attr not in _IN_PLACE
    ):
        targets.append(site.text(call.func.value))
    targets += [site.text(each) for each in call.args if isinstance(each, ast.Name | ast.Attribute)]
    for rank, target in enumerate(dict.fromkeys(targets)):
        wrong = f"throws away what `{site.text(call)}` gives"
        yield Draft((_prefixed(site, f"{target} = "),), 1.0 / (1 + rank), wrong)


def _in_place(site: Site, node: ast.Assign, call: ast.Call) -> Iterator[Draft]:
    """``x = xs.sort()`` gives None."""
    if isinstance(call.func, ast.Attribute) and call.func.attr in _IN_PLACE - {"pop", "setdefault"}:
        wrong = f"keeps what `{site.text(call)}` gives, which is None"
        yield Draft((site.source.replace(node, site.text(call)),), 1.0, wrong)
        if call.func.attr in ("sort", "reverse"):
            name = {"sort": "sorted", "reverse": "reversed"}[call.func.attr]
            text = f"{name}({site.text(call.func.value)})"
            yield site.draft(call, text, 1.0, wrong)


def raises(site: Site) -> Iterator[Draft]:
    """Another exception, or one that is made and not raised."""
    node = site.statement
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        name = site.text(node.value.func)
        if name.endswith(("Error", "Exception")):
            yield Draft((_prefixed(site, "raise "),), 1.5, f"makes a {name} and does not raise it")
    if not isinstance(node, ast.Raise) or node.exc is None:
        return
    called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    names = dict.fromkeys([*site.hints.wanted, *site.hints.exceptions, *_EXCEPTIONS])
    for rank, name in enumerate(names):
        if name != site.text(called) and name != "AssertionError":
            wrong = f"raises {site.text(called)} where {name} was meant"
            yield site.draft(called, name, 1.0 / (1 + 0.3 * rank), wrong)
    for text in [*(f"return {each}" for each in site.scope.returned[:3]), "return None", "pass"]:
        wrong = f"raises where it should `{text}`"
        yield Draft((site.source.replace(node, text),), 0.4, wrong)


OPERATORS = (
    Operator(
        "missing_return",
        0.55,
        add_return,
        (
            OperatorExample("def f(a):\n    g(a)\n", "def f(a):\n    return g(a)\n", 2),
            OperatorExample("def f(a):\n    b = a + 1\n", "def f(a):\n    b = a + 1\n    return b\n", 2),
        ),
        fits={"TypeError": 1.2, "AttributeError": 1.0, "": 0.6},
    ),
    Operator(
        "returned_value",
        0.4,
        other_return,
        (
            OperatorExample("def f(a):\n    b = a + 1\n    return a\n", "def f(a):\n    b = a + 1\n    return b\n", 3),
            OperatorExample("def f(a):\n    if a:\n        return g(a)\n    return 1\n", "def f(a):\n    if a:\n        g(a)\n    return 1\n", 3),
        ),
        fits={"": 0.4},
    ),
    Operator(
        "generator",
        0.7,
        generators,
        (
            OperatorExample("def f(xs):\n    for x in xs:\n        yield f(x)\n", "def f(xs):\n    for x in xs:\n        yield from f(x)\n", 3),
            OperatorExample("def f(xs):\n    for x in xs:\n        f(x)\n        yield x\n", "def f(xs):\n    for x in xs:\n        yield from f(x)\n        yield x\n", 3),
        ),
        fits={"": 0.8},
    ),
    Operator(
        "unused_result",
        0.75,
        keep_result,
        (
            OperatorExample("def f(s):\n    s.strip()\n    return s\n", "def f(s):\n    s = s.strip()\n    return s\n", 2),
            OperatorExample("def f(xs):\n    xs = xs.sort()\n    return xs\n", "def f(xs):\n    xs.sort()\n    return xs\n", 2),
        ),
        fits={"TypeError": 1.2, "AttributeError": 1.2},
    ),
    Operator(
        "exception_type",
        0.5,
        raises,
        (
            OperatorExample("def f(a):\n    raise TypeError(a)\n", "def f(a):\n    raise ValueError(a)\n", 2, "DID NOT RAISE <class 'ValueError'>"),
            OperatorExample("def f(a):\n    ValueError(a)\n", "def f(a):\n    raise ValueError(a)\n", 2),
        ),
    ),
)  # fmt: skip
