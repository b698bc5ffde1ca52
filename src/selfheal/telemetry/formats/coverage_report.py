"""coverage.py's JSON report and Cobertura XML: which lines a test suite ran.

The release is taken from a file name like ``coverage-1.1.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from selfheal.telemetry.formats.events import MALFORMED, malformed
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

_INT32_LIMIT = 2**31
_NAME = re.compile(r"coverage-(?P<release>.+?)\.(?:json|xml|lcov|info)(?:\.gz|\.zst)?$")


def read_json(lines: Lines, sink: Sink) -> None:
    """Read a report of ``coverage json`` from `lines` into `sink`."""
    try:
        files: dict[str, Any] = json.loads(lines.text())["files"]
        names = sorted(files)
    except MALFORMED as error:
        sink.refuse(1, f"no coverage.py report: {malformed(error)}")
        return
    for file in names:
        try:
            _add_file(file, files[file], sink)
        except MALFORMED as error:
            sink.refuse(1, f"no coverage.py report of {file!r}: {malformed(error)}")


def _add_file(file: str, report: dict[str, Any], sink: Sink) -> None:
    functions = {
        int(line): str(name)
        for name, region in sorted((report.get("functions") or {}).items())
        if name
        for line in (*region["executed_lines"], *region["missing_lines"])
    }
    covered = {int(line): False for line in report["missing_lines"]}
    covered.update({int(line): True for line in report["executed_lines"]})
    if any(not 0 <= line < _INT32_LIMIT for line in covered):
        raise ValueError("line numbers are out of range")
    add_lines(sink, _posix(file), covered, functions, release_in_name(sink.name))


def read_xml(lines: Lines, sink: Sink) -> None:
    """Read a Cobertura report (``coverage xml``) from `lines` into `sink`."""
    try:
        root = ElementTree.fromstring(lines.text())
    except (ElementTree.ParseError, ValueError) as error:
        sink.refuse(getattr(error, "position", (1, 0))[0], f"not XML: {error}")
        return
    covered: dict[str, dict[int, bool]] = {}
    functions: dict[str, dict[int, str]] = {}
    for measured in root.iter("class"):
        file = _posix(measured.get("filename") or "")
        of_file, named = covered.setdefault(file, {}), functions.setdefault(file, {})
        for number, hits in _hits(measured, sink):
            of_file[number] = of_file.get(number, False) or hits > 0
        for method in measured.iter("method"):
            named.update((number, method.get("name") or "") for number, _ in _hits(method, sink))
    release = release_in_name(sink.name)
    for file in sorted(covered):
        add_lines(sink, file, covered[file], functions[file], release)


def _hits(element: ElementTree.Element, sink: Sink) -> Iterator[tuple[int, int]]:
    for line in element.iter("line"):
        try:
            number, hits = int(line.get("number") or 0), int(line.get("hits") or 0)
            if not 0 <= number < _INT32_LIMIT:
                raise ValueError(f"line {number} is out of range")
        except ValueError as error:
            if element.tag == "class":
                sink.refuse(1, f"malformed line of a class: {error}")
        else:
            yield number, hits


def add_lines(
    sink: Sink,
    file: str,
    covered: Mapping[int, bool],
    functions: Mapping[int, str],
    release: str | None,
) -> None:
    """Add the measured lines of a file, in order."""
    for line in sorted(covered):
        sink.coverage.add((file, line, covered[line], functions.get(line) or None, release))


def release_in_name(file: str) -> str | None:
    """The release in a file name like ``coverage-1.1.json``."""
    match = _NAME.search(file)
    return match["release"] if match else None


def _posix(file: str) -> str:
    return file.replace("\\", "/")
