"""Wrong literal: numbers, truth values, None, containers, strings, patterns, formats."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from selfheal.repair.edit import Splice
from selfheal.repair.edits.model import Draft, Hints, Operator, OperatorExample
from selfheal.repair.edits.operators.names import similarity
from selfheal.repair.edits.site import Site

_PATTERN_CALLS = frozenset({"match", "search", "fullmatch", "findall", "finditer", "sub", "subn", "split", "compile"})  # fmt: skip
_DATE = re.compile(r"%[a-zA-Z]")
_CODECS = ("utf-8", "latin-1", "ascii", "utf-8-sig", "utf-16")
_EMPTY = ("[]", "{}", '""', "0", "None", "set()", "()")


def _wrong(old: str, new: str) -> str:
    return f"has `{old}` where `{new}` was meant"


def numbers(site: Site) -> Iterator[Draft]:
    """Another number: its neighbours, 0, 1 and -1, others of the function, powers of ten."""
    others = [
        each.value
        for each in site.scope.nodes
        if isinstance(each, ast.Constant) and type(each.value) in (int, float)
    ]
    for node in site.of(ast.Constant):
        assert isinstance(node, ast.Constant)
        value = node.value
        if type(value) not in (int, float):
            continue
        assert isinstance(value, int | float)
        found: dict[object, float] = {}
        if isinstance(value, int):
            found |= {value + 1: 1.0, value - 1: 1.0}
            found |= {each: 0.8 for each in (0, 1) if each not in found}
            found.setdefault(-1, 0.5)
            found.setdefault(2, 0.4)
        found.update({each: 0.6 for each in others if each not in found})
        found.update({each: 1.2 for each in _told(site.hints, value)})
        for each in (
            -value,
            value * 10,
            value / 10,
            value * 2,
            value / 2,
            value * 100,
            value / 100,
        ):
            found.setdefault(
                int(each) if each == int(each) and isinstance(value, int) else each, 0.3
            )
        for other, weight in found.items():
            if other != value:
                yield site.draft(node, repr(other), weight, _wrong(site.text(node), repr(other)))
        if value == 0:
            for text in ("float('inf')", "float('-inf')", "None"):
                yield site.draft(node, text, 0.3, _wrong("0", text))
    for text, weight in (("float('inf')", 0.2), ("float('-inf')", 0.2)):
        for node in site.of(ast.Call):
            shown = site.text(node)
            if shown.replace('"', "'") in ("float('inf')", "float('-inf')") and shown != text:
                yield site.draft(node, text, 4 * weight, _wrong(shown, text))


def _told(hints: Hints, value: int | float) -> Iterator[int | float]:
    """The number moved as the actual values have to be: by a difference or a factor."""
    for one, other in zip(hints.actual, hints.expected, strict=True):
        actual, expected = ast.literal_eval(one), ast.literal_eval(other)
        if all(type(each) in (int, float) for each in (actual, expected)):
            moved = [value + expected - actual, value - expected + actual]
            if actual and expected:
                moved += [value * expected / actual, value * actual / expected]
            for each in moved:
                whole = isinstance(value, int) and each == int(each) if abs(each) < 1e15 else False
                if whole or isinstance(value, float):
                    yield int(each) if whole else round(each, 10)


def truth_values(site: Site) -> Iterator[Draft]:
    """True for False, and what stands for nothing."""
    for node in site.of(ast.Constant):
        assert isinstance(node, ast.Constant)
        if isinstance(node.value, bool):
            yield site.draft(
                node, str(not node.value), 1.0, _wrong(str(node.value), str(not node.value))
            )
            yield site.draft(node, "None", 0.3, _wrong(str(node.value), "None"))
        elif node.value is None:
            parameters = [each for each in site.scope.parameters if each not in ("self", "cls")]
            for rank, text in enumerate(
                ("True", "False", '""', "[]", "{}", "0", "set()", *parameters)
            ):
                yield site.draft(node, text, 0.6 / (1 + 0.1 * rank), _wrong("None", text))


def empties(site: Site) -> Iterator[Draft]:
    """An empty value becomes another empty value, or one that holds it."""
    for node in site.of(ast.List, ast.Dict, ast.Tuple, ast.Call, ast.Constant):
        text = site.text(node)
        if text not in (*_EMPTY, "''", "list()", "dict()"):
            continue
        for other in ("[]", "{}", '""', "0", "None", "set()", "()", "[[]]", "[0]", "1"):
            if other != text:
                weight = 0.5 if other == "[[]]" and text == "[]" else 0.35
                yield site.draft(node, other, weight, _wrong(text, other))


def strings(site: Site) -> Iterator[Draft]:
    """Another string: what the failure shows to be missing, a similar one, case, blanks."""
    changes = _replaced(site.hints)
    names = sorted(site.hints.names)
    for node in site.of(ast.Constant):
        assert isinstance(node, ast.Constant)
        value = node.value
        if (
            not isinstance(value, str | bytes)
            or isinstance(site.statement, ast.Expr)
            and node is site.statement.value
        ):
            continue
        literal = site.text(node)
        if isinstance(site.parent(node), ast.JoinedStr) or len(literal) > 200:
            continue
        text = value if isinstance(value, str) else value.decode("latin-1")
        for other, weight in _others(site, text, names, changes):
            new = _requoted(literal, other)
            if new is not None and other != text:
                yield site.draft(node, new, weight, _wrong(literal, new))
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
        values = [ast.literal_eval(one), ast.literal_eval(other)]
        if not all(isinstance(each, str) and len(each) <= 400 for each in values):
            continue
        actual, expected = values
        matcher = SequenceMatcher(None, actual, expected, autojunk=False)
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag != "equal":
                found[actual[a:b], expected[c:d]] = None
                found[expected[c:d], actual[a:b]] = None
                wide = max(a - 1, 0), max(c - 1, 0)
                found[actual[wide[0] : b + 1], expected[wide[1] : d + 1]] = None
    return list(found)[:12]


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
                yield Draft((splice,), 0.5, _wrong(found[0][:-1], f":{other}"))
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
                    yield Draft((splice,), 1.2, _wrong(old, new))


def _other_formats(head: str, precision: str | None, kind: str) -> Iterator[str]:
    digits = int(precision[1:]) if precision else None
    for other in (2, 1, 3, 0) if digits is not None else (2,):
        if other != digits and kind in ("f", "", "%"):
            yield f"{head}.{other}{kind or 'f'}"
    if head:
        yield f"{precision or ''}{kind}"
    for other in ("0", ">", "<", ","):
        if not head.startswith(other):
            yield f"{other}{head}{precision or ''}{kind}"


def patterns(site: Site) -> Iterator[Draft]:
    """Regular expressions: anchors, quantifiers, classes, greed, escapes."""
    for node in site.of(ast.Constant):
        assert isinstance(node, ast.Constant)
        if not isinstance(node.value, str) or not _is_pattern(site, node):
            continue
        literal = site.text(node)
        found = re.match(r"([rRbBuU]*)('''|\"\"\"|'|\")", literal)
        if found is None:
            continue
        raw, quote = "r" in found[1].lower(), found[2]
        body = literal[found.end() : len(literal) - len(quote)]
        for other, weight in _other_patterns(body, "\\" if raw else "\\\\"):
            new = f"{found[0]}{other}{quote}"
            if _compiles(new):
                yield site.draft(node, new, weight, _wrong(literal, new))


def _is_pattern(site: Site, node: ast.Constant) -> bool:
    parent = site.parent(node)
    name = getattr(getattr(parent, "func", None), "attr", None)
    in_call = isinstance(parent, ast.Call) and node in parent.args[:1] and name in _PATTERN_CALLS
    return in_call or bool(re.search(r"\\[dwsbDWS]|\[[^\]]+\][+*]|\(\?|\.[*+]", site.text(node)))


def _other_patterns(body: str, slash: str) -> Iterator[tuple[str, float]]:
    if not body.startswith("^"):
        yield f"^{body}", 0.7
    else:
        yield body[1:], 0.7
    if not body.endswith("$"):
        yield f"{body}$", 0.8
        yield f"{body}{slash}Z", 0.3
    else:
        yield body[:-1], 0.7
    for at, character in enumerate(body):
        before, after = body[:at], body[at + 1 :]
        escaped = before.endswith("\\") and not before.endswith("\\\\\\\\")
        if character in "+*?" and not escaped:
            for other in {"+": ("*", "+?"), "*": ("+", "*?"), "?": ("", "*")}[character]:
                yield f"{before}{other}{after}", 0.8
        elif character == "." and not escaped and not _in_class(before):
            yield f"{before}{slash}.{after}", 0.9
    for old, new in _CLASSES:
        old, new = old.replace("\\", slash), new.replace("\\", slash)
        for found in re.finditer(re.escape(old), body):
            yield body[: found.start()] + new + body[found.end() :], 0.8
    yield f"({body})", 0.2


_CLASSES = (
    ("\\d", "\\d+"), ("\\d+", "\\d*"), ("\\d", "\\w"), ("\\w", "\\w+"), ("\\w", "\\S"), ("\\w+", "[\\w-]+"),
    ("\\w+", "[\\w.]+"), ("\\s", "\\s*"), ("\\s", "\\s+"), ("\\s+", "\\s*"), ("\\d+", "-?\\d+"), ("\\d+", "\\d+(?:\\.\\d+)?"), ("[a-z]", "[a-zA-Z]"), ("[a-z]", "[a-z0-9]"),
    ("a-z", "a-zA-Z"), ("a-z", "a-z0-9"), ("A-Z", "A-Za-z"), ("a-zA-Z", "a-zA-Z0-9"), ("0-9", "0-9."), ("1-9", "0-9"),
    ("a-zA-Z0-9", "a-zA-Z0-9_"), ("\\b", ""), ("[^", "["), (" ", "\\s+"), (" ", "\\s*"), (".*", ".*?"), (".+", ".+?"), (",", ",\\s*"),
)  # fmt: skip


def _in_class(before: str) -> bool:
    return before.rfind("[") > before.rfind("]")


def _compiles(literal: str) -> bool:
    try:
        re.compile(ast.literal_eval(literal))
    except (re.error, SyntaxError, ValueError, OverflowError, RecursionError):
        return False
    return True


def containers(site: Site) -> Iterator[Draft]:
    """A display of another kind: list, tuple, set, generator."""
    for node in site.of(ast.List, ast.Tuple, ast.Set, ast.ListComp, ast.SetComp, ast.GeneratorExp):
        text = site.text(node)
        if text[:1] not in "[({" or not getattr(node, "elts", [None]):
            continue
        for left, right in ("[]", "()", "{}"):
            if left != text[0]:
                inner = text[1:-1]
                yield site.draft(
                    node,
                    f"{left}{inner}{right}",
                    0.6,
                    f"makes `{text[0]}{text[-1]}` where `{left}{right}` was meant",
                )
    for node in site.loads(ast.Name, ast.Attribute, ast.Subscript):
        parent = site.parent(node)
        placed = isinstance(parent, ast.Return | ast.BinOp | ast.Assign) or (
            isinstance(parent, ast.Call) and node in parent.args
        )
        if placed:
            text = site.text(node)
            yield site.draft(node, f"[{text}]", 0.4, f"lacks the list around `{text}`")
            yield site.draft(node, f"({text},)", 0.2, f"lacks the tuple around `{text}`")
    for node in site.of(ast.List, ast.Tuple):
        elements = getattr(node, "elts", [])
        if len(elements) == 1:
            yield site.draft(node, site.text(elements[0]), 0.5, "has a container too many")


OPERATORS = (
    Operator(
        "number",
        0.6,
        numbers,
        (
            OperatorExample("def f(n):\n    return n + 1\n", "def f(n):\n    return n + 0\n", 2),
            OperatorExample("def f(n):\n    return n * 10\n", "def f(n):\n    return n * 100\n", 2),
        ),
        fits={"IndexError": 1.4, "": 0.4, "ZeroDivisionError": 1.2},
    ),
    Operator(
        "truth",
        0.65,
        truth_values,
        (
            OperatorExample("def f():\n    return True\n", "def f():\n    return False\n", 2),
            OperatorExample("def f(a):\n    return g(a, None)\n", "def f(a):\n    return g(a, False)\n", 2),
        ),
        fits={"": 0.5},
    ),
    Operator(
        "empty",
        0.4,
        empties,
        (OperatorExample("def f():\n    return []\n", "def f():\n    return {}\n", 2),),
        fits={"AttributeError": 1.5, "TypeError": 1.5, "": 0.8},
    ),
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
    ),
    Operator(
        "pattern",
        0.6,
        patterns,
        (
            OperatorExample("import re\n\ndef f(a):\n    return re.match(r'\\d+', a)\n", "import re\n\ndef f(a):\n    return re.match(r'\\d+$', a)\n", 4),
            OperatorExample("import re\n\ndef f(a):\n    return re.match(r'a.b', a)\n", "import re\n\ndef f(a):\n    return re.match(r'a\\.b', a)\n", 4),
        ),
        fits={"AttributeError": 1.2, "": 0.8},
    ),
    Operator(
        "container",
        0.25,
        containers,
        (
            OperatorExample("def f(a):\n    return [a, 1]\n", "def f(a):\n    return (a, 1)\n", 2),
            OperatorExample("def f(a, b):\n    return b + a\n", "def f(a, b):\n    return b + [a]\n", 2),
        ),
        fits={"TypeError": 1.6, "AttributeError": 1.2, "": 0.7},
    ),
)  # fmt: skip
