"""Text that is not a number, a date or a document: a default, or the reply to bad input."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from selfheal.repair.edit import Edit, Splice
from selfheal.repair.fallbacks import Fallback, expressions, in_comprehension, statements
from selfheal.repair.problem import Place, Problem
from selfheal.repair.strategies.base import (
    Example,
    conditional,
    error_strategy,
    import_splices,
    imported,
    replacement,
)

NAME = "guard_conversion"
CONVERSIONS = frozenset(
    [
        "int",
        "float",
        "complex",
        "Decimal",
        "Fraction",
        "UUID",
        "fromisoformat",
        "strptime",
        "loads",
        "fromtimestamp",
        "bytes",
        "ip_address",
        "b64decode",
        "unhexlify",
        "fromhex",
    ]
)
EXCEPTIONS = (
    "ValueError",
    "TypeError",
    "InvalidOperation",
    "ConversionSyntax",
    "JSONDecodeError",
    "OverflowError",
    "Error",
)


def propose(problem: Problem) -> Iterator[Edit]:
    if problem.exception not in EXCEPTIONS or "empty sequence" in problem.message:
        return
    for place in problem.places():
        for node in place.nodes(ast.Call):
            if isinstance(node, ast.Call) and _converts(node):
                yield from _conversion(problem, place, node)


def _converts(node: ast.Call) -> bool:
    name = ast.unparse(node.func).rpartition(".")[2]
    return name in CONVERSIONS and bool(node.args)


def _conversion(problem: Problem, place: Place, node: ast.Call) -> Iterator[Edit]:
    source = place.source
    subject = node.args[0]
    text = source.segment(subject)
    if "\n" in text:
        return
    whole = _whole(place, node)
    if _was_missing(problem.message):
        what = f"{text} is empty"
        for fallback in [*expressions(problem, place, whole, subject), _zero(node)]:
            yield conditional(place, whole, text, fallback, NAME, what)
            if fallback.text != "None" and not fallback.text.startswith("("):
                guarded = f"{text} or {fallback.text}"
                yield replacement(place, subject, guarded, fallback, NAME, what, "or_default")
    yield from _as_float(place, node, text, problem.message)
    yield from _attempts(problem, place, node, subject, text)


def _whole(place: Place, node: ast.expr) -> ast.expr:
    """The arithmetic that the number is part of."""
    parent = place.source.parent(node)
    while isinstance(parent, ast.BinOp | ast.UnaryOp):
        node, parent = parent, place.source.parent(parent)
    return node


def _was_missing(message: str) -> bool:
    shown = message.rstrip()
    return shown.endswith(("''", '""', ": ")) or "NoneType" in message or shown.endswith(":")


def _zero(node: ast.Call) -> Fallback:
    return Fallback("0", 0.5, "use", f"is neutral for {ast.unparse(node.func)}")


def _as_float(place: Place, node: ast.Call, text: str, message: str) -> Iterator[Edit]:
    """``int("12.0")`` is a number, written with a fraction."""
    shown = message.rpartition(": ")[2].strip("'\" ")
    try:
        float(shown)
    except ValueError:
        return
    if ast.unparse(node.func) == "int" and len(node.args) == 1:
        fallback = Fallback(f"float({text})", 0.5, "use", "reads a fraction too")
        what = f"{text} has a fraction"
        yield replacement(place, node.args[0], f"float({text})", fallback, NAME, what, "float")


def _attempts(
    problem: Problem, place: Place, node: ast.expr, subject: ast.expr, text: str
) -> Iterator[Edit]:
    """``try`` the statement; where the text is bad, leave as the code base does."""
    source = place.source
    statement = source.statement(node)
    if not source.insertable(statement) or isinstance(
        statement, ast.If | ast.While | ast.For | ast.With | ast.Try
    ):
        return
    caught = exception_expression(place, problem)
    if caught is None:
        return
    names, imports = caught
    exits = [] if in_comprehension(source, node) else statements(problem, place, node, subject)
    exits = exits or statements(problem, place, statement, subject)
    for fallback in exits:
        yield Edit(
            strategy=NAME,
            template=f"try_{fallback.origin}",
            explanation=f"In {place.function.name}, when {text} cannot be converted: "
            f"`{fallback.text}` {fallback.why}.",
            fit=fallback.fit - 0.02,
            parameters={"fallback": fallback.text, "origin": fallback.origin},
            splices=[*imports, *attempted(place, statement, [f"except {names}:"], [fallback.text])],
        )


def attempted(
    place: Place, statement: ast.stmt, heads: list[str], handler: list[str]
) -> list[Splice]:
    """The splices that put a statement into ``try`` with a handler."""
    source = place.source
    lines = [*heads, *(f"{source.unit}{line}" for line in handler)]
    return [
        source.insert_before(statement, ["try:"]),
        *source.indented(statement),
        source.insert_after(statement, lines),
    ]


def exception_expression(place: Place, problem: Problem) -> tuple[str, list[Splice]] | None:
    """How the file can name the exception, with the imports that it needs."""
    source = place.source
    full = str(problem.diagnosis.evidence.get("exception_type") or "")
    module, _, name = full.rpartition(".")
    module = module.removeprefix("builtins")
    if name in ("ValueError", "TypeError") and not module:
        return "(TypeError, ValueError)", []
    if name in ("ConversionSyntax", "DivisionUndefined", "InvalidOperation"):
        module, name = "decimal", "InvalidOperation"
    if not module:
        known = hasattr(builtins, name)
        return (name, []) if known else None
    if imported(source, module):
        return f"{module}.{name}", []
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        return None
    return name, import_splices(source, module, name)


STRATEGY = error_strategy(
    NAME,
    propose,
    Example(
        before="def ceiling(limit):\n    return int(limit) * 100\n",
        after="def ceiling(limit):\n    return int(limit) * 100 if limit else None\n",
        line=2,
        evidence={
            "exception_type": "ValueError",
            "message": "invalid literal for int() with base 10: ''",
        },
    ),
    Example(
        before="@app.get('/a')\ndef show(args):\n    count = int(args['n'])\n"
        "    if count < 0:\n        return 'bad', 400\n    return str(count)\n",
        after="@app.get('/a')\ndef show(args):\n    try:\n        count = int(args['n'])\n"
        "    except (TypeError, ValueError):\n        return 'bad', 400\n"
        "    if count < 0:\n        return 'bad', 400\n    return str(count)\n",
        line=3,
        evidence={
            "exception_type": "ValueError",
            "message": "invalid literal for int() with base 10: 'many'",
        },
    ),
)
