"""Coverage: what production runs against what tests cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Chart, Column, Facts, Table
from selfheal.reports.model import Finding, Options, Place, Report
from selfheal.reports.source import Source
from selfheal.reports.waterfall import waterfalls
from selfheal.telemetry.statistics import significant

_EXECUTED = """
SELECT replace(code_file, chr(92), '/') AS path, code_function AS function,
    min(code_line) AS line, count(*)::BIGINT AS executions,
    count(DISTINCT trace_id)::BIGINT AS traces, sum(duration_ms) AS total_ms,
    list_sort(list(DISTINCT operation)) AS operations, min(trace_id) AS trace_id
FROM spans WHERE code_file IS NOT NULL AND code_function IS NOT NULL
    AND ($release IS NULL OR release = $release)
GROUP BY path, function ORDER BY path, function
"""
_TESTED = """
WITH reports AS (
    SELECT * FROM coverage WHERE $release IS NULL OR release IS NULL OR release = $release
), lines AS (
    SELECT file, function, line, bool_or(covered) AS covered FROM reports
    WHERE function IS NOT NULL GROUP BY ALL
)
SELECT file, function, min(line) AS line, count(*) FILTER (covered)::BIGINT AS covered,
    count(*)::BIGINT AS lines
FROM lines GROUP BY file, function ORDER BY file, function
"""
_COUNTS = """
SELECT (SELECT count(*) FROM spans WHERE $release IS NULL OR release = $release) AS spans,
    (SELECT count(*) FROM spans WHERE code_function IS NOT NULL AND code_file IS NOT NULL
        AND ($release IS NULL OR release = $release)) AS placed,
    (SELECT count(*) FROM coverage) AS measured
"""
COLOURS = {
    "runs, untested": "bad",
    "runs, partly tested": "warn",
    "runs, tested": "good",
    "tested, not seen to run": "calm",
}


class Function(Model):
    """A function: how often production ran it, how much of it tests cover.

    `executions` is 0 where production was not seen to run it; `covered` and `lines` are
    None where no coverage report knows it.
    """

    file: str
    function: str
    line: int | None
    executions: int = 0
    traces: int = 0
    total_ms: float | None = None
    covered: int | None = None
    lines: int | None = None
    operations: list[str] = Field(default_factory=list)
    trace_id: str | None = None

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def share(self) -> float | None:
        """The part of its lines that tests cover."""
        return None if not self.lines else (self.covered or 0) / self.lines

    @property
    def state(self) -> str:
        if not self.executions:
            return "tested, not seen to run" if self.covered else "neither"
        if self.lines is None:
            return "runs, tests unknown"
        if not self.covered:
            return "runs, untested"
        return "runs, tested" if self.covered == self.lines else "runs, partly tested"


class Coverage(Report):
    """`placed` of `spans` say which function they ran: production's side rests on those."""

    TITLE: ClassVar[str] = "Coverage by production"
    QUESTION: ClassVar[str] = "Does what production runs have tests, and does what has tests run?"

    spans: int = 0
    placed: int = 0
    functions: list[Function] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        states = Counter(one.state for one in self.functions)
        known = [one for one in self.functions if one.executions and one.lines]
        tested = [one for one in known if one.covered]
        facts = [
            ("functions seen to run", f"{sum(bool(one.executions) for one in self.functions)}"),
            ("of those with coverage data", f"{len(known)}"),
            ("of those with any test", f"{len(tested)}"),
            ("spans that name their function", f"{self.placed:,} of {self.spans:,}"),
        ]
        blocks: list[Block] = [Facts(facts)]
        if known:
            blocks.append(self._chart())
        hot = sorted(
            (one for one in self.functions if one.executions), key=lambda one: -one.executions
        )
        gaps = [one for one in hot if one.state == "runs, untested"]
        unseen = [one for one in self.functions if one.state == "neither"]
        idle = [one for one in self.functions if one.state == "tested, not seen to run"]
        return [
            *blocks,
            Table(
                "states",
                "Executed × tested",
                (Column("state", "state"), Column("functions", "functions", "count")),
                [{"state": name, "functions": states[name]} for name in sorted(states)],
            ),
            Table.of("hot", "Hot paths: functions that production runs", _HOT, hot),
            Table.of("gaps", "Run in production without any test", _HOT, gaps),
            Table.of("dead", "Neither run nor tested: may be dead code", _COLD, unseen,
                     "Only functions with spans of their own can be seen to run."),
            Table.of("idle", "Tested, not seen to run", _COLD, idle),
        ]  # fmt: skip

    def _chart(self) -> Chart:
        points = [
            {
                "x": max(one.executions, 0.5),
                "y": one.share or 0.0,
                "group": one.state,
                "told": [
                    one.function,
                    one.place,
                    f"ran {one.executions:,} times",
                    f"{one.covered} of {one.lines} lines tested",
                ],
            }
            for one in self.functions
            if one.lines and one.state in COLOURS
        ]
        return Chart(
            "scatter",
            "hot-and-tested",
            "Executions × tested lines",
            {
                "points": points,
                "colours": COLOURS,
                "x": {"title": "executions in production (log; 0.5 is none)", "log": True},
                "y": {"title": "tested lines", "kind": "share", "max": 1},
            },
            "Low and to the right is the risk: runs often, tested little.",
        )

    def findings(self) -> list[Finding]:
        return [
            Finding(
                rule="selfheal/untested-hot-path",
                description="Production runs a function that no test covers.",
                level="warning",
                message=f"{one.function} ran {one.executions} times in production and no test "
                f"covers any of its {one.lines} lines.",
                place=Place(file=one.file, line=one.line, function=one.function),
                fingerprint=f"{one.file}:{one.function}",
                properties={"executions": one.executions, "operations": one.operations},
            )
            for one in self.functions
            if one.state == "runs, untested"
        ]


