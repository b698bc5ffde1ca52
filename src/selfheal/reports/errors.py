"""Errors: fingerprints × places in the code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.diagnosis import Diagnosis
from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Chart, Code, Column, Facts, Table
from selfheal.reports.model import Finding, Options, Place, Report
from selfheal.reports.source import Source
from selfheal.reports.waterfall import waterfalls
from selfheal.telemetry.statistics import iso

TRACES = 5
DRAWN = 40
STACKTRACES = 5

_GROUPS = """
SELECT fingerprint, exception_type, count(*)::BIGINT AS count,
    count(DISTINCT trace_id)::BIGINT AS traces, count(*) FILTER (handled)::BIGINT AS handled,
    min(exception_message) AS message, count(DISTINCT exception_message)::BIGINT AS messages,
    list_sort(list(DISTINCT coalesce(service, 'unknown'))) AS services,
    list_sort(list(DISTINCT coalesce(release, 'unknown'))) AS releases,
    list_sort(list(DISTINCT coalesce(operation, 'unknown'))) AS operations,
    min(time_ns) AS first_ns, max(time_ns) AS last_ns,
    list(DISTINCT trace_id ORDER BY trace_id) FILTER (trace_id IS NOT NULL)[1:$traces] AS trace_ids,
    arg_min(stacktrace, (source, line)) AS stacktrace, min((source, line)) AS origin
FROM errors WHERE $release IS NULL OR release = $release
GROUP BY fingerprint, exception_type ORDER BY count DESC, fingerprint
"""
_FRAMES = """
CREATE OR REPLACE TEMP TABLE frames AS
WITH framed AS (
    SELECT fingerprint, row_number() OVER () AS error, from_json(frames,
        '[{"file": "VARCHAR", "line": "INTEGER", "function": "VARCHAR"}]') AS frames
    FROM errors WHERE frames IS NOT NULL AND ($release IS NULL OR release = $release)
), placed AS (
    SELECT fingerprint, error, generate_subscripts(frames, 1) AS depth, unnest(frames) AS frame
    FROM framed
)
SELECT fingerprint, error, depth, frame.file AS file, frame.line AS line,
    frame.function AS function FROM placed
"""
# The innermost frame of the project's own code is where an error is from; without one,
# the innermost of all.
_PLACES = """
WITH own AS (
    SELECT f.*, coalesce(k.name, f.file) AS name, k.own,
        row_number() OVER (PARTITION BY error ORDER BY k.own DESC, depth DESC) = 1 AS innermost
    FROM frames AS f JOIN known AS k ON f.file = k.file
)
SELECT fingerprint, name AS file, line, function, own, count(DISTINCT error)::BIGINT AS count,
    count(*) FILTER (innermost)::BIGINT AS raised
