"""Faults to seed: small mistakes of the kinds that reviews let through.

The operators are those of mutation testing (see `selfheal.sandbox.mutants`) and two more
that stand for what production meets: a default that is gone, and a guard that is gone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from selfheal.artifacts.canonical import canonical_bytes, sha256_of
from selfheal.artifacts.model import Model
from selfheal.repair.edit import Edit, Splice, edited
from selfheal.repair.source import LEAVES, Source, parse
from selfheal.sandbox.changes import role_of
from selfheal.sandbox.mutants import Lines, mutants_of


class Fault(Model):
    """One change of one file; `text` is the whole file with it. `line` and `what` are for people."""

    id: str
    file: str
    line: int
    function: str
    what: str
    text: str


def faults_of(texts: Mapping[str, str], seed: int) -> list[Fault]:
    """All faults that fit the code of `texts` (path to text), in an order drawn by `seed`.

    The first of every function come before the second of any.
    """
    found: list[Fault] = []
    for path in sorted(texts):
        source = parse(path, texts[path]) if role_of(path) == "code" else None
        if source is not None:
            found += _in_file(source)
    drawn = sorted(found, key=lambda fault: sha256_of(canonical_bytes([seed, fault.id])))
    rounds: dict[tuple[str, str], int] = {}
    order = {}
    for fault in drawn:
        place = (fault.file, fault.function)
        order[fault.id] = rounds[place] = rounds.get(place, -1) + 1
    return sorted(drawn, key=lambda fault: order[fault.id])


def _in_file(source: Source) -> Iterator[Fault]:
    everywhere = frozenset(range(1, source.lines + 1))
    edits = [*mutants_of([Lines(source.path, source.text, everywhere)]), *_gone(source)]
    seen = set()
    for edit in edits:
        start = edit.splices[0].start
        line = source.text[:start].count("\n") + 1
        function = source.function_at(line)
        text = edited(edit, {source.path: source.text})[source.path]
        if function is None or text is None or parse(source.path, text) is None or text in seen:
            continue
        seen.add(text)
        identity = canonical_bytes([source.path, start, edit.template, text])
        yield Fault(
            id=f"fault-{sha256_of(identity)[:12]}",
            file=source.path,
            line=line,
            function=function.name,
            what=edit.template,
            text=text,
        )


def _gone(source: Source) -> Iterator[Edit]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and _has_default(node):
            assert isinstance(node.func, ast.Attribute)
            holder, key = source.segment(node.func.value), source.segment(node.args[0])
            yield _edit(source.replace(node, f"{holder}[{key}]"), "the default is gone")
        elif isinstance(node, ast.If) and _only_exits(node) and not source.is_elif(node):
            yield _edit(source.replace(node, "pass"), "the guard is gone")


def _has_default(node: ast.Call) -> bool:
    is_get = isinstance(node.func, ast.Attribute) and node.func.attr == "get"
    return is_get and len(node.args) == 2 and not node.keywords


def _only_exits(node: ast.If) -> bool:
    return not node.orelse and isinstance(node.body[-1], LEAVES)


def _edit(splice: Splice, told: str) -> Edit:
    return Edit(strategy="fault", template=told, explanation="", fit=0.0, splices=[splice])
