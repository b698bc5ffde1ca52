"""Where a template fits a function, and the exact splices that it makes there."""

from __future__ import annotations

import ast
import builtins
import copy
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from selfheal.artifacts.patterns import EditTemplate
from selfheal.repair.edit import Splice
from selfheal.repair.source import Function, Source, module_names, same
from selfheal.repair.templates.generalise import HOLE, sides

_OF_NO_MEANING = ("ctx", "type_comment", "kind")
_HOLES_IN_TEXT = re.compile(r"\b(HOLE_\d+)\b")

Bound = ast.AST | str


class Match(NamedTuple):
    """The expression, or the run of statements, that looks like a template's `before`."""

    nodes: tuple[ast.AST, ...]
    holes: dict[str, Bound]

    @property
    def line(self) -> int:
        return getattr(self.nodes[0], "lineno", 1)


def matches(template: EditTemplate, function: ast.AST) -> Iterator[Match]:
    """Every place in a function where a template's `before` fits, in the order of the text."""
    before = sides(template).before
    if template.form == "expression":
        for node in _outside_of_texts(function):
            holes: dict[str, Bound] = {}
            if isinstance(node, ast.expr) and _fits(before[0], node, template, holes):
                yield Match((node,), holes)
        return
    for block in _blocks(function):
        for start in range(len(block) - len(before) + 1):
            run, holes = block[start : start + len(before)], {}
            if all(_fits(one, two, template, holes) for one, two in zip(before, run, strict=True)):
                yield Match(tuple(run), holes)


def instance(template: EditTemplate, holes: dict[str, Bound], *, after: bool) -> list[ast.AST]:
    """One side of a template with its holes filled, as syntax."""
    side = sides(template).after if after else sides(template).before
    return [_Fill(holes).visit(copy.deepcopy(node)) for node in side]


def edit_at(
    template: EditTemplate, match: Match, source: Source, function: Function
) -> list[Splice] | None:
    """The splices that make a template's `after` of a match; what a hole holds stays as written.

    None where a name that the template brings is not known there, or where the place
    cannot be edited exactly (inside of a formatted string, on a line shared with others).
    """
    if not _known_names(template, source, function):
        return None
    if any(not _exact(node, source) for node in match.nodes):
        return None
    if template.form == "expression":
        node, wanted = match.nodes[0], instance(template, match.holes, after=True)[0]
        text = _written(template.after, match, source, wanted, "")
        splices = None if text is None else [source.replace(node, text)]
    else:
        splices = _of_statements(template, match, source)
    return splices


def _fits(pattern: ast.AST, node: ast.AST, template: EditTemplate, holes: dict[str, Bound]) -> bool:
    if isinstance(pattern, ast.Expr) and isinstance(pattern.value, ast.Name):
        name = pattern.value.id
        if template.holes.get(name) == "statement":
            return isinstance(node, ast.stmt) and _bind(name, node, holes)
    if isinstance(pattern, ast.Name) and HOLE.match(pattern.id):
        kind = template.holes.get(pattern.id, "expression")
        wanted = {"name": ast.Name, "literal": ast.Constant}.get(kind, ast.expr)
        return isinstance(node, wanted) and _bind(pattern.id, node, holes)
    if type(pattern) is not type(node):
        return False
    return all(
        _field_fits(getattr(pattern, field, None), getattr(node, field, None), template, holes)
        for field in pattern._fields
        if field not in _OF_NO_MEANING
    )


def _field_fits(
    pattern: object, value: object, template: EditTemplate, holes: dict[str, Bound]
) -> bool:
    if isinstance(pattern, ast.AST):
        return isinstance(value, ast.AST) and _fits(pattern, value, template, holes)
    if isinstance(pattern, list):
        return (
            isinstance(value, list)
            and len(pattern) == len(value)
            and all(
                _field_fits(one, two, template, holes)
                for one, two in zip(pattern, value, strict=True)
            )
        )
    if isinstance(pattern, str) and HOLE.match(pattern):
        return isinstance(value, str) and _bind(pattern, value, holes)
    return type(pattern) is type(value) and pattern == value


def _bind(name: str, value: Bound, holes: dict[str, Bound]) -> bool:
    known = holes.setdefault(name, value)
    if isinstance(known, str) or isinstance(value, str):
        return known == value
    return same(known, value)


class _Fill(ast.NodeTransformer):
    def __init__(self, holes: dict[str, Bound]) -> None:
        self._holes = holes

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Name):
            found = self._holes.get(node.value.id)
            if isinstance(found, ast.stmt):
                return copy.deepcopy(found)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        found = self._holes.get(node.id)
        if isinstance(found, ast.AST):
            return copy.deepcopy(found)
        return ast.Name(id=found, ctx=node.ctx) if isinstance(found, str) else node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field, value in ast.iter_fields(node):
            if isinstance(value, str) and isinstance(found := self._holes.get(value), str):
                setattr(node, field, found)
        return super().generic_visit(node)


