"""Regression: what became slower or fails more from one release to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from selfheal.analysis.releases import compare
from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.model import Model
from selfheal.reports.blocks import Block, Chart, Column, Facts, Table
from selfheal.reports.model import Options, Report
from selfheal.reports.source import NO_SPANS, Source
from selfheal.reports.times import buckets
from selfheal.reports.waterfall import waterfalls
from selfheal.telemetry.statistics import iso, significant

SERIES = 6
COLUMNS = 60

_PAIRS = """
CREATE OR REPLACE TEMP TABLE pairs AS
SELECT unnest($services) AS of_service, unnest($baselines) AS baseline,
    unnest($candidates) AS candidate
"""
_SIDES = """
WITH sided AS (
    SELECT of_service AS service, operation, coalesce(release, 'unknown') = candidate AS late,
        duration_ms, status = 'error' OR coalesce(http_status, 0) >= 500 AS failed
    FROM spans JOIN pairs ON coalesce(service, 'unknown') = of_service
        AND coalesce(release, 'unknown') IN (baseline, candidate)
)
SELECT service, operation,
    count(*) FILTER (NOT late)::BIGINT AS count_before, count(*) FILTER (late)::BIGINT AS count_after,
    quantile_cont(duration_ms, 0.5) FILTER (NOT late) AS p50_before_ms,
    quantile_cont(duration_ms, 0.5) FILTER (late) AS p50_after_ms,
    quantile_cont(duration_ms, 0.95) FILTER (NOT late) AS p95_before_ms,
    quantile_cont(duration_ms, 0.95) FILTER (late) AS p95_after_ms,
    avg(failed::INTEGER) FILTER (NOT late) AS failing_before,
    avg(failed::INTEGER) FILTER (late) AS failing_after
