"""JSON forms of recorded values as Python source, laid out as a formatter would."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from keyword import iskeyword
from typing import Any, NamedTuple

from selfheal.recorder.values import MARK
from selfheal.repair.recorded import LIKE

WIDTH = 96
# Floats with more digits than this were computed; another machine may round the last one.
EXACT_DIGITS = 9


class Group(NamedTuple):
    """Parts between brackets: one line where they fit, else one line each."""

    opened: str
    parts: Sequence[Expression]
    closed: str


class Named(NamedTuple):
    """A part with what stands before it: ``key: value`` or ``name=value``."""

    before: str
    value: Expression


Expression = str | Group | Named


class Expressions:
    """Turns JSON forms into expressions; `modules` collects what they need imported.

    What is not a form raises ValueError, KeyError or TypeError: names are names and texts
    literals, whatever telemetry says, so that none of it becomes code.
    """

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.uses_like = self.uses_holding = False

    def named(self, name: str) -> str:
        """The expression for what ``module:qualified.name`` names. Raises ValueError."""
        module, _, path = name.partition(":")
        if not (_is_dotted(module) and _is_dotted(path)):
            raise ValueError(f"{name!r} names nothing that can be imported")
        if module == "builtins":
            return "type(None)" if path == "NoneType" else path
        self.modules.add(module)
        return f"{module}.{path}"

    def of(self, form: Any, *, expected: bool = False) -> Expression:
        """The expression for a value; an `expected` one may be marked, and floats approximate."""
        if isinstance(form, list):
            return Group("[", [self.of(item, expected=expected) for item in form], "]")
        if isinstance(form, float) and expected and len(repr(form)) > EXACT_DIGITS + 1:
            return f"pytest.approx({form!r})"
        if isinstance(form, str):
            return quoted(form)
        if not isinstance(form, dict):
            return repr(form)
        if MARK in form:
            return self._tagged(form, expected)
        return self.dictionary(form, expected=expected)

    def dictionary(self, form: Mapping[str, Any], *, expected: bool = False) -> Expression:
        parts: list[Expression] = [
            Named(f"{quoted(key)}: ", self.of(item, expected=expected))
            for key, item in form.items()
        ]
        return Group("{", parts, "}")

    def _tagged(self, form: Mapping[str, Any], expected: bool) -> Expression:
        tag = form[MARK]
        if tag in ("tuple", "set", "frozenset"):
            return self._collection(
                tag, [self.of(item, expected=expected) for item in form["items"]]
            )
        if tag == "dict":
            parts = [Group("(", [self.of(key), self.of(item)], ")") for key, item in form["items"]]
            return Group("dict([", parts, "])")
        if tag == "object":
            given = form.get("init", form["fields"])
            if not all(map(_is_dotted, given)) or any("." in name for name in given):
                raise ValueError(f"a {form['class']} is not made with names")
            named = [Named(f"{name}=", self.of(item)) for name, item in given.items()]
            if form.get("held"):
                self.uses_holding = True
                return Group("holding(", [self.named(form["class"]), *named], ")")
            return Group(f"{self.named(form['class'])}(", named, ")")
        if tag == "member":
            return f"{self.named(form['class'])}[{quoted(form['name'])}]"
        if tag == "class":
            return self.named(form["class"])
        if tag == LIKE:
            self.uses_like = True
            return f"Like({self.named(form['class'])})"
        return self._text(tag, form)

    def _text(self, tag: str, form: Mapping[str, Any]) -> str:
        if tag in ("bytes", "bytearray"):
            content = repr(base64.b64decode(form["base64"]))
            return content if tag == "bytes" else f"bytearray({content})"
        text = form["text"]
        if tag in ("int", "complex"):
            return repr(int(text) if tag == "int" else complex(text))
        if tag == "float":
            return f"float({quoted(text)})"
        if tag in ("datetime", "date", "time"):
            return f"{self.named(f'datetime:{tag}')}.fromisoformat({quoted(text)})"
        if tag == "timedelta":
            return f"{self.named('datetime:timedelta')}({', '.join(str(int(part)) for part in text.split())})"
        made = {"decimal": "decimal:Decimal", "uuid": "uuid:UUID"}
        paths = {"path": "pathlib:Path", "purepath": "pathlib:PurePosixPath"}
        return f"{self.named((made | paths)[tag])}({quoted(text)})"

    def _collection(self, tag: str, parts: Sequence[Expression]) -> Expression:
        if tag == "tuple":
            return Group("(", parts, ",)" if len(parts) == 1 else ")")
        if tag == "set":
            return Group("{", parts, "}") if parts else "set()"
        return Group("frozenset([", parts, "])")


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() and not iskeyword(part) for part in name.split("."))


def quoted(text: str) -> str:
    """A text as a literal, in double quotes where that needs no escape."""
    plain = text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if plain else repr(text)


def inline(expression: Expression) -> str:
    """An expression on one line."""
    if isinstance(expression, str):
        return expression
    if isinstance(expression, Named):
        return expression.before + inline(expression.value)
    inner = ", ".join(map(inline, expression.parts))
    return f"{expression.opened}{inner}{expression.closed}"


def lines(expression: Expression, indent: str = "", after: str = "", before: str = "") -> list[str]:
    """An expression as lines of at the most WIDTH characters, where its parts allow."""
    if isinstance(expression, Named):
        return lines(expression.value, indent, after, before + expression.before)
    flat = f"{indent}{before}{inline(expression)}{after}"
    if isinstance(expression, str) or len(flat) <= WIDTH or not expression.parts:
        return [flat]
    closed = expression.closed.removeprefix(",")
    return [
        f"{indent}{before}{expression.opened}",
        *(line for part in expression.parts for line in lines(part, f"{indent}    ", ",")),
        f"{indent}{closed}{after}",
    ]


def joined(found: Iterable[Iterable[str]]) -> list[str]:
    """Lines of several expressions, one after the other."""
    return [line for each in found for line in each]
