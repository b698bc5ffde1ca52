"""A pattern that each turn of a loop compiles again is compiled once before it.

The module ``re`` keeps a few hundred patterns; what looks there in each turn, or does not
find it there, pays for nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.repair.costs import asked
from selfheal.repair.edit import Edit
from selfheal.repair.loops import Loop, loops, outer_loops
from selfheal.repair.problem import Problem
from selfheal.repair.source import is_plain
from selfheal.repair.strategies.base import Example, imported, performance_strategy
from selfheal.repair.strategies.scope import scope

NAME = "compile_once"
# The functions of `re` by how many arguments a compiled pattern's method takes after the pattern.
_METHODS = {
    "match": 1,
    "search": 1,
    "fullmatch": 1,
    "findall": 1,
    "finditer": 1,
    "split": 2,
    "sub": 3,
    "subn": 3,
}


def propose(problem: Problem) -> Iterator[Edit]:
    if not asked(problem, "compile_in_loop"):
        return
    for source, function, factor in scope(problem):
        if not imported(source, "re"):
            continue
        every = loops(source, function)
        for loop in every:
            enclosing = [*outer_loops(loop, every), loop]
            for call in _calls(loop):
                yield _compiled(enclosing, call, factor)


def _calls(loop: Loop) -> Iterator[ast.Call]:
    """``re.match(pattern, text)`` with a pattern that stays the same in all turns."""
    for node in loop.nodes():
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name = node.func.attr
        if ast.unparse(node.func.value) != "re" or name not in _METHODS or len(node.args) < 2:
            continue
        pattern = node.args[0]
        free = not isinstance(pattern, ast.Constant) and loop.invariant(pattern)
        simple = is_plain(pattern) or isinstance(pattern, ast.BinOp | ast.JoinedStr)
        known = all(each.arg in ("flags", "count", "maxsplit") for each in node.keywords)
        if free and simple and known and len(node.args) <= _METHODS[name] + 1:
            flags = [each.value for each in node.keywords if each.arg == "flags"]
            if all(loop.invariant(each) for each in flags):
                yield node


def _compiled(enclosing: list[Loop], call: ast.Call, factor: float) -> Edit:
    loop = next(
        each
        for each in enclosing
        if all(inner.invariant(call.args[0]) for inner in enclosing[enclosing.index(each) :])
    )
    source = loop.source
    assert isinstance(call.func, ast.Attribute)
    first = call.args[0]
    wish = f"{first.id}_compiled" if isinstance(first, ast.Name) else "compiled"
    name = source.fresh(loop.function, wish)
    flags = [source.segment(each.value) for each in call.keywords if each.arg == "flags"]
    made = f"{name} = re.compile({', '.join([source.segment(first), *flags])})"
    rest = [source.segment(each) for each in call.args[1:]]
    rest += [source.segment(each) for each in call.keywords if each.arg != "flags"]
    return Edit(
        strategy=NAME,
        template=NAME,
        explanation=f"In {loop.function.name}, `{source.segment(first)}` is compiled once "
        "before the loop.",
        fit=round(0.9 * factor, 6),
        splices=[
            loop.prepare([made]),
            source.replace(call, f"{name}.{call.func.attr}({', '.join(rest)})"),
        ],
    )


STRATEGY = performance_strategy(
    NAME,
    propose,
    Example(
        before="import re\n\n\ndef hits(prefix, lines):\n    found = 0\n    for line in lines:\n"
        "        if re.search(rf'{prefix}\\d+', line, flags=re.I):\n            found += 1\n"
        "    return found\n",
        after="import re\n\n\ndef hits(prefix, lines):\n    found = 0\n"
        "    compiled = re.compile(rf'{prefix}\\d+', re.I)\n    for line in lines:\n"
        "        if compiled.search(line):\n            found += 1\n    return found\n",
        line=7,
        evidence={"slow_pattern": "compile_in_loop"},
    ),
)
