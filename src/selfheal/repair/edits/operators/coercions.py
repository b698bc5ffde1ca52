"""A value of a kind that the failure says it may not have, made into the kind that is asked for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from selfheal.repair.edits.model import Draft, Operator, OperatorExample
from selfheal.repair.edits.site import Site

_PATH = r"\b(?:Pure)?(?:Posix|Windows)?Path\b"
_LAZY = r"'(?:map|filter|zip|generator|set|dict_keys|dict_values|dict_items|\w*iterator)'"
# What a message says of a value, and what makes it what was asked for.
_FORMS = (
    (_PATH, "os.fspath({})"),
    (r"bytes-like object is required, not 'str'|can't concat str to bytes|must be bytes, not str", "{}.encode()"),
    (r"a bytes-like object$|\bnot \"?bytes\"?$|can't concat bytes to str|'bytes' object has no attribute", "{}.decode()"),
    (rf"{_LAZY} object is not (?:subscriptable|reversible)|object of type {_LAZY} has no len", "list({})"),
    (r"expected str\w*|must be str|(?:can only concatenate str|str and '?\w+|'\w+' and '?str)|expected string", "str({})"),
    (r"'(?:int|float|bool)' object has no attribute", "str({})"),
    (r"between instances of '(?:str|int|float)' and '(?:str|int|float)'", "int({})"),
    (r"'str' object cannot be interpreted as an integer|indices must be integers", "int({})"),
)  # fmt: skip


def _forms(site: Site) -> list[str]:
    """Calls that make what the messages complain of into what they ask for."""
    imported = site.scope.module.imported
    found = []
    for pattern, form in _FORMS:
        if any(re.search(pattern, text) for text in site.hints.messages):
            found.append(form if form[:3] != "os." or "os" in imported else "str({})")
    return list(dict.fromkeys(found))


def coerced_first(site: Site) -> Iterator[Draft]:
    """A parameter is made what is needed before its first use: ``path = os.fspath(path)``."""
    used = {node.id for node in ast.walk(site.statement) if isinstance(node, ast.Name)}
    given = [name for name in site.scope.given if name in used]
    for form in _forms(site):
        for rank, name in enumerate(given[:4]):
            # The text "None" is what nobody means.
            sure = 0.3 if name in site.scope.optional and form == "str({})" else 1.0
            wrong = f"takes `{name}` as it comes"
            line = f"{name} = {form.format(name)}"
            yield from site.before([line], sure / (1 + 0.2 * rank), wrong)


OPERATORS = (
    Operator(
        "coerced",
        0.5,
        coerced_first,
        (
            OperatorExample("import os\n\ndef f(path):\n    return path.split(os.sep)\n", "import os\n\ndef f(path):\n    path = os.fspath(path)\n    return path.split(os.sep)\n", 4, "'PosixPath' object has no attribute 'split'"),
            OperatorExample("def f(data):\n    return data.split(b',')\n", "def f(data):\n    data = data.encode()\n    return data.split(b',')\n", 2, "a bytes-like object is required, not 'str'"),
        ),
    ),
)  # fmt: skip
