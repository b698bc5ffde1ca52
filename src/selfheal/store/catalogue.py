"""The analyses that are shipped: one file each in ``sql/``, in DuckDB's dialect.

A file begins with comments: the first line says what the analysis answers, the lines
until the first empty one say more, and each parameter has a line
``-- $name TYPE = default: what it means`` with TYPE text, integer or double.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, cast

from selfheal.errors import InvalidInput, NotFound

ParameterType = Literal["text", "integer", "double"]
_PARAMETER = re.compile(r"\$(\w+) (text|integer|double) = (.+?): (.+)")


@dataclass(frozen=True)
class Parameter:
    """A value that the statement names as ``$name``."""

    name: str
    type: ParameterType
    default: str | int | float | None
    meaning: str

    def value_of(self, text: str) -> str | int | float:
        """A value as it is typed on a command line. Raises InvalidInput."""
        try:
            return _typed(self.type, text)
        except ValueError:
            raise InvalidInput(
                f"{text!r} is no {self.type}.", where=f"the parameter {self.name}"
            ) from None


@dataclass(frozen=True)
class Query:
    """One analysis: `title` in a line, `description` in full, the statement, its parameters."""

    name: str
    title: str
    description: str
    sql: str
    parameters: tuple[Parameter, ...]

    def values(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The value of each parameter: what was given, else its default. Raises InvalidInput."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                names = ", ".join(known) or "none"
                raise InvalidInput(
                    f"{self.name} has no parameter {name}.", hint=f"Its parameters: {names}."
                )
        return {
            name: parameter.value_of(given[name]) if name in given else parameter.default
            for name, parameter in known.items()
        }


@cache
def catalogue() -> Mapping[str, Query]:
    """Every analysis by its name, in the order of names."""
    files = sorted(
        (file for file in resources.files(f"{__package__}.sql").iterdir()),
        key=lambda file: file.name,
    )
    found = (
        parse(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in files
        if file.name.endswith(".sql")
    )
    return {query.name: query for query in found}


def query_named(name: str) -> Query:
    """The analysis of this name. Raises NotFound with the nearest one."""
    known = catalogue()
    if name in known:
        return known[name]
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {nearest[0]}?" if nearest else "See: selfheal query --list"
    raise NotFound(f"there is no query {name}.", hint=hint)


def parse(name: str, text: str) -> Query:
    """A file of ``sql/`` as a Query. Raises ValueError where its head is malformed."""
    lines = text.splitlines()
    length = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    head = [line.removeprefix("--").strip() for line in lines[:length]]
    parameters = [line for line in head if line.startswith("$")]
    prose = [line for line in head if line and not line.startswith("$")]
    if not prose:
        raise ValueError(f"{name}.sql does not say what it answers")
    return Query(
        name=name,
        title=prose[0].rstrip("."),
        description=" ".join(prose),
        sql="\n".join(lines[length:]).strip().rstrip(";"),
        parameters=tuple(_parameter(name, line) for line in parameters),
    )


def _parameter(query: str, line: str) -> Parameter:
    match = _PARAMETER.fullmatch(line)
    if match is None:
        raise ValueError(f"{query}.sql: not `$name TYPE = default: meaning`: {line}")
    name, kind, default, meaning = match.groups()
    type_ = cast("ParameterType", kind)
    value = None if default == "NULL" else _typed(type_, default)
    return Parameter(name, type_, value, meaning)


def _typed(kind: ParameterType, text: str) -> str | int | float:
    match kind:
        case "text":
            return text
        case "integer":
            return int(text)
        case "double":
            return float(text)
