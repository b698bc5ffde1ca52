"""Anomalies: what is wrong, how bad, since when, and how healthy the whole is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.artifacts.anomalies import Anomaly, Health, Undecided
from selfheal.artifacts.model import Model, Severity
from selfheal.reports.blocks import Block, Chart, Column, Facts, Table
from selfheal.reports.model import Finding, Options, Place, Report
from selfheal.reports.source import Source, ns_of
from selfheal.reports.waterfall import waterfalls

LEVELS: dict[Severity, str] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
}
RULES = {
    "performance": "An operation is slower than it was.",
    "behavioral": "Steps of an operation are missing, added, repeated or swapped.",
    "coverage": "Production runs code that no test covers.",
    "error": "An error is new or more frequent than it was.",
    "state": "State changes that did not happen before.",
    "dependency": "A dependency is missing or does not fit.",
    "documentation": "Documentation tells another story than production.",
}


class Found(Model):
    """An anomaly with the cause that was diagnosed; `first_seen` and `last_seen` ISO 8601 UTC."""

    id: str
    kind: str
    severity: Severity
    score: float
    title: str
    service: str
    operation: str
    count: int
    first_seen: str | None
    last_seen: str | None
    detector: str
    verdict: str | None
    file: str | None
    line: int | None
    function: str | None
    place: str | None
    suspect: str | None
    reason: str | None
    trace_ids: list[str]


class AnomalyReport(Report):
    TITLE: ClassVar[str] = "Anomalies"
    QUESTION: ClassVar[str] = "What is wrong, and how healthy is the service?"

    found: list[Found] = Field(default_factory=list)
    health: Health | None = None
    undecided: list[Undecided] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        facts = [("anomalies", str(len(self.found))), ("open questions", str(len(self.undecided)))]
        blocks: list[Block] = []
        if self.health is not None:
            score = "no data" if self.health.score is None else f"{self.health.score:.0f} of 100"
            facts.insert(0, ("health", score))
            blocks.append(self._health(self.health))
        if any(one.first_seen and one.last_seen for one in self.found):
            blocks.append(self._when())
        return [
            Facts(facts),
            *blocks,
            Table.of("anomalies", "Anomalies, the gravest first", _COLUMNS, self.found),
            Table.of("undecided", "Open questions", _OPEN, self.undecided),
        ]

    def _health(self, health: Health) -> Table:
        columns = (
            Column("name", "component"),
            Column("score", "score of 100", "number"),
            Column("weight", "weight", "number"),
            Column("explanation", "how it is made"),
        )
        return Table.of("health", "Health", columns, health.components)

    def _when(self) -> Chart:
        timed = [one for one in self.found if one.first_seen and one.last_seen]
        begun = min(ns_of(one.first_seen) or 0 for one in timed)
        bars: list[dict[str, Any]] = []
        for row, one in enumerate(timed):
            first, last = ns_of(one.first_seen) or 0, ns_of(one.last_seen) or 0
            bars.append(
                {
                    "row": row,
                    "at": (first - begun) / 1e6,
                    "lasts": (last - first) / 1e6,
                    "name": row,
                    "bad": one.severity in ("high", "critical"),
                    "told": [f"{one.severity} {one.kind}, {one.count:,} times", one.first_seen],
                }
            )
        return Chart(
            "lanes",
            "when",
            "When each was seen",
            {
                "rows": [one.operation for one in timed],
                "names": [one.title for one in timed],
                "bars": bars,
                "idle": [],
                "lasts": max(bar["at"] + bar["lasts"] for bar in bars),
                "zoom": "in",
            },
        )

    def findings(self) -> list[Finding]:
        return [
            Finding(
                rule=f"selfheal/{one.kind}",
                description=RULES[one.kind],
                level=LEVELS[one.severity],
                message=f"{one.title}. {one.reason or ''}".strip(),
                place=Place(file=one.file, line=one.line, function=one.function)
                if one.file
                else None,
                fingerprint=one.id,
                properties={"severity": one.severity, "score": one.score, "detector": one.detector},
            )
            for one in self.found
        ]


_COLUMNS = (
    Column("severity", "severity", "grade"),
    Column("kind", "kind"),
    Column("title", "what"),
    Column("service", "service"),
    Column("count", "count", "count"),
    Column("place", "code", "place"),
    Column("suspect", "suspect", "place"),
    Column("trace_ids", "traces", "trace"),
    Column("verdict", "cause"),
    Column("first_seen", "first", "time"),
    Column("last_seen", "last", "time"),
    Column("id", "id"),
)
_OPEN = (
    Column("operation", "operation"),
    Column("reason", "why it is open"),
    Column("needed", "what would answer it"),
    Column("detector", "detector"),
)


def build(source: Source, options: Options) -> AnomalyReport:
    """What detect and diagnose found; empty where detect has not run."""
    del options
    if source.anomalies is None:
        return AnomalyReport(
            report="anomalies",
            run_id=source.run_id,
            empty="the detectors have not run; selfheal run --phase detect does it",
        )
    found = [_found(source, one) for one in source.anomalies.anomalies]
    nothing = not found and not source.anomalies.undecided and source.anomalies.health.score is None
    return AnomalyReport(
        report="anomalies",
        run_id=source.run_id,
        empty="there was no data to find anomalies in" if nothing else None,
        found=found,
        health=source.anomalies.health,
        undecided=source.anomalies.undecided,
        traces=waterfalls(source, [id for one in found for id in one.trace_ids]),
    )


def _found(source: Source, anomaly: Anomaly) -> Found:
    diagnosis = source.diagnosis_of(anomaly.id)
    location = diagnosis.locations[0] if diagnosis and diagnosis.locations else None
    place = (
        Place(file=location.file, line=location.line, function=location.function)
        if location
        else _from_evidence(source, anomaly)
    )
    suspects = diagnosis.suspect_commits if diagnosis else []
    return Found(
        id=anomaly.id,
        kind=anomaly.kind,
        severity=anomaly.severity,
        score=anomaly.score,
        title=anomaly.title,
        service=anomaly.service,
        operation=anomaly.operation,
        count=anomaly.count,
        first_seen=anomaly.first_seen,
        last_seen=anomaly.last_seen,
        detector=anomaly.detector.name,
        verdict=diagnosis.verdict if diagnosis else None,
        file=place.file if place else None,
        line=place.line if place else None,
        function=place.function if place else None,
        place=str(place) if place else None,
        suspect=suspects[0].sha[:10] if suspects else None,
        reason=diagnosis.reason if diagnosis else None,
        trace_ids=[str(id) for id in (anomaly.evidence.get("trace_ids") or [])[:3]],
    )


def _from_evidence(source: Source, anomaly: Anomaly) -> Place | None:
    """Where an anomaly without a diagnosis points by itself: its span's code or its file."""
    code = anomaly.evidence.get("code") or {}
    file = code.get("file") or anomaly.evidence.get("file")
    line = code.get("line") or anomaly.evidence.get("first_line")
    function = code.get("function") or anomaly.evidence.get("function")
    return source.place(file, line, function)
