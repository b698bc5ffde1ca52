"""JUnit XML: each failing test is an error with its traceback, file and line.

pytest's own traceback styles are turned into Python's, so that frames and fingerprints
are the same as those of production.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from selfheal.telemetry.formats.events import (
    ErrorDetails,
    Resource,
    add_exception,
    exception_in,
)
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines
from selfheal.telemetry.tracebacks import HEADER

_PLACE = re.compile(r"(?P<file>[^\s:][^:]*\.py):(?P<line>\d+): (?:in (?P<function>\S+)|.*)$")
_DEFINED = re.compile(r">?\s*(?:async )?def (?P<name>\w+)\(")
_RAISED = re.compile(r"E\s+(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")


def read(lines: Lines, sink: Sink) -> None:
    """Read a JUnit report from `lines` into `sink`."""
    text = lines.text()
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        sink.refuse(error.position[0], f"not XML: {error}")
        return
    for suite in root.iter("testsuite"):
        moment = time_ns(suite.get("timestamp"))
        for case in suite.iter("testcase"):
            for outcome in (*case.findall("failure"), *case.findall("error")):
                line = _line_of(text, case.get("name") or "")
                _add(case, outcome, moment, line, sink)


def _add(
    case: ElementTree.Element,
    outcome: ElementTree.Element,
    moment: int | None,
    line: int,
    sink: Sink,
) -> None:
    if moment is None:
        sink.without_timestamp += 1
    classname, name = case.get("classname") or "", case.get("name") or ""
    sink.failing_tests += 1
    add_exception(
        sink,
        origin="test",
        time_ns=moment,
        resource=Resource(None, None, None, None, None),
        operation=f"{classname}::{name}" if classname else name,
        logger=None,
        ids=(None, None),
        error=_error(outcome),
        escaped=True,
        line=line,
    )


def _error(outcome: ElementTree.Element) -> ErrorDetails:
    text = outcome.text or ""
    found = exception_in(text)
    if any(found):
        return found
    summary = outcome.get("message") or ""
    frames = list(_frames(text))
    kind, message = outcome.get("type"), summary
    for row in text.splitlines():
        if match := _RAISED.match(row):
            kind, message = match["type"], match["message"] or ""
            break
    else:
        head, colon, rest = summary.partition(": ")
        if kind is None and colon and re.fullmatch(r"[A-Za-z_][\w.]*", head):
            kind, message = head, rest
    stacktrace = "\n".join([HEADER, *frames, f"{kind or 'AssertionError'}: {message}"])
    return ErrorDetails(kind or "AssertionError", message, stacktrace if frames else text or None)


def _frames(text: str) -> Iterator[str]:
    """The places in pytest's text, as lines of a Python traceback."""
    function = "<module>"
    for row in text.splitlines():
        if defined := _DEFINED.match(row):
            function = defined["name"]
        elif place := _PLACE.match(row):
            function = place["function"] or function
            yield f'  File "{place["file"]}", line {place["line"]}, in {function}'


def _line_of(text: str, name: str) -> int:
    """The line of the report where a test case stands; 1 where that is unknown."""
    place = text.find(f'name="{name}"')
    return text.count("\n", 0, place) + 1 if place >= 0 else 1
