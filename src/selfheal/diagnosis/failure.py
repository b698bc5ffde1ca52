"""A traceback read against the code of the release that raised it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from selfheal.artifacts.model import Model
from selfheal.codebase.changes import MODULE
from selfheal.codebase.expressions import FailingExpression, failing_expression
from selfheal.codebase.index import Definition, is_test, is_vendored
from selfheal.codebase.slices import Slice, slice_of
from selfheal.diagnosis.model import CodeRange
from selfheal.diagnosis.suspects import Target


class OwnFrame(Model):
    """A frame of a traceback in code of the repository; `function` is its qualified name."""

    file: str
    line: int
    function: str
    matches: bool


class Failure(Model):
    """A traceback read against the code: own frames innermost first, and what failed there.

    `sources` are the functions whose results reach the failing expression. Where only a
    test is in the traceback (its assertion failed), `test` is its frame, there are no
    `frames`, and `sources` are the functions that the test calls.
    """

    frames: list[OwnFrame]
    test: OwnFrame | None
    library: str | None
    expression: FailingExpression | None
    slice: Slice | None
    sources: list[Target]
    exception_type: str
    message: str


def read_failure(
    evidence: Mapping[str, Any], span: CodeRange, vendored: Sequence[str] = ()
) -> Failure:
    """Map a traceback to the code of the release that raised it.

    `evidence` is that of an error anomaly: `frames` ({file, line, function}, outermost
    first), `exception_type`, `message`.
    """
    frames = [frame for frame in evidence.get("frames") or [] if isinstance(frame, Mapping)]
    own = [found for frame in reversed(frames) if (found := _own_frame(frame, span, vendored))]
    innermost = str(frames[-1].get("file", "")) if frames else ""
    name = str(evidence.get("exception_type", "Exception"))
    message = str(evidence.get("message", ""))
    code = [frame for frame in own if not is_test(frame.file)]
    tests = [frame for frame in own if is_test(frame.file)]
    expression = None
    if code and code[0].file in span.sources:
        expression = failing_expression(span.sources[code[0].file], code[0].line, name, message)
    value = _slice(code[0], expression, span) if code and expression else None
    return Failure(
        frames=code,
        test=tests[-1] if tests and not code else None,
        library=library_of(innermost),
        expression=expression,
        slice=value,
        sources=_value_sources(code[0], expression, value, span)
        if code
        else _tested(tests[-1:], span),
        exception_type=name,
        message=message,
    )


def _own_frame(
    frame: Mapping[str, Any], span: CodeRange, vendored: Sequence[str]
) -> OwnFrame | None:
    path = str(frame.get("file", ""))
    file = span.index.locate(path)
    if file is None or is_vendored(file, vendored):
        return None
    if library_of(path) and not path.replace("\\", "/").endswith(f"-packages/{_installed(file)}"):
        return None
    line = int(frame.get("line") or 1)
    name = str(frame.get("function") or "").rpartition(".")[2]
    definition = span.index.function_at(file, line)
    matches = definition is None or name in ("", definition.name) or name.startswith("<")
    if definition is not None and not matches:
        # The deployed text differs from the commit: the name is the better witness.
        named = span.index.find(name, file)
        definition = named[0] if named else definition
        line = definition.line
    function = definition.qualified_name if definition else MODULE
    return OwnFrame(file=file, line=line, function=function, matches=matches)


def library_of(path: str) -> str | None:
    """The installed package that a path lies in, ``stdlib`` for Python's own, None for other code."""
    installed = re.search(r"(?:site|dist)-packages[\\/]([^\\/]+)", path)
    if installed:
        return installed[1].removesuffix(".py")
    if re.search(r"[\\/]lib[\\/]python3[.\d]*[\\/]", path) or path.startswith("<"):
        return "stdlib"
    return None


def _installed(file: str) -> str:
    """Where a file of the repository lies when the project is installed."""
    return file.removeprefix("src/")


def definition_of(span: CodeRange, file: str, function: str) -> Definition | None:
    for found in span.index.find(function, file):
        if found.qualified_name == function:
            return found
    return None


def source_of(span: CodeRange, file: str, definition: Definition) -> str:
    """A definition's text at the bad commit, dedented, empty where its file was not read."""
    lines = span.sources.get(file, "").split("\n")
    return textwrap.dedent("\n".join(lines[definition.first_line - 1 : definition.last_line]))


def _slice(frame: OwnFrame, expression: FailingExpression, span: CodeRange) -> Slice | None:
    definition = definition_of(span, frame.file, frame.function)
    if definition is None:
        return None
    return slice_of(source_of(span, frame.file, definition), expression.names)


def _value_sources(
    frame: OwnFrame, expression: FailingExpression | None, value: Slice | None, span: CodeRange
) -> list[Target]:
    """The functions of the repository whose results reach the failing expression."""
    definition = definition_of(span, frame.file, frame.function)
    if definition is None or expression is None:
        return []
    calls = [*(value.calls if value else []), *_called(expression.text)]
    feeding = definition.model_copy(update={"calls": list(dict.fromkeys(calls))})
    return [
        Target(file=found.file, function=found.qualified_name, line=found.line)
        for found in span.index.callees(feeding)
    ]


def _tested(tests: Sequence[OwnFrame], span: CodeRange) -> list[Target]:
    """The functions of the service that a failing test calls by name."""
    definitions = (definition_of(span, frame.file, frame.function) for frame in tests)
    return [
        Target(file=found.file, function=found.qualified_name, line=found.line)
        for definition in definitions
        if definition is not None
        for found in span.index.callees(definition)
        if not is_test(found.file)
    ]


def _called(expression: str) -> list[str]:
    return re.findall(r"([A-Za-z_][\w.]*)\(", expression)
