"""Documents as lines and entries, so that a part is changed where it stands and the rest stays.

An entry is a line that is about one thing: a row of a table, an item of a list, or a line
by itself that begins with it. What a line says beside its subject is its description.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from selfheal.analysis.promises import METHODS, parts, stem, wanted
from selfheal.repair.edit import Splice

# A path ends where the detector of documents ends it.
OPERATION = re.compile(rf"\b({'|'.join(METHODS)})\s+(/[^\s`\"'|)\],;]*)")
_ENTRY = re.compile(r"^\s*(?:\|\s*|[-*+]\s+|\d+[.)]\s+|#+\s+)?[*_`\[]*")
_LIST_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s")
_SEPARATOR = re.compile(r"^([`*_\])]*)(\s+(?:[—–-]{1,2}|→)\s+|:\s+)(\S.*)$", re.DOTALL)
_PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>|\{(\w+)(?::\w+)?\}|(?<=/):(\w+)")


class Line(NamedTuple):
    """A line of a document: its number, its characters, and those that end it."""

    path: str
    number: int
    start: int
    text: str
    end: str

    @property
    def stop(self) -> int:
        return self.start + len(self.text)

    @property
    def is_row(self) -> bool:
        return self.text.lstrip().startswith("|")

    @property
    def is_item(self) -> bool:
        return _LIST_ITEM.match(self.text) is not None

    def begins_with(self, at: int) -> bool:
        """Whether what stands at a column is the subject of the line."""
        lead = _ENTRY.match(self.text)
        return lead is not None and lead.end() >= at and not self.text[:at].lstrip().startswith("#")

    def splice(self, start: int, stop: int, text: str) -> Splice:
        """Columns of the line become a text."""
        return Splice(path=self.path, start=self.start + start, stop=self.start + stop, text=text)


def documents(sources: Mapping[str, str]) -> dict[str, str]:
    """The project's own documents among the texts, those of the past and of others left out."""
    kinds = wanted(sources)
    return {path: sources[path] for path, kind in kinds.items() if kind == "document"}


def lines(path: str, text: str) -> list[Line]:
    """All lines, split where the detector of documents splits them."""
    found: list[Line] = []
    at = 0
    for number, whole in enumerate(text.splitlines(keepends=True), 1):
        bare = whole.splitlines()[0]
        found.append(Line(path, number, at, bare, whole[len(bare) :]))
        at += len(whole)
    return found


class Mention(NamedTuple):
    """``METHOD /path`` in a line, at columns ``start:stop``; a query is part of it."""

    line: Line
    method: str
    path: str
    start: int
    stop: int

    @property
    def is_entry(self) -> bool:
        first = OPERATION.search(self.line.text)
        is_first = first is not None and first.start() == self.start
        return is_first if self.line.is_row else self.line.begins_with(self.start)


def mentions(path: str, text: str) -> Iterator[Mention]:
    """Every operation that a document names."""
    for line in lines(path, text):
        for found in OPERATION.finditer(line.text):
            named = stem(found[2])
            yield Mention(line, found[1], named, found.start(), found.start(2) + len(named))


def removed(line: Line, text: str) -> Splice:
    """The whole entry taken out: its line, and of an item of a list the lines that go on with it."""
    last = line
    if line.is_item:
        indent = len(line.text) - len(line.text.lstrip())
        for following in lines(line.path, text)[line.number :]:
            deeper = len(following.text) - len(following.text.lstrip()) > indent
            if not following.text.strip() or not deeper or following.is_item:
                break
            last = following
    return Splice(path=line.path, start=line.start, stop=last.stop + len(last.end), text="")


def entry_like(mention: Mention, operation: str, description: str) -> str:
    """A line about another operation, written as the line of `mention` is."""
    line = mention.line
    if line.is_row:
        return _row_like(line, mention, operation, description)
    before, after = line.text[: mention.start], line.text[mention.stop :]
    found = _SEPARATOR.match(after)
    if found is not None:
        after = f"{found[1]}{found[2]}{description}" if description else found[1]
    elif after.strip("`*_)] "):
        after = re.match(r"[`*_\])]*", after)[0]  # type: ignore[index]
    return f"{before}{operation}{after}"


def _row_like(line: Line, mention: Mention, operation: str, description: str) -> str:
    """The same cells: the operation's, then the description; others of which nothing is known are empty."""
    borders = [found.start() for found in re.finditer(r"(?<!\\)\|", line.text)]
    cells = list(zip(borders, [*borders[1:], len(line.text)], strict=True))
    written = [line.text[: borders[0]]]
    told = False
    for start, stop in cells:
        cell = line.text[start + 1 : stop]
        if start < mention.start < stop:
            column = mention.start - start - 1
            new = f"{cell[:column]}{operation}{cell[column + mention.stop - mention.start :]}"
        elif stop == len(line.text):
            new = cell
        else:
            new = f" {description} " if start > mention.start and not told else " "
            told = told or start > mention.start
        written.append(f"|{new}")
    return "".join(written)


def in_style_of(path: str, known: list[str]) -> str:
    """A path with its placeholders written as those of other paths (``<id>``, ``{id}``, ``:id``)."""
    for other in known:
        found = _PLACEHOLDER.search(other)
        if found is not None:
            form = "<{}>" if found[1] else "{{{}}}" if found[2] else ":{}"
            return _with_placeholders(path, form)
    return path


def _with_placeholders(path: str, form: str) -> str:
    return _PLACEHOLDER.sub(lambda each: form.format(each[1] or each[2] or each[3]), path)


def near(path: str, known: list[Mention]) -> Mention:
    """The mention after which an operation belongs: the last of those that share most of its path."""
    wanted_parts = parts(path)

    def shared(mention: Mention) -> int:
        same = 0
        for one, other in zip(parts(mention.path), wanted_parts, strict=False):
            if one != other:
                break
            same += 1
        return same

    most = max(shared(each) for each in known)
    return [each for each in known if shared(each) == most][-1]
