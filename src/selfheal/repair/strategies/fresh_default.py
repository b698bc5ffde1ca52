"""A mutable default value, made once for all calls, becomes one made by each call.

``def f(x, seen=[])`` → ``seen=None`` and ``if seen is None: seen = []`` (Python FAQ, "Why
are default values shared between objects?").
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from selfheal.codebase.index import own_nodes
from selfheal.codebase.mutation import changes_of, defaults_of, escapes, is_mutable_value
from selfheal.repair.blocks import first_statement
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.source import Source
from selfheal.repair.state import accused, edit, state_strategy
from selfheal.repair.strategies.base import Example

NAME = "fresh_default"


def propose(problem: Problem) -> Iterator[Edit]:
    for owned in accused(problem, "mutable_default"):
        source, function = owned.source, owned.function
        anchor = first_statement(source, function)
        if anchor is None:
            continue
        for argument, value in defaults_of(function):
            name, text = argument.arg, source.segment(value)
            shared = changes_of(own_nodes(function), name) or escapes(function, name)
            if not is_mutable_value(value) or not shared or "\n" in text or _reads(value):
                continue
            lines = [f"if {name} is None:", f"{source.unit}{name} = {text}"]
            yield edit(
                owned,
                NAME,
                NAME,
                f"each call without {name} gets a `{text}` of its own; "
                "all calls shared the one made at the definition.",
                0.95,
                [
                    source.replace(value, "None"),
                    *_annotation(source, argument),
                    source.insert_before(anchor, lines),
                ],
                parameter=name,
                default=text,
            )


def _reads(value: ast.expr) -> bool:
    """Whether a default depends on values of the time of definition, which a call need not find."""
    called = {id(node.func) for node in ast.walk(value) if isinstance(node, ast.Call)}
    return any(isinstance(node, ast.Name) and id(node) not in called for node in ast.walk(value))


def _annotation(source: Source, argument: ast.arg) -> list[Splice]:
    """``list[int]`` → ``list[int] | None``; what is text, or allows None already, stays."""
    annotation = argument.annotation
    if annotation is None or isinstance(annotation, ast.Constant):
        return []
    text = source.segment(annotation)
    if "None" in text or "Optional" in text or "Any" in text:
        return []
    return [source.replace(annotation, f"{text} | None")]


STRATEGY = state_strategy(
    NAME,
    propose,
    Example(
        before='def tag(word, tags=[]):\n    """All tags."""\n    tags.append(word)\n    return tags\n',
        after='def tag(word, tags=None):\n    """All tags."""\n    if tags is None:\n'
        "        tags = []\n    tags.append(word)\n    return tags\n",
        line=3,
    ),
    Example(
        before="def count(words, *, into: dict[str, int] = {}):\n    for word in words:\n"
        "        into[word] = into.get(word, 0) + 1  # each\n    return into\n",
        after="def count(words, *, into: dict[str, int] | None = None):\n    if into is None:\n"
        "        into = {}\n    for word in words:\n"
        "        into[word] = into.get(word, 0) + 1  # each\n    return into\n",
        line=3,
    ),
    kinds=frozenset({"state", "error"}),
    fault=True,
)
