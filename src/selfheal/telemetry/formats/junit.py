"""JUnit XML: each failing test is an error with its traceback, file and line."""

from __future__ import annotations

from xml.etree import ElementTree

from selfheal.telemetry.formats.failing_tests import add_failing_test, error_in_report
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines


def read(lines: Lines, sink: Sink) -> None:
    """Read a JUnit report from `lines` into `sink`."""
    text = lines.text()
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        sink.refuse(getattr(error, "position", (1, 0))[0], f"not XML: {error}")
        return
    for suite in root.iter("testsuite"):
        moment = time_ns(suite.get("timestamp"))
        for case in suite.findall("testcase"):
            classname, name = case.get("classname") or "", case.get("name") or ""
            for outcome in (*case.findall("failure"), *case.findall("error")):
                add_failing_test(
                    sink,
                    f"{classname}::{name}" if classname else name,
                    error_in_report(
                        outcome.text or "",
                        kind=outcome.get("type"),
                        summary=outcome.get("message") or "",
                    ),
                    time_ns=moment,
                    line=_line_of(text, name),
                )


def _line_of(text: str, name: str) -> int:
    """The line of the report where a test case stands; 1 where that is unknown."""
    place = text.find(f'name="{name}"')
    return text.count("\n", 0, place) + 1 if place >= 0 else 1
