"""What to do instead, where an expression cannot be computed.

Nothing is guessed where the project says it itself: first what the good release did
in the same function, then how neighbouring code treats the same thing, then how the
module answers bad input, and last the neutral value of the type that the use shows.
Validation decides between them.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass

from selfheal.repair.edit import Splice
from selfheal.repair.problem import Place, Problem
from selfheal.repair.source import (
    COMPREHENSIONS,
    Function,
    Source,
    module_names,
    names_bound,
    names_in,
    same,
    walk_own,
)

EXITS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
LOOPS = (ast.For, ast.AsyncFor, ast.While)


@dataclass(frozen=True)
class Fallback:
    """Code that takes the place of what failed; `origin` is one of the steps above."""

    text: str
    fit: float
    origin: str
    why: str


def statements(problem: Problem, place: Place, node: ast.AST, subject: ast.expr) -> list[Fallback]:
    """Statements that leave before `node` when `subject` is missing, best first."""
    found = [*_learned_exits(place, subject), *_sibling_exits(problem, place, subject)]
    loop = _loop_around(place.source, node)
    if loop is not None:
        found.append(Fallback("continue", 0.55, "loop", "leaves out the element"))
    found += _bad_input_replies(problem, place)
    if loop is None and not _answers_requests(place.function):
        found.append(Fallback("return None", 0.3, "neutral", "gives None"))
    return _distinct(found)


def expressions(
    problem: Problem, place: Place, node: ast.expr, subject: ast.expr
) -> list[Fallback]:
    """Values that stand for `node` when `subject` is missing, best first."""
    found = [
        *_learned_values(place, node, subject),
        *_neutral_by_use(place, node),
        Fallback("None", 0.4, "neutral", "gives None"),
    ]
    for function, text in _siblings(problem, place, subject):
        found.append(Fallback(text, 0.7, "sibling", f"as in {function.name}"))
    return [each for each in _distinct(found) if bindings(place, each.text) == []]


def stand_ins(problem: Problem, place: Place, subject: ast.expr) -> list[Fallback]:
    """Values that other code takes for `subject` itself, where it is missing."""
    found = [
        Fallback(text, 0.9, "sibling", f"as in {function.name}")
        for function, text in _siblings(problem, place, subject)
        if text != "None"
    ]
    return [each for each in _distinct(found) if bindings(place, each.text) == []]


def _siblings(problem: Problem, place: Place, subject: ast.expr) -> Iterator[tuple[Function, str]]:
    """How other functions of the project stand in for the key of a subscript."""
    for source in problem.python():
        for function in source.functions():
            if function is not place.function:
                for text in _default_of_key(source, function, subject):
                    yield function, text


def _distinct(found: list[Fallback]) -> list[Fallback]:
    best: dict[str, Fallback] = {}
    for each in sorted(found, key=lambda one: -one.fit):
        best.setdefault(each.text, each)
    return list(best.values())


def _learned_exits(place: Place, subject: ast.expr) -> Iterator[Fallback]:
    """The good version left early when the same thing was missing."""
    if place.good is None:
        return
    source, function = place.good
    for text in _guards(source, function, subject):
        if _understood(text, place.function, place.source):
            yield Fallback(text, 0.95, "good_release", "as the good release did")


def _sibling_exits(problem: Problem, place: Place, subject: ast.expr) -> Iterator[Fallback]:
    """Other code that gets the thing in the same way leaves early."""
    maker = _maker(place.function, subject)
    for source in problem.python():
        for function in source.functions():
            if function is place.function:
                continue
            for name, made in _assigned_calls(function):
                if maker and made == maker:
                    wanted = ast.Name(name, ast.Load())
                    for text in _guards(source, function, wanted):
                        if _understood(text, place.function, place.source):
                            yield Fallback(text, 0.8, "sibling", f"as {function.name} does")


def _maker(function: Function, subject: ast.expr) -> str | None:
    """The call that made a variable, as written."""
    if isinstance(subject, ast.Call):
        return ast.unparse(subject.func)
    if not isinstance(subject, ast.Name):
        return None
    return next((made for name, made in _assigned_calls(function) if name == subject.id), None)


def _assigned_calls(function: Function) -> Iterator[tuple[str, str]]:
    for node in walk_own(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, ast.unparse(node.value.func)


def _guards(source: Source, function: Function, subject: ast.expr) -> Iterator[str]:
    """The single exits under an ``if`` whose condition asks for `subject`."""
    for node in walk_own(function):
        if not isinstance(node, ast.If) or len(node.body) != 1:
            continue
        leaves = isinstance(node.body[0], EXITS)
        if leaves and any(same(each, subject) for each in ast.walk(node.test)):
            yield source.segment(node.body[0])


def _understood(text: str, function: Function, source: Source) -> bool:
    """Whether every name of a borrowed statement exists where it is to stand."""
    return "\n" not in text and not _unknown(text, function, source)


def _unknown(text: str, function: Function, source: Source) -> set[str]:
    known = {each.arg for each in ast.walk(function) if isinstance(each, ast.arg)}
    known |= names_bound(function) | module_names(source) | set(dir(builtins))
    tree = ast.parse(text)
    return names_in(tree) - known - names_bound(tree)


def bindings(place: Place, text: str) -> list[Splice] | None:
    """What must be bound for a borrowed expression: splices; None where that is not possible.

    A name that the good version binds to the value of an expression is bound again where
    the accused version computes that value and drops it.
    """
    source, function = place.source, place.function
    try:
        missing = _unknown(text, function, source)
    except SyntaxError:
        return None
    splices: list[Splice] = []
    for name in sorted(missing):
        made = _made_by(place, name)
        dropped = next(
            (
                each
                for each in function.body
                if isinstance(each, ast.Expr)
                and same(each.value, made)
                and each.lineno < place.line
            ),
            None,
        )
        if made is None or dropped is None:
            return None
        start, _ = source.span(dropped)
        splices.append(Splice(path=source.path, start=start, stop=start, text=f"{name} = "))
    return splices


def _made_by(place: Place, name: str) -> ast.expr | None:
    """The expression that the good version assigns to a name, if it does so once."""
    if place.good is None:
        return None
    values = [
        node.value
        for node in walk_own(place.good[1])
        if isinstance(node, ast.Assign)
        and any(isinstance(each, ast.Name) and each.id == name for each in node.targets)
    ]
    return values[0] if len(values) == 1 else None


def _loop_around(source: Source, node: ast.AST) -> ast.AST | None:
    """The loop whose body holds the node's statement, with no function between."""
    statement = source.statement(node)
    child: ast.AST = statement
    for parent in source.ancestors(statement):
        if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return None
        if isinstance(parent, LOOPS) and child in parent.body:
            return parent
        child = parent
    return None


