"""What the texts of failures say of the fix: exception types, names, values that differ."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from selfheal.repair.edits.model import Hints

_EXCEPTION = re.compile(r"\b(?:[a-z_]\w*\.)*([A-Z]\w*(?:Error|Exception|Exit|Iteration|Warning))\b")
_WANTED = re.compile(
    r"DID NOT RAISE (?:any of )?\(?<class '([\w.]+)'>|\b([A-Z]\w*(?:Error|Exception)) not raised"
)
_QUOTED = re.compile(r"'([^'\n]{1,80})'|\"([^\"\n]{1,80})\"")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*\Z")
# pytest: "assert 3 == 4"; unittest: "AssertionError: 3 != 4 : message".
_COMPARED = re.compile(
    r"^(?:E\s+)?(?:assert\s+|AssertionError:\s*(?:assert\s+)?)(.{1,400}?) (?:==|!=|is) (.{1,400})$",
    re.MULTILINE,
)


def read_hints(exceptions: Iterable[str], messages: Iterable[str]) -> Hints:
    """Hints from exception types (with or without module) and texts of failures.

    Of ``assert f(2) == 4`` with pytest's ``where 3 = f(2)`` the values are ``3`` and ``4``;
    sides that are no Python literals are left out, a test's expected side may be either.
    """
    texts = tuple(dict.fromkeys(messages))
    types = [each.rpartition(".")[2] for each in exceptions if each]
    names: set[str] = set()
    expected: list[str] = []
    actual: list[str] = []
    wanted: list[str] = []
    homes: list[tuple[str, str]] = []
    for text in texts:
        types += _EXCEPTION.findall(text)
        for one, other in _WANTED.findall(text):
            home, _, name = (one or other).rpartition(".")
            wanted.append(name)
            homes += [(name, home)] if home and home != "builtins" else []
        for groups in _QUOTED.findall(text):
            names |= {each for each in groups if each}
        for left, right in _COMPARED.findall(text):
            one, other = _literal(left), _literal(right)
            if one is not None and other is not None and one != other:
                actual.append(one)
                expected.append(other)
    return Hints(
        exceptions=tuple(dict.fromkeys(types)),
        messages=texts,
        names=frozenset(names),
        expected=tuple(expected),
        actual=tuple(actual),
        wanted=tuple(dict.fromkeys(wanted)),
        homes=tuple(dict.fromkeys(homes)),
    )


def _literal(text: str) -> str | None:
    text = text.strip()
    for stop in (len(text), text.rfind(" : ")):
        if stop <= 0:
            continue
        try:
            ast.literal_eval(text[:stop])
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
        return text[:stop]
    return None


def identifiers(hints: Hints) -> list[str]:
    """The names of the messages that can stand in code, sorted."""
    return sorted(name for name in hints.names if _IDENTIFIER.match(name))