FROM sided GROUP BY service, operation ORDER BY service, operation
"""
_OVER_TIME = """
SELECT of_service AS service, operation, ((start_ns - $origin) // $width)::INTEGER AS bucket,
    median(duration_ms) AS p50_ms
FROM spans JOIN pairs ON coalesce(service, 'unknown') = of_service
    AND coalesce(release, 'unknown') IN (baseline, candidate)
WHERE list_contains($operations, operation) AND start_ns BETWEEN $start AND $end
GROUP BY ALL ORDER BY ALL
"""


class Compared(Model):
    """The releases that were compared; `baseline` None where there was only one."""

    service: str
    baseline: str | None
    candidate: str


class Change(Model):
    """One operation in two releases. `verdict` is the detector's, never the ratio's."""

    service: str
    operation: str
    verdict: str
    count_before: int
    count_after: int
    p50_before_ms: float | None
    p50_after_ms: float | None
    ratio: float | None
    p95_before_ms: float | None
    p95_after_ms: float | None
    failing_before: float | None
    failing_after: float | None
    anomaly: str | None = None
    place: str | None = None
    commit: str | None = None
    trace_ids: list[str] = Field(default_factory=list)


class Series(Model):
    """The median of an operation by column of time; None where nothing ran."""

    operation: str
    values: list[float | None]


class Regression(Report):
    TITLE: ClassVar[str] = "Performance regressions"
    QUESTION: ClassVar[str] = "What became slower, or fails more, between two releases?"

    compared: list[Compared] = Field(default_factory=list)
    changes: list[Change] = Field(default_factory=list)
    times: list[str] = Field(default_factory=list)
    series: list[Series] = Field(default_factory=list)

    def blocks(self) -> Sequence[Block]:
        found = [one for one in self.changes if one.anomaly]
        pairs = ", ".join(
            f"{one.service} {one.baseline} → {one.candidate}" for one in self.compared
        )
        both = [one for one in self.changes if one.p50_before_ms and one.p50_after_ms]
        both.sort(key=lambda one: -(one.ratio or 0))
        blocks: list[Block] = [
            Facts(
                [
                    ("releases", pairs),
                    ("operations compared", str(len(both))),
                    ("proven worse", str(len(found))),
                ]
            )
        ]
        if both:
            blocks.append(self._dumbbell(both[:30]))
        if self.series:
            blocks.append(
                Chart(
                    "lines",
                    "over-time",
                    "Median over time",
                    {
                        "x": [moment[11:23].removesuffix(".000") for moment in self.times],
                        "unit": "ms",
                        "series": [
                            {"name": one.operation, "values": one.values} for one in self.series
                        ],
                    },
                )
            )
        return [*blocks, Table.of("changes", "Operations", _COLUMNS, self.changes)]

    def _dumbbell(self, both: Sequence[Change]) -> Chart:
        return Chart(
            "dumbbell",
            "medians",
            "Median before and after",
            {
                "unit": "ms",
                "names": ["before", "after"],
                "rows": [
                    {
                        "label": one.operation,
                        "from": one.p50_before_ms,
                        "to": one.p50_after_ms,
                        "bad": one.verdict == "slower",
                    }
                    for one in both
                ],
            },
            "Red where a detector found it slower by more than chance.",
        )


_COLUMNS = (
    Column("verdict", "verdict", "grade"),
    Column("operation", "operation"),
    Column("service", "service"),
    Column("ratio", "P50 ratio", "ratio"),
    Column("p50_before_ms", "P50 before", "ms"),
    Column("p50_after_ms", "P50 after", "ms"),
    Column("p95_before_ms", "P95 before", "ms"),
    Column("p95_after_ms", "P95 after", "ms"),
    Column("failing_before", "failing before", "share"),
    Column("failing_after", "failing after", "share"),
    Column("count_before", "n before", "count"),
    Column("count_after", "n after", "count"),
    Column("place", "code", "place"),
    Column("commit", "suspect", "place"),
    Column("trace_ids", "traces", "trace"),
)


def build(source: Source, options: Options) -> Regression:
    """All operations of the last two releases of each service, the proven changes first."""
    base = Regression(report="regression", run_id=source.run_id)
    if not source.count("spans"):
        return base.model_copy(update={"empty": NO_SPANS})
    pairs = [
        Compared(
            service=pair.service,
            baseline=pair.baseline.version if pair.baseline else None,
            candidate=pair.candidate.version,
        )
        for pair in compare(source.dataset, candidate=options.release)
    ]
    known = [pair for pair in pairs if pair.baseline]
    if not known:
        releases = ", ".join(f"{pair.service} {pair.candidate}" for pair in pairs)
        reason = f"there is one release only, and nothing to compare it with ({releases})"
        return base.model_copy(update={"empty": reason})
    source.connection.execute(
        _PAIRS,
        {
            "services": [pair.service for pair in known],
            "baselines": [pair.baseline for pair in known],
            "candidates": [pair.candidate for pair in known],
        },
    )
    changes = [_change(source, row) for row in source.rows(_SIDES)]
    changes.sort(key=_order)
    times, series = _over_time(source, options, changes)
    return base.model_copy(
        update={
            "compared": known,
            "changes": changes,
            "times": times,
            "series": series,
            "notes": _notes(source),
            "traces": waterfalls(source, [id for one in changes for id in one.trace_ids]),
        }
    )


def _notes(source: Source) -> list[str]:
    if source.anomalies is None:
        return ["The detectors have not run (selfheal run --phase detect): no change is judged."]
    return ["A ratio alone proves nothing: the verdict is that of the detectors, with its test."]


def _order(change: Change) -> tuple[bool, float, str, str]:
    return change.anomaly is None, -(change.ratio or 0.0), change.service, change.operation


def _change(source: Source, row: dict[str, Any]) -> Change:
    anomaly = _anomaly(source, row)
    before, after = row["p50_before_ms"], row["p50_after_ms"]
    diagnosis = source.diagnosis_of(anomaly.id) if anomaly else None
    location = diagnosis.locations[0] if diagnosis and diagnosis.locations else None
    suspects = diagnosis.suspect_commits if diagnosis else []
    figures = {
        name: significant(value) if isinstance(value, float) else value
        for name, value in row.items()
    }
    return Change(
        **figures,
        verdict=_verdict(source, row, anomaly),
        ratio=significant(after / before) if before and after is not None else None,
        anomaly=anomaly.id if anomaly else None,
        place=f"{location.file}:{location.line}" if location else None,
        commit=suspects[0].sha[:10] if suspects else None,
        trace_ids=(anomaly.evidence.get("trace_ids") or [])[:3] if anomaly else [],
    )


def _anomaly(source: Source, row: Mapping[str, Any]) -> Anomaly | None:
    found = [
        one
        for one in source.found_anomalies(("performance", "error"))
        if (one.service, one.operation) == (row["service"], row["operation"])
    ]
    return found[0] if found else None


def _verdict(source: Source, row: Mapping[str, Any], anomaly: Anomaly | None) -> str:
    if anomaly is not None:
        return "slower" if anomaly.kind == "performance" else "fails"
    if not row["count_before"] or not row["count_after"]:
        return "new" if row["count_after"] else "vanished"
    if source.anomalies is None:
        return "not judged"
    undecided = {one.operation for one in source.anomalies.undecided}
    return "inconclusive" if row["operation"] in undecided else "no finding"


def _over_time(
    source: Source, options: Options, changes: Sequence[Change]
) -> tuple[list[str], list[Series]]:
    columns = buckets(source, options, COLUMNS)
    shown = [one.operation for one in changes if one.count_before and one.count_after][:SERIES]
    if columns is None or not shown:
        return [], []
    rows = source.rows(
        _OVER_TIME,
        {
            "origin": columns.origin,
            "width": columns.width_ns,
            "start": columns.start,
            "end": columns.end,
            "operations": shown,
        },
    )
    found = {(row["operation"], row["bucket"]): significant(row["p50_ms"]) for row in rows
             if row["p50_ms"] is not None}  # fmt: skip
    series = [
        Series(operation=name, values=[found.get((name, at)) for at in range(columns.number)])
        for name in shown
    ]
    return [iso(moment) or "" for moment in columns.starts], series
