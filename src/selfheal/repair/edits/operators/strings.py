"""Wrong string: what the failure shows to be missing, a similar one, case, blanks, formats."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from selfheal.repair.edit import Splice
from selfheal.repair.edits.kinds import TEXT
from selfheal.repair.edits.model import Draft, Hints, Operator, OperatorExample
from selfheal.repair.edits.operators.literals import wrong_literal
from selfheal.repair.edits.operators.names import similarity
from selfheal.repair.edits.site import Site

_DATE = re.compile(r"%[a-zA-Z]")


_CODECS = ("utf-8", "latin-1", "ascii", "utf-8-sig", "utf-16")


def strings(site: Site) -> Iterator[Draft]:
    """Another string: what the failure shows to be missing, a similar one, case, blanks."""
    changes = _replaced(site.hints)
    names = sorted(site.hints.names)
    for node in site.of(ast.Constant):
        assert isinstance(node, ast.Constant)
        value = node.value
        if not isinstance(value, str | bytes) or (
            isinstance(site.statement, ast.Expr) and node is site.statement.value
        ):
            continue
        literal = site.text(node)
        if isinstance(site.parent(node), ast.JoinedStr) or len(literal) > 200:
            continue
        text = value if isinstance(value, str) else value.decode("latin-1")
        for other, weight in _others(site, text, names, changes):
            new = _requoted(literal, other)
            if new is not None and other != text:
                yield site.draft(node, new, weight, wrong_literal(literal, new))
    yield from _formatted(site, changes)


def _others(
    site: Site, text: str, names: list[str], changes: list[tuple[str, str]]
) -> Iterator[tuple[str, float]]:
    for old, new in changes:
        if old and old in text:
            yield text.replace(old, new), 1.5
        elif not old and new.strip() == "":
            yield text + new, 0.8
            yield new + text, 0.7
    for name in names:
        if similarity(text, name) > 0.6:
            yield name, 1.5 * similarity(text, name)
    known = sorted(
        ((similarity(text, each), each) for each in site.scope.module.strings if each != text),
        key=lambda each: (-each[0], each[1]),
    )
    for alike, other in known[:6]:
        yield other, 0.3 + 0.4 * alike
    if text == "":
        yield from ((" ", 0.7), (", ", 0.3), ("\n", 0.4), (",", 0.3), ("0", 0.2))
        return
    if text.strip() == "" or not text[0].isalnum():
        yield from (("", 0.7), (" ", 0.5), (text.strip() + " ", 0.4), (" " + text.strip(), 0.3))
        yield from ((other, 0.4) for other in _PUNCTUATION.get(text.strip(), ()))
    if text in _CODECS:
        yield from ((codec, 0.8) for codec in _CODECS)
    for other in (
        text.lower(),
        text.upper(),
        text.capitalize(),
        text.strip(),
        text + "s",
        text.removesuffix("s"),
    ):
        yield other, 0.5
    yield text + " ", 0.3
    if _DATE.search(text):
        yield from _dates(text)


_PUNCTUATION = {
    ",": (";", ".", ":", "\t"), ";": (",",), ".": (",", "/"), "/": ("\\", "."), "-": ("_", "+"),
    "_": ("-",), ":": ("=", ";"), "=": (":", "=="), "<": (">",), ">": ("<",), "(": (")", "["),
    ")": ("(", "]"), "[": ("]", "("), "]": ("[", ")"), "{": ("}",), "}": ("{",), "+": ("-",),
    "'": ('"',), '"': ("'",), "\\": ("/",), "|": ("||", "&"), "*": ("**", "+"), "&": ("&&", "|"),
}  # fmt: skip


_DATE_CODES = {"%m": "%M", "%M": "%m", "%d": "%D", "%D": "%d", "%y": "%Y", "%Y": "%y", "%H": "%I", "%I": "%H", "%s": "%S", "%S": "%s", "%B": "%b", "%b": "%B", "%j": "%d"}  # fmt: skip


def _dates(text: str) -> Iterator[tuple[str, float]]:
    for found in _DATE.finditer(text):
        other = _DATE_CODES.get(found[0])
        if other:
            yield text[: found.start()] + other + text[found.end() :], 0.8
    day = re.search(r"%d(.*)%m|%m(.*)%d", text)
    if day:
        turned = {"%d": "%m", "%m": "%d"}
        yield re.sub("%d|%m", lambda each: turned[each[0]], text), 0.8


def _requoted(literal: str, value: str) -> str | None:
    """A literal with the same prefix and quotes that holds another text."""
    found = re.match(r"([rRbBuU]*)('''|\"\"\"|'|\")", literal)
    if found is None:
        return None
    prefix, quote = found.groups()
    raw = "r" in prefix.lower()
    if raw:
        body = value
        if quote in body or body.endswith("\\") or "\n" in body:
            return None
    else:
        body = (
            value.encode("unicode_escape").decode("ascii")
            if not value.isprintable()
            else value.replace("\\", "\\\\")
        )
        body = body.replace(quote[0], "\\" + quote[0])
    return f"{prefix}{quote}{body}{quote}"


def _replaced(hints: Hints) -> list[tuple[str, str]]:
    """Pieces of the actual texts with what the expected ones have in their place.

    Which side of an assertion is which depends on who wrote the test: both ways count.
    """
    found: dict[tuple[str, str], None] = {}
    for one, other in zip(hints.actual, hints.expected, strict=True):
        for actual, expected in _texts(ast.literal_eval(one), ast.literal_eval(other)):
            matcher = SequenceMatcher(None, actual, expected, autojunk=False)
            for tag, a, b, c, d in matcher.get_opcodes():
                if tag == "equal":
                    continue
                found[actual[a:b], expected[c:d]] = None
                found[expected[c:d], actual[a:b]] = None
                left, right = max(a - 1, 0), max(c - 1, 0)
                found[actual[left : b + 1], expected[right : d + 1]] = None
    return list(found)[:12]


def _texts(one: object, other: object) -> Iterator[tuple[str, str]]:
    """The texts that differ at the same place of two values."""
    if isinstance(one, str) and isinstance(other, str):
        if one != other and max(len(one), len(other)) <= 400:
            yield one, other
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        for a, b in zip(one[:20], other[:20], strict=False):
            yield from _texts(a, b)
    elif isinstance(one, dict) and isinstance(other, dict):
        for key in [each for each in one if each in other][:20]:
            yield from _texts(one[key], other[key])


def joined(site: Site) -> Iterator[Draft]:
    """A piece of text is missing where texts are joined."""
    pieces = [new for old, new in _replaced(site.hints) if not old and new.isprintable()]
    pieces += [" ", "\\n", ", "]
    for node in site.loads(ast.Name, ast.Call, ast.Attribute, ast.Subscript):
        parent = site.parent(node)
        added = isinstance(parent, ast.BinOp | ast.AugAssign) and isinstance(parent.op, ast.Add)
        if not added or site.scope.kinds.guess(node) not in (None, TEXT):
            continue
        text = site.text(node)
        for rank, piece in enumerate(dict.fromkeys(pieces[:6])):
            quoted = f'"{piece}"' if '"' not in piece else repr(piece)
            for new in (f"{quoted} + {text}", f"{text} + {quoted}"):
                weight = 1.0 / (1 + 0.2 * rank)
                yield site.draft(node, new, weight, f"lacks {quoted} beside `{text}`")


def _formatted(site: Site, changes: list[tuple[str, str]]) -> Iterator[Draft]:
    """The plain parts of an f-string, and the format of its values."""
    for node in site.of(ast.JoinedStr):
        literal = site.text(node)
        if "\n" in literal or len(literal) > 300:
            continue
        start = site.source.span(node)[0]
        for found in re.finditer(r":([<>^+,]?0?\d*)(\.\d)?([dfsx%]?)\}", literal):
            for other in _other_formats(found[1], found[2], found[3]):
                splice = Splice(
                    path=site.source.path, start=start + found.start(), stop=start + found.end(),
                    text=f":{other}}}",
                )  # fmt: skip
                yield Draft((splice,), 0.5, wrong_literal(found[0][:-1], f":{other}"))
        for old, new in changes:
            if old and "{" not in old + new and "}" not in old + new and "\\" not in new:
                at = literal.find(old)
                if at > 0 and new.isprintable() and not set(new) & {'"', "'"}:
                    splice = Splice(
                        path=site.source.path,
                        start=start + at,
                        stop=start + at + len(old),
                        text=new,
                    )
                    yield Draft((splice,), 1.2, wrong_literal(old, new))


def _other_formats(head: str, precision: str | None, kind: str) -> Iterator[str]:
    digits = int(precision[1:]) if precision else None
    for other in (2, 1, 3, 0) if digits is not None else (2,):
        if other != digits and kind in ("f", "", "%"):
            yield f"{head}.{other}{kind or 'f'}"
    if head:
        yield f"{precision or ''}{kind}"
    for sign in ("+", "0", ">", "<", ","):
        if not head.startswith(sign):
            yield f"{sign}{head}{precision or ''}{kind}"


OPERATORS = (
    Operator(
        "string",
        0.4,
        strings,
        (
            OperatorExample("def f(a):\n    return a['naem']\n\ndef g(a):\n    return a['name']\n", "def f(a):\n    return a['name']\n\ndef g(a):\n    return a['name']\n", 2, "KeyError: 'naem'"),
            OperatorExample("def f(a):\n    return ','.join(a)\n", "def f(a):\n    return ', '.join(a)\n", 2, "assert 'a,b' == 'a, b'"),
            OperatorExample("def f(a):\n    return a.strftime('%Y-%M')\n", "def f(a):\n    return a.strftime('%Y-%m')\n", 2),
            OperatorExample("def f(a):\n    return f'{a:.1f}'\n", "def f(a):\n    return f'{a:.2f}'\n", 2),
        ),
        fits={"KeyError": 1.6, "ValueError": 1.3, "UnicodeDecodeError": 2.0, "UnicodeEncodeError": 2.0, "LookupError": 1.5, "": 0.6},
        spreads=True,
    ),
    Operator(
        "missing_text",
        0.25,
        joined,
        (OperatorExample("def f(a, b):\n    a += b\n    return a\n", 'def f(a, b):\n    a += " " + b\n    return a\n', 2),),
        fits={"": 0.3},
    ),
)  # fmt: skip
