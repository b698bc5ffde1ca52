"""The parameters that a docstring tells of, with their places in the file.

Google style (the section ``Args:``), NumPy style (``Parameters`` underlined) and
reStructuredText (``:param name:``), as their style guides describe them.
"""

from __future__ import annotations

import ast
import bisect
import itertools
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Style = Literal["google", "numpy", "rest"]

_BOM = "\ufeff"

_GOOGLE = re.compile(
    r"^(?P<indent>[ \t]*)(?:Args|Arguments|Parameters|Params):[ \t]*$", re.MULTILINE
)
_GOOGLE_ENTRY = re.compile(r"^(?P<indent>[ \t]+)\*{0,2}(?P<name>[A-Za-z_]\w*)(?P<type>[ \t]*\([^)\n]*\))?:(?=\s|$)")  # fmt: skip
_NUMPY = re.compile(r"^(?P<indent>[ \t]*)Parameters[ \t]*\r?\n[ \t]*-{3,}[ \t]*$", re.MULTILINE)
_NUMPY_ENTRY = re.compile(
    r"^(?P<indent>[ \t]*)\*{0,2}(?P<name>[A-Za-z_]\w*)(?P<type>[ \t]*:[^\n\r]*)?\r?$"
)
_REST = re.compile(r"^(?P<indent>[ \t]*):param(?:eter)?(?P<type>[ \t]+[^:\n]*?)?[ \t]+\*{0,2}(?P<name>[A-Za-z_]\w*):", re.MULTILINE)  # fmt: skip
_REST_FIELD = re.compile(r"^[ \t]*:\w+", re.MULTILINE)
_UNDERLINED = re.compile(r"^[ \t]*\w[\w ]*\r?\n[ \t]*-{3,}[ \t]*$", re.MULTILINE)


class Text:
    """The text of a file with its lines' places, so that syntax nodes are found in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        # What ast calls a line ends at these alone.
        self._lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", text.removeprefix(_BOM))
        shift = len(text) - len(text.removeprefix(_BOM))
        self._starts = [shift, *itertools.accumulate(map(len, self._lines), initial=shift)][1:]

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """The characters of a node."""
        stop_line, stop_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self._offset(node.lineno, node.col_offset), self._offset(stop_line, stop_column)

    def source(self, node: ast.expr | ast.stmt) -> str:
        return self.text[slice(*self.span(node))]

    def line_of(self, at: int) -> int:
        """The number of the line (from 1) that holds a character."""
        return bisect.bisect_right(self._starts, at)

    def _offset(self, line: int, column: int) -> int:
        whole = self._lines[line - 1]
        start = self._starts[line - 1]
        return start + (column if whole.isascii() else len(whole.encode()[:column].decode()))


class Entry(NamedTuple):
    """A parameter's part of a docstring: characters ``start:stop`` of the file, whole lines."""

    style: Style
    name: str
    indent: str
    name_start: int
    name_stop: int
    start: int
    stop: int

    def like(self, text: str, name: str, annotation: str, default: str) -> str:
        """The lines that tell of another parameter in the same style, from facts alone."""
        newline = "\r\n" if "\r\n" in text[self.start : self.stop] else "\n"
        own = text[self.start : self.stop].split("\n", 1)[0]
        typed = annotation and (
            bool(re.search(r"\w\s*\([^)]*\):", own)) if self.style == "google" else True
        )
        told = f"Defaults to {default}." if default else "Required."
        if self.style == "google":
            kind = f" ({annotation})" if typed else ""
            return f"{self.indent}{name}{kind}: {told}{newline}"
        if self.style == "numpy":
            kind = f" : {annotation}" if annotation else ""
            return f"{self.indent}{name}{kind}{newline}{self.indent}    {told}{newline}"
        kind = f" {annotation}" if annotation and re.search(r":param\s+\S+\s+\w+:", own) else ""
        return f"{self.indent}:param{kind} {name}: {told}{newline}"


def entries(
    read: Text, holder: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
) -> list[Entry]:
    """The parameters that the docstring of a function or class of a file tells of."""
    first = holder.body[0]
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return []
    if not isinstance(first.value.value, str):
        return []
    begun, stop = read.span(first)
    text = read.text
    # Escapes would move what is read away from what is written; a raw text has none.
    if "\\" in text[begun:stop] and text[begun] not in "rR":
        return []
    found = [*_google(text, begun, stop), *_numpy(text, begun, stop), *_rest(text, begun, stop)]
    names = [entry.name for entry in found]
    return found if len(set(names)) == len(names) and len({e.style for e in found}) == 1 else []


def _lines(text: str, start: int, stop: int) -> Iterator[tuple[int, str]]:
    at = start
    for line in text[start:stop].splitlines(keepends=True):
        yield at, line
        at += len(line)


def _google(text: str, begun: int, stop: int) -> Iterator[Entry]:
    section = _GOOGLE.search(text, begun, stop)
    if section is None:
        return
    start = text.find("\n", section.end()) + 1
    rows: list[tuple[int, re.Match[str]]] = []
    end = start
    indent: str | None = None
    for at, line in _lines(text, start, stop):
        if not line.strip():
            continue
        own = line[: len(line) - len(line.lstrip())]
        if len(own) <= len(section["indent"]) or _closes(line):
            break
        entry = _GOOGLE_ENTRY.match(line)
        if entry and (indent is None or own == indent):
            indent = own
            rows.append((at, entry))
        elif indent is None:
            return
        end = at + len(line)
    yield from _entries("google", rows, end)


def _numpy(text: str, begun: int, stop: int) -> Iterator[Entry]:
    section = _NUMPY.search(text, begun, stop)
    if section is None:
        return
    start = text.find("\n", section.end()) + 1
    following = _UNDERLINED.search(text, start, stop)
    limit = following.start() if following else stop
    rows: list[tuple[int, re.Match[str]]] = []
    end = start
    for at, line in _lines(text, start, limit):
        if not line.strip():
            continue
        own = line[: len(line) - len(line.lstrip())]
        if len(own) < len(section["indent"]) or _closes(line):
            break
        entry = _NUMPY_ENTRY.match(line)
        if entry and own == section["indent"]:
            rows.append((at, entry))
        elif own == section["indent"] or not rows:
            return
        end = at + len(line)
    yield from _entries("numpy", rows, end)


def _rest(text: str, begun: int, stop: int) -> Iterator[Entry]:
    fields = list(_REST_FIELD.finditer(text, begun, stop))
    for found in _REST.finditer(text, begun, stop):
        line = text.rfind("\n", 0, found.start()) + 1
        later = [each.start() for each in fields if each.start() > found.start()]
        end = line
        for at, row in _lines(text, line, later[0] if later else stop):
            own = len(row) - len(row.lstrip(" \t"))
            if at > line and (not row.strip() or own <= len(found["indent"]) or _closes(row)):
                break
            end = at + len(row)
        if text[line : found.start()].strip() or _closes(text[line:end]):
            continue
        yield Entry(
            "rest", found["name"], found["indent"], found.start("name"), found.end("name"), line, end
        )  # fmt: skip


def _closes(line: str) -> bool:
    """Whether the docstring ends in a line, which therefore is no line of its own."""
    return '"""' in line or "'''" in line


def _entries(style: Style, rows: list[tuple[int, re.Match[str]]], end: int) -> Iterator[Entry]:
    if not rows:
        return
    stops = [*(at for at, _ in rows[1:]), end]
    for (at, found), stop in zip(rows, stops, strict=True):
        yield Entry(
            style, found["name"], found["indent"], at + found.start("name"), at + found.end("name"), at, stop
        )  # fmt: skip
