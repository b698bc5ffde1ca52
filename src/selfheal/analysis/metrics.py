"""Metrics of the telemetry: each series through the streaming detector, release by release.

A gauge is taken as it is; of a sum that only grows, what it grew by. Of many series some
have rare values by chance: the alarm limit is such that of all values that are judged,
`FALSE_ALARMS` are expected to be false.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from selfheal.analysis.model import Comparison, DetectionData, Findings
from selfheal.analysis.series import RISK, WARM_UP, Reading, alarms
from selfheal.artifacts import Anomaly, Dataset
from selfheal.artifacts.anomalies import Detector
from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.model import Severity
from selfheal.telemetry.statistics import UNKNOWN, iso, significant

DETECTOR = "metric_series"
_SEVERITIES: dict[str | None, Severity] = {"level": "medium", "flat": "medium", "spike": "low"}
_LISTED = 20
# Expected in all series together, for each of the two tails of the detector.
FALSE_ALARMS = 0.05

_POINTS = f"""
WITH points AS (
    SELECT name, coalesce(instance, '') AS instance, coalesce(attributes, '') AS attributes,
        any_value(unit) AS unit, time_ns,
        avg(CASE WHEN kind = 'gauge' THEN value ELSE increase END) AS value
    FROM metrics
    WHERE coalesce(service, '{UNKNOWN}') = $service AND coalesce(release, '{UNKNOWN}') = $candidate
        AND time_ns IS NOT NULL AND (kind = 'gauge' OR (kind = 'sum' AND monotonic))
    GROUP BY name, instance, attributes, time_ns
)
SELECT * FROM points WHERE isfinite(value)
QUALIFY count(*) OVER (PARTITION BY name, instance, attributes) >= $least
ORDER BY name, instance, attributes, time_ns
"""


def detect_metrics(data: DetectionData) -> Findings:
    """The series of the judged releases that left their usual course."""
    series = [
        (comparison, where, points)
        for comparison in data.comparisons
        for where, points in _series(data.dataset, comparison)
    ]
    judged = sum(len(points) - WARM_UP for _, _, points in series)
    risk = min(RISK, FALSE_ALARMS / max(judged, 1))
    anomalies = []
    for comparison, where, points in series:
        pairs = ((point["time_ns"] / 1e9, point["value"]) for point in points)
        found = list(alarms(pairs, risk=risk))
        if found:
            anomalies.append(_anomaly(comparison, where, points, found))
    return Findings(anomalies=anomalies)


def _series(
    dataset: Dataset, comparison: Comparison
) -> Iterator[tuple[dict[str, str], list[dict[str, Any]]]]:
    """Each series that is long enough: its names, and its points in time."""
    rows = dataset.rows(
        _POINTS,
        {
            "service": comparison.service,
            "candidate": comparison.candidate.version,
            "least": 2 * WARM_UP,
        },
    )
    names = ("name", "instance", "attributes")
    for key, points in itertools.groupby(rows, lambda row: [row[name] for name in names]):
        yield dict(zip(("metric", "instance", "attributes"), key, strict=True)), list(points)


def _anomaly(
    comparison: Comparison,
    where: dict[str, str],
    points: list[dict[str, Any]],
    found: list[Reading],
) -> Anomaly:
    gravest = max(found, key=lambda one: (_SEVERITIES[one.deviation], one.score))
    unit = f" {points[0]['unit']}" if points[0]["unit"] else ""
    return Anomaly(
        id=short_id("anomaly", DETECTOR, comparison.service, *where.values()),
        kind="behavioral",
        service=comparison.service,
        operation=where["metric"],
        severity=_SEVERITIES[gravest.deviation],
        score=significant(gravest.score),
        title=(
            f"{where['metric']} left its usual course {len(found)} times in {len(points)} values: "
            f"{gravest.deviation} of {gravest.value:.4g}{unit}, expected {gravest.expected:.4g}"
        ),
        first_seen=iso(round(found[0].time * 1e9)),
        last_seen=iso(round(found[-1].time * 1e9)),
        count=len(found),
        detector=Detector(name=DETECTOR, parameters=where, window=comparison.window),
        evidence={
            "violation": gravest.deviation,
            "step": where["metric"],
            **where,
            "values": len(points),
            "deviations": [
                {
                    "at": iso(round(one.time * 1e9)),
                    "deviation": one.deviation,
                    "value": significant(one.value),
                    "expected": significant(one.expected),
                    "score": significant(one.score),
                }
                for one in found[:_LISTED]
            ],
        },
    )
