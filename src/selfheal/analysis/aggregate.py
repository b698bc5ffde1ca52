"""From the detectors' findings to one list: what is one trouble becomes one anomaly."""

from __future__ import annotations

from collections.abc import Sequence

from selfheal.analysis.health import health
from selfheal.analysis.model import DetectionData
from selfheal.analysis.roots import root_candidates
from selfheal.artifacts import Anomalies, Anomaly
from selfheal.artifacts.anomalies import Undecided
from selfheal.artifacts.model import SEVERITIES
from selfheal.config import DetectConfig


def aggregate(
    findings: Sequence[Anomaly | Undecided], data: DetectionData, config: DetectConfig
) -> Anomalies:
    """The payload of anomalies.json: gravest first, open questions, and the health score.

    An anomaly that came twice counts once. A step that repeats in an operation which
    became slower is the reason why it is slower: it joins that anomaly as the evidence
    `repeated_steps`.
    """
    unique = {item.id: item for item in findings if isinstance(item, Anomaly)}
    anomalies = _with_repetitions(list(unique.values()))
    undecided = [item for item in findings if isinstance(item, Undecided)]
    releases = [(pair.service, pair.candidate.version) for pair in data.comparisons]
    return Anomalies(
        anomalies=sorted(anomalies, key=_gravest_first),
        health=health(data.dataset, releases, config.health_weights),
        roots=root_candidates(data.dataset, data.comparisons, anomalies),
        undecided=sorted(undecided, key=lambda item: (item.detector, item.operation, item.reason)),
    )


def _gravest_first(anomaly: Anomaly) -> tuple[int, float, str]:
    return -SEVERITIES.index(anomaly.severity), -anomaly.score, anomaly.id


def _with_repetitions(anomalies: list[Anomaly]) -> list[Anomaly]:
    slower = {(one.service, one.operation) for one in anomalies if one.kind == "performance"}
    repetitions = [
        one
        for one in anomalies
        if one.evidence.get("violation") == "duplicated" and (one.service, one.operation) in slower
    ]
    kept = []
    for one in anomalies:
        steps = sorted(
            other.evidence["step"]
            for other in repetitions
            if (other.service, other.operation) == (one.service, one.operation)
        )
        if one.kind == "performance" and steps:
            kept.append(
                one.model_copy(update={"evidence": {**one.evidence, "repeated_steps": steps}})
            )
        elif one not in repetitions:
            kept.append(one)
    return kept
