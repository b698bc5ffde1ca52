"""JUnit XML: each failing test is an error with its traceback, file and line.

There is no standard, only producers. Read are suites within suites, with or without times and
a namespace; tests that name their module and class, or their file alone; errors of collection;
and tests that failed in every rerun. What passed in a rerun is no failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree

from selfheal.telemetry.formats.failing_tests import add_failing_test, error_in_report
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

OUTCOMES = ("failure", "error")
# Maven's Surefire: each further failure of a test that failed at last, too.
RERUNS = ("rerunFailure", "rerunError")


def read(lines: Lines, sink: Sink) -> None:
    """Read a JUnit report from `lines` into `sink`."""
    text = lines.text()
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        sink.refuse(getattr(error, "position", (1, 0))[0], f"not XML: {error}")
        return
    for case in _cases(root, None, ""):
        for outcome in _failures(case.element):
            add_failing_test(
                sink,
                _operation(case),
                error_in_report(
                    outcome.text or outcome.findtext("stackTrace") or "",
                    kind=outcome.get("type"),
                    summary=outcome.get("message") or "",
                ),
                time_ns=time_ns(case.moment),
                line=_line_of(text, case.element.get("name") or ""),
            )


class _Case(NamedTuple):
    """A test, with the time and the file of the suite around it where it names none itself."""

    element: ElementTree.Element
    moment: str | None
    file: str


def _cases(element: ElementTree.Element, moment: str | None, file: str) -> Iterator[_Case]:
    moment, file = element.get("timestamp") or moment, element.get("file") or file
    for child in element:
        if _tag(child) == "testcase":
            own = child.get("timestamp") or moment
            yield _Case(child, own, child.get("file") or child.get("filepath") or file)
        else:
            yield from _cases(child, moment, file)


def _failures(case: ElementTree.Element) -> list[ElementTree.Element]:
    found = [child for child in case if _tag(child) in OUTCOMES]
    return found or [child for child in case if _tag(child) in RERUNS][:1]


def _operation(case: _Case) -> str:
    """``<module and classes>::<test>``; where no class is named, the test's file stands for it."""
    name, owner = case.element.get("name") or "", case.element.get("classname") or ""
    file = case.file.removeprefix("./") if case.file.endswith(".py") else ""
    if not owner and "::" in name:
        return name
    owner = owner or (file if not _is_collection(case, name) else "")
    return f"{owner}::{name}" if owner else name


def _is_collection(case: _Case, name: str) -> bool:
    """Whether the test is a module that could not be collected, which has the file's name."""
    dotted = case.file.removesuffix(".py").replace("\\", "/").replace("/", ".").lstrip(".")
    return bool(dotted) and name.removesuffix(".py").replace("/", ".") == dotted


def _tag(element: ElementTree.Element) -> str:
    """An element's name without its namespace; "" of comments."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _line_of(text: str, name: str) -> int:
    """The line of the report where a test case stands; 1 where that is unknown."""
    place = text.find(f'name="{name}"')
    return text.count("\n", 0, place) + 1 if place >= 0 else 1
