"""Coverage as lcov tracefiles: which lines of which files a test suite ran.

``SF`` names a file, ``DA`` a line with its hits, ``FN`` where a function begins (and, from
lcov 2 on, ends). The release is taken from the file's name as for other reports.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from selfheal.telemetry.formats.coverage_report import add_lines, release_in_name
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

_RECORD = re.compile(r"(?P<key>[A-Z]{2,5}):(?P<value>.*)$")
_LINE = re.compile(r"(?P<line>\d{1,9}),(?P<hits>-?\d+)(?:,.*)?$", re.ASCII)
_FUNCTION = re.compile(r"(?P<first>\d{1,9}),(?:(?P<last>\d{1,9}),)?(?P<name>.+)$", re.ASCII)
_OTHERS = frozenset(
    ("TN", "VER", "FNDA", "FNF", "FNH", "FNL", "FNA", "BRDA", "BRF", "BRH", "LF", "LH",
     "MCDC", "MCF", "MCH")
)  # fmt: skip


def begins_tracefile(text: str) -> bool:
    """Whether a text begins with the records of a tracefile."""
    rows = text.split("\n", 100)[:100]
    return rows[0].startswith(("TN:", "SF:")) and (
        any(row.startswith("SF:") for row in rows)
        and any(row.startswith(("DA:", "FN:", "FNF:", "LF:", "BRDA:")) for row in rows)
    )


def read(lines: Lines, sink: Sink) -> None:
    """Read an lcov tracefile from `lines` into `sink`."""
    files: dict[str, _File] = {}
    current: _File | None = None
    for text in lines.filled():
        record = _RECORD.match(text.strip())
        key = record["key"] if record else text.strip()
        value = record["value"] if record else ""
        if key == "SF" and value:
            current = files.setdefault(value.replace("\\", "/"), _File())
        elif key == "end_of_record":
            current = None
        elif key == "DA" and current and (line := _LINE.match(value)):
            number = int(line["line"])
            current.covered[number] = current.covered.get(number, False) or int(line["hits"]) > 0
            continue
        elif key == "FN" and current and (function := _FUNCTION.match(value)):
            last = int(function["last"]) if function["last"] else None
            current.functions.append((int(function["first"]), last, function["name"]))
        elif key.startswith("#"):
            pass
        elif key not in _OTHERS:
            sink.refuse(lines.read, "no record of an lcov tracefile")
            continue
        lines.passed_over += 1
    release = release_in_name(sink.name)
    for name in sorted(files):
        add_lines(sink, name, files[name].covered, files[name].function_of(), release)


class _File:
    """What a tracefile says of one source file."""

    def __init__(self) -> None:
        self.covered: dict[int, bool] = {}
        self.functions: list[tuple[int, int | None, str]] = []

    def function_of(self) -> dict[int, str]:
        """The function of each measured line; the innermost where they nest.

        A function whose end is not given reaches to the next one.
        """
        names: dict[int, str] = {}
        if not self.covered:
            return names
        functions = sorted(self.functions, key=lambda function: function[0])
        starts = [first for first, _, _ in functions]
        measured = sorted(self.covered)
        for first, given, name in functions:
            following = bisect_right(starts, first)
            last = given
            if last is None:
                last = starts[following] - 1 if following < len(starts) else measured[-1]
            # The line of the definition itself runs when the module is loaded.
            inside = measured[bisect_right(measured, first) : bisect_right(measured, last)]
            names.update(dict.fromkeys(inside, name))
        return names
