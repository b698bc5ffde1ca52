"""Wrong regular expression: anchors, quantifiers, classes, greed, escapes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.operators.literals import wrong_literal
from selfheal.repair.edits.site import Site

_PATTERN_CALLS = frozenset({"match", "search", "fullmatch", "findall", "finditer", "sub", "subn", "split", "compile"})  # fmt: skip


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
                yield site.draft(node, new, weight, wrong_literal(literal, new))


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
    for known, better in _CLASSES:
        old, new = known.replace("\\", slash), better.replace("\\", slash)
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


OPERATORS = (
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
)  # fmt: skip