def _of_statements(template: EditTemplate, match: Match, source: Source) -> list[Splice] | None:
    """Only statements that differ are touched: those that both sides share stay as they are."""
    pattern = sides(template)
    nodes = [node for node in match.nodes if isinstance(node, ast.stmt)]
    head = 0
    while head < min(map(len, pattern)) and same(pattern.before[head], pattern.after[head]):
        head += 1
    tail = 0
    most = min(map(len, pattern)) - head
    while tail < most and same(pattern.before[-1 - tail], pattern.after[-1 - tail]):
        tail += 1
    old = nodes[head : len(nodes) - tail]
    new = pattern.after[head : len(pattern.after) - tail]
    if not all(map(source.insertable, nodes)):
        return None
    indent = source.indent(nodes[0])
    text = "\n".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(n))) for n in new)
    text = re.sub(r"(?m)^(?:    )+", lambda depth: source.unit * (len(depth[0]) // 4), text)
    filled = instance(template, match.holes, after=True)[head : len(pattern.after) - tail]
    written = _written(text, match, source, filled, indent) if new else ""
    if written is None:
        return None
    if not old:
        lines = written.split("\n")
        if head < len(nodes):
            return [source.insert_before(nodes[head], lines)]
        return [source.insert_after(nodes[-1], lines)]
    start, stop = source.span(old[0])[0], source.span(old[-1])[1]
    block = source.parent(old[0])
    if not new and any(len(old) == len(body) and old[0] in body for body in _bodies(block)):
        written = "pass"
    if not written:
        start, stop = source.line_start(old[0].lineno), source.next_line(old[-1])
        return [Splice(path=source.path, start=start, stop=stop, text="")]
    body = written.replace("\n", f"{source.newline}{indent}")
    return [Splice(path=source.path, start=start, stop=stop, text=body)]


def _written(
    text: str, match: Match, source: Source, wanted: ast.AST | Sequence[ast.AST], indent: str
) -> str | None:
    """A template's text with its holes filled by the source's own words.

    Parentheses are put around what a hole holds only where the meaning needs them.
    """
    for bare in (True, False):
        words = {name: _words(name, match, source, bare) for name in match.holes}
        made = "".join(words.get(part, part) for part in _HOLES_IN_TEXT.split(text))
        made = made if not indent else _with_statements(made, match, source)
        try:
            if isinstance(wanted, ast.AST):
                found: Sequence[ast.AST] = [ast.parse(f"({made})", mode="eval").body]
                expected: Sequence[ast.AST] = [wanted]
            else:
                found, expected = ast.parse(made).body, wanted
        except SyntaxError:
            continue
        if len(found) == len(expected) and all(map(same, found, expected)):
            return made
    return None


def _words(name: str, match: Match, source: Source, bare: bool) -> str:
    found = match.holes[name]
    if isinstance(found, str):
        return found
    if isinstance(found, ast.stmt):
        return name
    words = source.segment(found)
    simple = isinstance(found, ast.Name | ast.Constant | ast.Attribute | ast.Call | ast.Subscript)
    return words if bare or simple else f"({words})"


def _with_statements(text: str, match: Match, source: Source) -> str:
    """Holes of whole statements, each on a line of its own, with its lines at its depth."""
    lines = []
    for line in text.split("\n"):
        found = match.holes.get(line.strip())
        if not isinstance(found, ast.stmt):
            lines.append(line)
            continue
        own = source.text[source.line_start(found.lineno) : source.span(found)[1]]
        depth = line[: len(line) - len(line.lstrip())]
        plain = textwrap.dedent(own.replace("\r\n", "\n"))
        lines += [f"{depth}{each}" if each else each for each in plain.split("\n")]
    return "\n".join(lines)


def _known_names(template: EditTemplate, source: Source, function: Function) -> bool:
    """Whether every name that a template brings along means something at the place."""
    before, after = sides(template)
    old = {node.id for each in before for node in ast.walk(each) if isinstance(node, ast.Name)}
    brought = {
        node.id
        for each in after
        for node in ast.walk(each)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    } - old
    bound = {
        node.id
        for each in after
        for node in ast.walk(each)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    local = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    local |= {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    return brought <= local | bound | module_names(source) | set(dir(builtins))


def _exact(node: ast.AST, source: Source) -> bool:
    """Whether a node's positions are right: those inside of formatted strings are not."""
    try:
        words = source.segment(node)
        if isinstance(node, ast.expr):
            return same(ast.parse(f"({words})", mode="eval").body, node)
    except (SyntaxError, ValueError, IndexError):
        return False
    return True


def _outside_of_texts(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.JoinedStr):
            yield from _outside_of_texts(child)


def _bodies(node: ast.AST | None) -> Iterator[list[ast.stmt]]:
    for _, value in ast.iter_fields(node) if node is not None else ():
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            yield value


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for each in ast.walk(node):
        yield from _bodies(each)