def _bad_input_replies(problem: Problem, place: Place) -> Iterator[Fallback]:
    """How this module, else the project, answers bad input: its 4xx replies and errors."""
    fit = 0.6 if _answers_requests(place.function) else 0.5
    seen: set[str] = set()
    nearest = sorted(problem.python(), key=lambda each: each.path != place.source.path)
    for source in nearest:
        for function in source.functions():
            for node in walk_own(function):
                if isinstance(node, ast.Raise | ast.Return | ast.Expr) and _refuses(node):
                    text = source.segment(node)
                    kind = text.partition("(")[0] if isinstance(node, ast.Raise) else text
                    if kind not in seen and _understood(text, place.function, place.source):
                        seen.add(kind)
                        near = 0.0 if source.path == place.source.path else 0.1
                        yield Fallback(text, fit - near, "bad_input", f"as {function.name} does")


def _refuses(node: ast.stmt) -> bool:
    """A 4xx by status, by ``abort``, or by the usual names of such exceptions."""
    text = ast.unparse(node)
    if isinstance(node, ast.Raise):
        return any(word in text for word in ("BadRequest", "NotFound", "HTTPException", "Http404"))
    if isinstance(node, ast.Expr):
        return text.startswith("abort(4")
    statuses = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    return any(isinstance(each, int) and 400 <= each < 500 for each in statuses)


def _answers_requests(function: Function) -> bool:
    """A route handler: decorated with a path."""
    return any(
        isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value[:1] == "/"
        for decorator in function.decorator_list
        for each in ast.walk(decorator)
    )


