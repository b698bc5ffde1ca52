"""What pytest prints: each failing test is an error with its traceback, file and line.

Of a report in any of pytest's traceback styles (``--tb``) the sections of failures and
errors are read, and the short summary, which knows the file of each test. pytest prints
no time, so these errors have none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from selfheal.telemetry.formats.failing_tests import PLACE, add_failing_test, error_in_report
from selfheal.telemetry.formats.text import uncoloured
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

_RULE = re.compile(r"=+ (?P<title>\S.*?) =+$")
_BLOCK = re.compile(r"_{3,} (?P<name>\S.*?) _{3,}$")
_SUMMARY = re.compile(r"(?P<kind>FAILED|ERROR) (?P<node>\S.*?)(?: - (?P<message>.*))?$")
_CAPTURED = re.compile(r"-+ (Captured|Live) .* -+$")
_AT = re.compile(r"ERROR (?:at (?:setup|teardown) of|collecting) ")
_HEADINGS = ("test session starts", "FAILURES", "ERRORS", "short test summary info")
_COUNTS = re.compile(r"(?:=+ )?\d+ (?:passed|failed|errors?|skipped)\b.* in \d+\.\d+s")


class _Block(NamedTuple):
    """The section on one failing test."""

    name: str
    line: int
    rows: list[str]


class _Summary(NamedTuple):
    """One line of the short summary."""

    node: str
    message: str
    line: int


def is_output(text: str) -> bool:
    """Whether a line is one that only pytest prints."""
    text = uncoloured(text)
    rule = _RULE.match(text)
    return bool(rule and rule["title"] in _HEADINGS) or _COUNTS.match(text) is not None


def read(lines: Lines, sink: Sink) -> None:
    """Read pytest's output from `lines` into `sink`."""
    blocks, summaries = _parts(lines)
    left = list(summaries)
    for block in blocks:
        name = _AT.sub("", block.name)
        summary = next((one for one in left if _is_about(one.node, name)), None)
        if summary:
            left.remove(summary)
        report = "\n".join(block.rows)
        operation = _operation(summary.node) if summary else _place(block.rows, name)
        error = error_in_report(report, kind=None, summary=summary.message if summary else "")
        add_failing_test(sink, operation, error, time_ns=None, line=block.line)
    for one in left:
        error = error_in_report("", kind=None, summary=one.message)
        add_failing_test(sink, _operation(one.node), error, time_ns=None, line=one.line)


def _parts(lines: Lines) -> tuple[list[_Block], list[_Summary]]:
    blocks: list[_Block] = []
    summaries: list[_Summary] = []
    section, inside = "", False
    for coloured in lines:
        text = uncoloured(coloured)
        if rule := _RULE.match(text):
            section, inside = rule["title"], False
        elif section in ("FAILURES", "ERRORS") and (block := _BLOCK.match(text)):
            blocks.append(_Block(block["name"], lines.read, []))
            inside = True
        elif section == "short test summary info" and (summary := _SUMMARY.match(text)):
            summaries.append(_Summary(summary["node"], summary["message"] or "", lines.read))
            continue
        elif inside:
            inside = _CAPTURED.match(text) is None
            if inside:
                blocks[-1].rows.append(text)
                continue
        lines.passed_over += 1
    return blocks, summaries


def _is_about(node: str, name: str) -> bool:
    file, _, test = node.partition("::")
    return test.replace("::", ".") == name if test else file == name


def _operation(node: str) -> str:
    """A test as JUnit reports name it: dotted module and class, then the function."""
    file, *names = node.split("::")
    module = file.removesuffix(".py").replace("/", ".").replace("\\", ".")
    return f"{'.'.join([module, *names[:-1]])}::{names[-1]}" if names else module


def _place(rows: list[str], name: str) -> str:
    place = next((match for row in rows if (match := PLACE.match(row))), None)
    return _operation(f"{place['file']}::{name.replace('.', '::')}") if place else name
