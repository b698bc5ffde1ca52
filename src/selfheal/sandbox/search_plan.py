"""How an edit can be tried: by exchanging whole functions, or only by importing its files."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from selfheal.repair import Edit, Splice
from selfheal.repair.edit import spliced
from selfheal.repair.source import FUNCTIONS, Function, Source, first_line
from selfheal.sandbox.changes import ChangedFile
from selfheal.sandbox.forkserver import FunctionChange
from selfheal.sandbox.search_model import Plan, Region


class _Outer(NamedTuple):
    """An outermost function: characters ``start:stop``, those of its body from `body` on.

    `defaults` are the characters of parameters' defaults that are literals.
    """

    node: Function
    classes: tuple[str, ...]
    start: int
    body: int
    stop: int
    defaults: tuple[tuple[int, int], ...] = ()


class Planner:
    """Plans for edits of texts (by path); a file is parsed once."""

    def __init__(self, sources: Mapping[str, str | None]) -> None:
        self._sources = sources
        self._outer: dict[str, list[_Outer] | None] = {}

    def plan(self, edit: Edit) -> Plan:
        """The outermost functions that change, with their new texts where bodies alone change."""
        touched: dict[tuple[str, int], tuple[_Outer, list[Splice]]] = {}
        whole = not edit.files
        regions = set()
        for splice in edit.splices:
            outer = self._around(splice)
            if outer is None:
                whole = False
                continue
            whole = whole and (splice.start >= outer.body or self._is_default(outer, splice))
            touched.setdefault((splice.path, outer.start), (outer, []))[1].append(splice)
            node = outer.node
            regions.add(Region(splice.path, first_line(node), node.end_lineno or node.lineno))
        if not whole or not touched:
            return Plan(tuple(sorted(regions)), None)
        changes = [
            self._change(path, outer, splices) for (path, _), (outer, splices) in touched.items()
        ]
        return Plan(tuple(sorted(regions)), tuple(changes))

    def regions(self, path: str) -> list[Region]:
        """The outermost functions of a file."""
        found = [outer.node for outer in self._functions(path) or ()]
        return [Region(path, first_line(node), node.end_lineno or node.lineno) for node in found]

    def names(self, path: str) -> list[tuple[str, str]]:
        """The outermost functions of a file as ``(path, qualified name)``."""
        found = self._functions(path) or ()
        return sorted({(path, qualified(outer.node.name, outer.classes)) for outer in found})

    def _around(self, splice: Splice) -> _Outer | None:
        return next(
            (
                outer
                for outer in self._functions(splice.path) or ()
                if outer.start <= splice.start and splice.stop <= outer.stop
            ),
            None,
        )

    def _functions(self, path: str) -> list[_Outer] | None:
        if path not in self._outer:
            text = self._sources.get(path)
            try:
                source = Source(path, text) if text is not None else None
            except (SyntaxError, ValueError, RecursionError):
                source = None
            self._outer[path] = list(_outermost(source, source.tree, ())) if source else None
        return self._outer[path]

    def _is_default(self, outer: _Outer, splice: Splice) -> bool:
        """Whether a splice makes another literal of a literal that is a parameter's default."""
        text = self._sources[splice.path] or ""
        for start, stop in outer.defaults:
            if start <= splice.start and splice.stop <= stop:
                return is_literal(
                    text[start : splice.start] + splice.text + text[splice.stop : stop]
                )
        return False

    def _change(self, path: str, outer: _Outer, splices: list[Splice]) -> FunctionChange:
        text = self._sources[path] or ""
        moved = [
            each.model_copy(
                update={"start": each.start - outer.start, "stop": each.stop - outer.start}
            )
            for each in splices
        ]
        lines = sorted({first_line(outer.node), outer.node.lineno})
        source = spliced(text[outer.start : outer.stop], moved)
        in_head = any(each.start < outer.body for each in splices)
        return FunctionChange(path, outer.node.name, tuple(lines), source, outer.classes, in_head)


def is_literal(text: str) -> bool:
    """Whether an expression has a value without anything being run, as in ``ast.literal_eval``."""
    try:
        ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def qualified(name: str, classes: Sequence[str]) -> str:
    """A function's ``__qualname__``."""
    return ".".join([*classes, name])


def exchanges(files: Sequence[ChangedFile]) -> tuple[FunctionChange, ...] | None:
    """How the changed code of a patch is tried on live functions; None where it is not.

    Bodies of outermost functions alone may change; what is new or gone needs an import.
    """
    changes: list[FunctionChange] = []
    for file in files:
        if file.role != "code" or file.before == file.after or not file.path.endswith(".py"):
            continue
        found = _exchanged(file)
        if found is None:
            return None
        changes += found
    return tuple(changes)


def _exchanged(file: ChangedFile) -> list[FunctionChange] | None:
    if file.before is None or file.after is None:
        return None
    try:
        sources = [Source(file.path, text) for text in (file.before, file.after)]
    except (SyntaxError, ValueError, RecursionError):
        return None
    old, new = (list(_outermost(source, source.tree, ())) for source in sources)
    if len(old) != len(new):
        return None
    changes, rests = [], []
    for source, outers in zip(sources, (old, new), strict=True):
        stops = [0, *(outer.stop for outer in outers)]
        bodies = [*(outer.body for outer in outers), len(source.text)]
        rests.append([source.text[a:b] for a, b in zip(stops, bodies, strict=True)])
    if rests[0] != rests[1]:
        return None
    for one, other in zip(old, new, strict=True):
        before, after = file.before[one.start : one.stop], file.after[other.start : other.stop]
        if before != after:
            lines = tuple(sorted({first_line(one.node), one.node.lineno}))
            changes.append(FunctionChange(file.path, one.node.name, lines, after, one.classes))
    return changes


def _outermost(source: Source, node: ast.AST, classes: tuple[str, ...]) -> Iterator[_Outer]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS):
            first = child.body[0]
            body = source.line_start(
                first_line(first) if isinstance(first, FUNCTIONS) else first.lineno
            )
            if first.lineno == child.lineno:
                body = source.span(first)[0]
            start = source.line_start(first_line(child))
            values = [*child.args.defaults, *filter(None, child.args.kw_defaults)]
            defaults = tuple(
                source.span(each) for each in values if is_literal(source.segment(each))
            )
            yield _Outer(child, classes, start, body, source.next_line(child), defaults)
        elif isinstance(child, ast.ClassDef):
            yield from _outermost(source, child, (*classes, child.name))
        elif isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _outermost(source, child, classes)