FROM own WHERE own OR innermost GROUP BY ALL ORDER BY fingerprint, raised DESC, count DESC, file, line
"""


class ErrorGroup(Model):
    """Errors with one fingerprint. `handled` of them did not fail their request.

    `verdict` is the detector's: new, rising, or none. `place` is the innermost frame of
    the project's own code.
    """

    fingerprint: str
    exception_type: str
    message: str
    messages: int
    count: int
    traces: int
    handled: int
    services: list[str]
    releases: list[str]
    operations: list[str]
    first_seen: str | None
    last_seen: str | None
    verdict: str
    place: str | None
    function: str | None
    line: int | None
    file: str | None
    suspect: str | None
    anomaly: str | None
    diagnosis: str | None
    recorded: str
    trace_ids: list[str]
    stacktrace: str | None


class Crossing(Model):
    """How many errors of a fingerprint passed a place; `raised` of them came from there."""

    fingerprint: str
    file: str
    line: int | None
    function: str | None
    count: int
    raised: int


class Errors(Report):
    TITLE: ClassVar[str] = "Errors × code"
    QUESTION: ClassVar[str] = "Which errors are there, and where in the code do they come from?"

    groups: list[ErrorGroup] = Field(default_factory=list)
    matrix: list[Crossing] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        total = sum(group.count for group in self.groups)
        unhandled = total - sum(group.handled for group in self.groups)
        blocks: list[Block] = [
            Facts(
                [
                    ("errors", f"{total:,}"),
                    ("kinds", str(len(self.groups))),
                    ("not known to be handled", f"{unhandled:,}"),
                ]
            )
        ]
        if self.matrix:
            blocks.append(self._chart())
        blocks.append(Table.of("errors", "Errors by fingerprint", _COLUMNS, self.groups))
        if self.matrix:
            blocks.append(Table.of("matrix", "Fingerprint × place", _MATRIX, self.matrix))
        blocks += [
            Code(
                f"traceback-{group.fingerprint}",
                f"{group.exception_type}: {group.message}",
                group.stacktrace,
            )
            for group in self.groups[:STACKTRACES]
            if group.stacktrace
        ]
        return blocks

    def _chart(self) -> Chart:
        names = {g.fingerprint: f"{g.exception_type.rpartition('.')[2]} {g.fingerprint[:6]}"
                 for g in self.groups}  # fmt: skip
        rows = list(dict.fromkeys(one.fingerprint for one in self.matrix))[:DRAWN]
        places = list(dict.fromkeys(_place(one) for one in self.matrix))[:DRAWN]
        cells = [
            {
                "x": places.index(_place(one)),
                "y": rows.index(one.fingerprint),
                "count": one.count,
                "raised": one.raised,
            }
            for one in self.matrix
            if one.fingerprint in rows and _place(one) in places
        ]
        return Chart(
            "heat",
            "crossings",
            "Which error passes which place",
            {
                "x": places,
                "y": [names[fingerprint] for fingerprint in rows],
                "slanted": True,
                "measures": [
                    {"key": "count", "title": "errors", "kind": "count"},
                    {"key": "raised", "title": "raised here", "kind": "count"},
                ],
                "cells": cells,
            },
            "Columns are places of the project's own code on the way of a traceback.",
        )

    def findings(self) -> list[Finding]:
        return [
            Finding(
                rule="selfheal/error",
                description="An error that production raised.",
                level="note" if group.handled == group.count else "error",
                message=f"{group.exception_type}: {group.message} ({group.count} times, at "
                f"{', '.join(group.operations)})",
                place=Place(file=group.file, line=group.line, function=group.function)
                if group.file
                else None,
                fingerprint=group.fingerprint,
                properties={
                    "count": group.count,
                    "releases": group.releases,
                    "verdict": group.verdict,
                },
            )
            for group in self.groups
        ]


_COLUMNS = (
    Column("verdict", "verdict", "grade"),
    Column("exception_type", "exception"),
    Column("message", "message"),
    Column("count", "count", "count"),
    Column("traces", "traces", "count"),
    Column("handled", "handled", "count"),
    Column("place", "code", "place"),
    Column("suspect", "suspect", "place"),
    Column("trace_ids", "traces to open", "trace"),
    Column("operations", "operations"),
    Column("releases", "releases"),
    Column("first_seen", "first", "time"),
    Column("last_seen", "last", "time"),
    Column("recorded", "recorded at", "place"),
    Column("fingerprint", "fingerprint"),
)
_MATRIX = (
    Column("fingerprint", "fingerprint"),
    Column("file", "file", "place"),
    Column("line", "line", "count"),
    Column("function", "function"),
    Column("count", "errors", "count"),
    Column("raised", "raised here", "count"),
)


def _place(one: Crossing) -> str:
    return f"{one.file}:{one.line} {one.function or ''}".strip()


def build(source: Source, options: Options) -> Errors:
    """All errors of the telemetry, or those of one release, the most frequent first."""
    asked = {"release": options.release}
    rows = source.rows(_GROUPS, asked | {"traces": TRACES}) if source.count("errors") else []
    if not rows:
        reason = "the telemetry of this run holds no errors"
        return Errors(report="errors", run_id=source.run_id, empty=reason)
    crossings = _crossings(source, asked)
    groups = [_group(source, row, crossings) for row in rows]
    notes = [
        "An exception that was logged, recorded by spans and printed is counted once per trace."
    ]
    without = sum(group.count for group in groups if not group.file)
    if without:
        notes.append(f"{without} errors came without a traceback: their place is not known.")
    return Errors(
        report="errors",
        run_id=source.run_id,
        groups=groups,
        matrix=crossings,
        notes=notes,
        traces=waterfalls(source, [id for group in groups for id in group.trace_ids]),
    )


def _crossings(source: Source, asked: dict[str, Any]) -> list[Crossing]:
    source.connection.execute(_FRAMES, asked)
    files = [row["file"] for row in source.rows("SELECT DISTINCT file FROM frames")]
    source.connection.execute(
        "CREATE OR REPLACE TEMP TABLE known AS SELECT unnest($files) AS file,"
        " unnest($names) AS name, unnest($own) AS own",
        {
            "files": files,
            "names": [source.repository_file(file) for file in files],
            "own": [not source.is_foreign(file or "") for file in files],
        },
    )
    return [
        Crossing(**{name: value for name, value in row.items() if name != "own"})
        for row in source.rows(_PLACES)
    ]


def _group(source: Source, row: dict[str, Any], crossings: Sequence[Crossing]) -> ErrorGroup:
    anomaly = next(
        (
            one
            for one in source.found_anomalies(("error", "dependency"))
            if one.evidence.get("fingerprint") == row["fingerprint"]
        ),
        None,
    )
    diagnosis = source.diagnosis_of(anomaly.id) if anomaly else None
    place = _origin(row["fingerprint"], crossings, diagnosis)
    origin = row.pop("origin")
    first, last = row.pop("first_ns"), row.pop("last_ns")
    suspects = diagnosis.suspect_commits if diagnosis else []
    row["exception_type"] = row["exception_type"] or "unknown"
    row["message"] = row["message"] or ""
    row["trace_ids"] = row["trace_ids"] or []
    return ErrorGroup(
        **row,
        first_seen=iso(first),
        last_seen=iso(last),
        verdict=_verdict(source, anomaly),
        place=str(place) if place else None,
        function=place.function if place else None,
        line=place.line if place else None,
        file=place.file if place else None,
        suspect=suspects[0].sha[:10] if suspects else None,
        anomaly=anomaly.id if anomaly else None,
        diagnosis=diagnosis.id if diagnosis else None,
        recorded=source.origin(origin.get("source"), origin.get("line"))
        if isinstance(origin, dict)
        else source.origin(*origin),
    )


def _verdict(source: Source, anomaly: Anomaly | None) -> str:
    if anomaly is None:
        return "no finding" if source.anomalies is not None else "not judged"
    return "new" if anomaly.evidence.get("new") else "rising"


def _origin(
    fingerprint: str, crossings: Sequence[Crossing], diagnosis: Diagnosis | None
) -> Place | None:
    """The diagnosed line where there is one, else the innermost own frame."""
    if diagnosis and diagnosis.verdict == "code_cause" and diagnosis.locations:
        first = diagnosis.locations[0]
        return Place(file=first.file, line=first.line, function=first.function)
    raised = [one for one in crossings if one.fingerprint == fingerprint and one.raised]
    if not raised:
        return None
    return Place(file=raised[0].file, line=raised[0].line, function=raised[0].function)
