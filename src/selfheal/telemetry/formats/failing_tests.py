"""Failing tests as errors: what the reports of test runners share.

pytest's own traceback styles are turned into Python's, so that frames and fingerprints
are the same as those of production.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from selfheal.telemetry.formats.events import NOBODY, ErrorDetails, add_exception, exception_in
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.tracebacks import HEADER

PLACE = re.compile(r"(?P<file>[^\s:][^:]*\.py):(?P<line>\d+): (?:in (?P<function>\S+)|.*)$")
_DEFINED = re.compile(r">?\s*(?:async )?def (?P<name>\w+)\(")
_RAISED = re.compile(r"E\s+(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_NAMED = re.compile(r"[A-Za-z_][\w.]*")


def add_failing_test(
    sink: Sink, operation: str, error: ErrorDetails, *, time_ns: int | None, line: int
) -> None:
    """Add a failing test; `operation` is ``<module>::<test>``."""
    if time_ns is None:
        sink.without_timestamp += 1
    sink.failing_tests += 1
    add_exception(
        sink,
        origin="test",
        time_ns=time_ns,
        resource=NOBODY,
        operation=operation,
        logger=None,
        ids=(None, None),
        error=error,
        escaped=True,
        line=line,
    )


def error_in_report(text: str, *, kind: str | None, summary: str) -> ErrorDetails:
    """The error that a runner's text on a failing test shows.

    `kind` and `summary` are the type and the message where the report names them.
    """
    found = exception_in(text)
    if any(found):
        return found
    frames = list(_frames(text))
    message = summary
    for row in text.splitlines():
        if match := _RAISED.match(row):
            kind, message = match["type"], match["message"] or ""
            break
    else:
        head, colon, rest = summary.partition(": ")
        if kind is None and _NAMED.fullmatch(head):
            kind, message = head, rest if colon else ""
    stacktrace = "\n".join([HEADER, *frames, f"{kind or 'AssertionError'}: {message}"])
    return ErrorDetails(kind or "AssertionError", message, stacktrace if frames else text or None)


def _frames(text: str) -> Iterator[str]:
    """The places in pytest's text, as lines of a Python traceback."""
    function = "<module>"
    for row in text.splitlines():
        if defined := _DEFINED.match(row):
            function = defined["name"]
        elif place := PLACE.match(row):
            function = place["function"] or function
            yield f'  File "{place["file"]}", line {place["line"]}, in {function}'
