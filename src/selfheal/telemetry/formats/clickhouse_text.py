"""Values as ClickHouse's tab-separated formats write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.S)
_ESCAPED = {"b": "\b", "f": "\f", "r": "\r", "n": "\n", "t": "\t", "0": "\0", "a": "\a", "v": "\v"}
_TOKEN = re.compile(
    r"\s*(?:'(?P<text>(?:[^'\\]|\\.)*)'|(?P<mark>[\[\]{}(),:])|(?P<bare>[^\s\[\]{}(),:']+))", re.S
)
_CLOSING = {"[": "]", "(": ")", "{": "}"}


def unescaped(cell: str) -> str | None:
    r"""A text cell without its backslash escapes; None for ``\N``."""
    if cell == "\\N":
        return None
    return _ESCAPE.sub(_character, cell) if "\\" in cell else cell


def _character(escape: re.Match[str]) -> str:
    code = escape[1]
    return chr(int(code[1:], 16)) if len(code) == 3 else _ESCAPED.get(code, code)


def literal(cell: str) -> Any:
    """An array, tuple or map in ClickHouse's notation, like ``{'a':['b',1]}``.

    Raises ValueError where it is none.
    """
    tokens = _tokens(cell)
    value = _value(next(tokens, ("mark", "end")), tokens)
    if next(tokens, None) is not None:
        raise ValueError("there is something after the value")
    return value


def _tokens(cell: str) -> Iterator[tuple[str, str]]:
    """Kind (text, mark or bare) and content of each token; ends with a mark that is none."""
    position = 0
    cell = cell.rstrip()
    while position < len(cell):
        match = _TOKEN.match(cell, position)
        if match is None:
            raise ValueError(f"unexpected {cell[position : position + 10]!r}")
        kind = str(match.lastgroup)
        yield kind, match[kind]
        position = match.end()


def _value(token: tuple[str, str], tokens: Iterator[tuple[str, str]]) -> Any:
    kind, content = token
    if kind == "text":
        return unescaped(content) if content != "\\N" else content
    if kind == "bare":
        return _number(content)
    if content not in _CLOSING:
        raise ValueError(f"unexpected {content!r}")
    items: list[Any] = []
    keys: list[Any] = []
    closing = ("mark", _CLOSING[content])
    for following in tokens:
        if following == closing:
            return dict(zip(keys, items, strict=True)) if content == "{" else items
        if following == ("mark", ","):
            continue
        value = _value(following, tokens)
        if content == "{":
            if next(tokens, None) != ("mark", ":"):
                raise ValueError("a key without a value")
            keys.append(value)
            value = _value(next(tokens, ("mark", "end")), tokens)
        items.append(value)
    raise ValueError("it does not end")


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None if text == "NULL" else text
