"""Runs in the interpreter of a project: the interactive examples of documents and docstrings.

Self-contained, of the standard library alone: it is started by path, confined, with one
JSON object as its argument, ``{"report", "paths", "files"}``, and writes to ``report`` a
list of ``{"file", "line", "lines", "source", "want", "got", "as_told"}``: `line` is where the
expected output begins (from 1), `lines` how many it has. The examples of a document share
one namespace, those of a docstring that of its module, as the doctest module has it.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Modules beside this script must not be found in place of those that are meant.
    del sys.path[0]

import ast
import contextlib
import doctest
import importlib
import io
import json
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# How a docstring begins and ends in its file.
QUOTES = re.compile(r"\A\s*[rRuU]?(\"\"\"|'''|\"|')|(\"\"\"|'''|\"|')\s*\Z")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def texts(file: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(lines before it, text, namespace) of each part of a file that may hold examples."""
    text = Path(file).read_text(encoding="utf-8")
    if not file.endswith(".py"):
        yield 0, text, {"__name__": "__main__"}
        return
    parts = list(Path(file).with_suffix("").parts)
    parts = parts[1:] if parts[0] in ("src", "lib") else parts
    module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    lines = text.splitlines(keepends=True)
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        first = node.body[0] if node.body else None
        if ast.get_docstring(node, clean=False) and isinstance(first, ast.Expr):
            inside = "".join(lines[first.lineno - 1 : first.end_lineno])
            if "\\" not in inside:
                yield first.lineno - 1, QUOTES.sub("", inside), dict(vars(module))


def outcome(example: doctest.Example, namespace: dict[str, Any]) -> tuple[str, bool]:
    """What an example prints, and whether that is what it tells."""
    output = io.StringIO()
    checker = doctest.OutputChecker()
    flags = FLAGS
    for flag, on in example.options.items():
        flags = flags | flag if on else flags & ~flag
    try:
        with contextlib.redirect_stdout(output):
            exec(compile(example.source, "<example>", "single"), namespace)
    except Exception as error:
        told = traceback.format_exception_only(type(error), error)[-1]
        same = example.exc_msg is not None and checker.check_output(example.exc_msg, told, flags)
        return "", same
    got = output.getvalue()
    return got, example.exc_msg is None and checker.check_output(example.want, got, flags)


def examples(file: str) -> Iterator[dict[str, Any]]:
    for before, text, namespace in texts(file):
        try:
            found = doctest.DocTestParser().get_examples(text)
        except ValueError:
            continue
        for example in found:
            if example.options.get(doctest.SKIP):
                continue
            got, as_told = outcome(example, namespace)
            yield {
                "file": file,
                "line": before + example.lineno + example.source.count("\n") + 1,
                "lines": example.want.count("\n"),
                "source": example.source,
                "want": example.want,
                "got": got,
                "as_told": as_told,
            }


def main() -> None:
    asked = json.loads(sys.argv[1])
    sys.path[:0] = asked["paths"]
    found: list[dict[str, Any]] = []
    for file in asked["files"]:
        # What cannot be imported or read tells nothing of its examples.
        with contextlib.suppress(Exception):
            found += examples(file)
    Path(asked["report"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
