"""coverage.py's JSON report and Cobertura XML: which lines a test suite ran.

The release is taken from a file name like ``coverage-1.1.json``.
"""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

_NAME = re.compile(r"coverage-(?P<release>.+?)\.(?:json|xml)(?:\.gz)?$")


def read_json(lines: Lines, sink: Sink) -> None:
    """Read a report of ``coverage json`` from `lines` into `sink`."""
    try:
        files: dict[str, Any] = json.loads(lines.text())["files"]
        for file in sorted(files):
            _add_file(file, files[file], sink)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        sink.refuse(1, f"no coverage.py report: {error}")


def _add_file(file: str, report: dict[str, Any], sink: Sink) -> None:
    functions = {
        line: name
        for name, region in sorted((report.get("functions") or {}).items())
        if name
        for line in (*region["executed_lines"], *region["missing_lines"])
    }
    covered = dict.fromkeys(report["missing_lines"], False)
    covered.update(dict.fromkeys(report["executed_lines"], True))
    release = _release(sink)
    for line in sorted(covered):
        sink.coverage.add((_posix(file), line, covered[line], functions.get(line), release))


def read_xml(lines: Lines, sink: Sink) -> None:
    """Read a Cobertura report (``coverage xml``) from `lines` into `sink`."""
    try:
        root = ElementTree.fromstring(lines.text())
    except ElementTree.ParseError as error:
        sink.refuse(error.position[0], f"not XML: {error}")
        return
    rows: dict[tuple[str, int], bool] = {}
    for measured in root.iter("class"):
        file = _posix(measured.get("filename") or "")
        for line in measured.iter("line"):
            place = (file, int(line.get("number") or 0))
            rows[place] = rows.get(place, False) or int(line.get("hits") or 0) > 0
    release = _release(sink)
    for (file, number), covered in sorted(rows.items()):
        sink.coverage.add((file, number, covered, None, release))


def _release(sink: Sink) -> str | None:
    match = _NAME.search(sink.name)
    return match["release"] if match else None


def _posix(file: str) -> str:
    return file.replace("\\", "/")