_HOT = (
    Column("state", "state"),
    Column("function", "function"),
    Column("place", "code", "place"),
    Column("executions", "executions", "count"),
    Column("traces", "traces", "count"),
    Column("total_ms", "total", "ms"),
    Column("covered", "tested lines", "count"),
    Column("lines", "of lines", "count"),
    Column("share", "tested", "share"),
    Column("operations", "operations"),
    Column("trace_id", "a trace", "trace"),
)
_COLD = (
    Column("function", "function"),
    Column("place", "code", "place"),
    Column("covered", "tested lines", "count"),
    Column("lines", "of lines", "count"),
)


def build(source: Source, options: Options) -> Coverage:
    """Functions by what production ran (code attributes of spans) and tests covered."""
    asked = {"release": options.release}
    counts = source.rows(_COUNTS, asked)[0]
    executed = source.rows(_EXECUTED, asked)
    tested = source.rows(_TESTED, asked)
    base = Coverage(
        report="coverage", run_id=source.run_id, spans=counts["spans"], placed=counts["placed"]
    )
    if not executed and not tested:
        reason = (
            "no span names its function (code.function.name, code.file.path), and there is no "
            "coverage report among the sources"
        )
        return base.model_copy(update={"empty": reason})
    functions = _joined(source, executed, tested)
    notes = []
    if not tested:
        notes.append(
            "There is no coverage report with functions among the sources (coverage json)."
        )
    if not executed:
        notes.append("No span names its function: what production runs is not known.")
    gaps = [
        one.trace_id for one in functions if one.executions and not one.covered and one.trace_id
    ]
    return base.model_copy(
        update={"functions": functions, "notes": notes, "traces": waterfalls(source, gaps)}
    )


def _joined(
    source: Source, executed: Sequence[Mapping[str, Any]], tested: Sequence[Mapping[str, Any]]
) -> list[Function]:
    """Regions of the coverage report and functions of spans, matched by the ends of their names."""
    by_file: dict[str, list[Mapping[str, Any]]] = {}
    for measured in tested:
        by_file.setdefault(measured["file"], []).append(measured)
    found: dict[tuple[str, str], Function] = {}
    for row in executed:
        file = source.repository_file(row["path"]) or row["path"]
        region = _region(by_file.get(file, ()), row["function"])
        key = (file, region["function"] if region else row["function"])
        before = found.get(key)
        found[key] = Function(
            file=file,
            function=key[1],
            line=row["line"]
            if region is None
            else min(row["line"] or region["line"], region["line"]),
            executions=row["executions"] + (before.executions if before else 0),
            traces=row["traces"] + (before.traces if before else 0),
            total_ms=significant(
                (row["total_ms"] or 0) + ((before.total_ms or 0) if before else 0)
            ),
            covered=region["covered"] if region else None,
            lines=region["lines"] if region else None,
            operations=sorted({*row["operations"], *(before.operations if before else ())}),
            trace_id=row["trace_id"],
        )
    for measured in tested:
        key = (measured["file"], measured["function"])
        found.setdefault(key, Function(**measured))
    return [found[key] for key in sorted(found)]


def _region(regions: Sequence[Mapping[str, Any]], function: str) -> Mapping[str, Any] | None:
    fits = [one for one in regions if f".{function}".endswith(f".{one['function']}")]
    return max(fits, key=lambda one: len(one["function"]), default=None)