def _learned_values(place: Place, node: ast.expr, subject: ast.expr) -> Iterator[Fallback]:
    """The good version had a default: a conditional, an ``or``, or ``.get`` with the same key."""
    if place.good is None:
        return
    source, function = place.good
    for each in walk_own(function):
        if isinstance(each, ast.IfExp) and any(same(part, subject) for part in ast.walk(each.test)):
            missing = each.body if _asks_absence(each.test) else each.orelse
            yield Fallback(source.segment(missing), 0.95, "good_release", "as the good release did")
        elif isinstance(each, ast.BoolOp) and isinstance(each.op, ast.Or):
            text = source.segment(each.values[-1])
            if same(each.values[0], subject) or same(each.values[0], node):
                yield Fallback(text, 0.95, "good_release", "as the good release did")
    for text in _default_of_key(source, function, subject):
        yield Fallback(text, 0.95, "good_release", "as the good release did")


def _asks_absence(test: ast.expr) -> bool:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return True
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is | ast.Eq | ast.NotIn)


def _default_of_key(source: Source, function: Function, subject: ast.expr) -> Iterator[str]:
    """What stands in for a key elsewhere: ``.get(key, default)`` or ``x[key] or default``."""
    key = subject.slice if isinstance(subject, ast.Subscript) else None
    if not isinstance(key, ast.Constant):
        return
    for each in walk_own(function):
        if (
            isinstance(each, ast.Call)
            and isinstance(each.func, ast.Attribute)
            and each.func.attr == "get"
            and each.args
            and same(each.args[0], key)
        ):
            yield source.segment(each.args[1]) if len(each.args) > 1 else "None"
        elif isinstance(each, ast.BoolOp) and isinstance(each.op, ast.Or):
            first = each.values[0]
            if isinstance(first, ast.Subscript) and same(first.slice, key):
                yield source.segment(each.values[-1])


def _neutral_by_use(place: Place, node: ast.expr) -> Iterator[Fallback]:
    """The neutral value of the type that the surrounding code shows."""
    parent = place.source.parent(node)
    if isinstance(parent, ast.BinOp):
        other = parent.left if parent.right is node else parent.right
        textual = isinstance(other, ast.JoinedStr) or (
            isinstance(other, ast.Constant) and isinstance(other.value, str)
        )
        text = '""' if textual else "1" if _divides(parent, node) else "0"
        yield Fallback(text, 0.6, "use", "is neutral in the operation")
    elif isinstance(parent, ast.Compare | ast.UnaryOp):
        yield Fallback("0", 0.5, "use", "is neutral in the comparison")
    elif isinstance(parent, ast.FormattedValue):
        yield Fallback('""', 0.5, "use", "shows nothing in the text")
    elif isinstance(parent, ast.comprehension | ast.For | ast.Starred):
        yield Fallback("()", 0.6, "use", "loops over nothing")
    elif isinstance(parent, ast.Call) and node in parent.args:
        called = ast.unparse(parent.func).rpartition(".")[2]
        if called in ("int", "float", "round", "abs", "Decimal", "max", "min", "range"):
            yield Fallback("0", 0.6, "use", f"is neutral for {called}")
        elif called in ("len", "sum", "sorted", "list", "set", "tuple", "enumerate", "join"):
            yield Fallback("()", 0.6, "use", f"is empty for {called}")
    if _makes_text(node):
        yield Fallback('""', 0.45, "use", "is the empty text")
    if _counts(node):
        yield Fallback("0", 0.55, "use", "is the neutral number")


def _divides(operation: ast.BinOp, node: ast.expr) -> bool:
    return isinstance(operation.op, ast.Div | ast.FloorDiv | ast.Mod) and operation.right is node


def _makes_text(node: ast.expr) -> bool:
    methods = {"strip", "lower", "upper", "title", "replace", "format", "join", "casefold"}
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in methods
    )


def _counts(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) or (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("int", "float", "len", "sum", "round", "max", "min")
    )


def in_comprehension(source: Source, node: ast.AST) -> bool:
    """Whether a node is evaluated for each element of a comprehension, or in a lambda."""
    for parent in source.ancestors(node):
        if isinstance(parent, ast.stmt):
            return False
        if isinstance(parent, (*COMPREHENSIONS, ast.Lambda)):
            return True
    return False
