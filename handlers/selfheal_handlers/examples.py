"""Sample artifacts of one cycle: an error, its cause, a candidate and its proof.

Every builder fills in what a small example seldom cares about; `fields` override any field
of the model by its name. The ids fit together: ``anomaly-1`` leads to ``diagnosis-1``, which
``candidate-1`` heals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from selfheal.artifacts import (
    Anomalies,
    Anomaly,
    Candidate,
    Dataset,
    Diagnoses,
    Diagnosis,
    Telemetry,
    Validation,
)
from selfheal.artifacts.anomalies import DataWindow, Detector, Health
from selfheal.artifacts.diagnosis import Impact
from selfheal.artifacts.telemetry import EventCounts, Refused, Window
from selfheal.artifacts.validation import Result, Selection

ANOMALY, DIAGNOSIS, CANDIDATE = "anomaly-1", "diagnosis-1", "candidate-1"


def telemetry(dataset: Dataset, **fields: Any) -> Telemetry:
    """What parsing says of a dataset, without any source or release."""
    given = {
        "sources": [],
        "refused": Refused(),
        "events": EventCounts(),
        "window": Window(),
        "releases": [],
        "operations": [],
    }
    return Telemetry(**{**given, "dataset": dataset, **fields})


def detector(name: str = "error_patterns", **parameters: Any) -> Detector:
    """A detector that compared release 1.0 with release 1.1."""
    window = DataWindow(baseline_release="1.0", candidate_release="1.1")
    return Detector(name=name, parameters=parameters, window=window)


def anomaly(*, service: str, operation: str, title: str, **fields: Any) -> Anomaly:
    """One grave error of an operation."""
    given = {
        "id": ANOMALY,
        "kind": "error",
        "severity": "high",
        "score": 0.9,
        "count": 1,
        "detector": detector(),
    }
    named = {"service": service, "operation": operation, "title": title}
    return Anomaly(**{**given, **named, **fields})


def anomalies(*found: Anomaly) -> Anomalies:
    """The artifact of these anomalies; how healthy the service is was not measured."""
    health = Health(state="no_data", score=None, components=[])
    return Anomalies(anomalies=list(found), health=health)


def impact(affected: int, of: int, explanation: str) -> Impact:
    """A grave impact on `affected` requests of so many."""
    return Impact(
        severity="high",
        affected_requests=affected,
        all_requests=of,
        share=affected / of,
        explanation=explanation,
    )


def diagnosis(*, service: str, operation: str, title: str, **fields: Any) -> Diagnosis:
    """One cause in the code of the service; places, commits and impact are the caller's."""
    given = {
        "id": DIAGNOSIS,
        "anomaly_ids": [ANOMALY],
        "kind": "error",
        "verdict": "code_cause",
        "reason": "The traceback ends there.",
        "locations": [],
        "suspect_commits": [],
        "root_service": service,
        "complexity": "low",
        "recommendations": [],
    }
    named = {"service": service, "operation": operation, "title": title}
    return Diagnosis(**{**given, **named, **fields})


def diagnoses(*found: Diagnosis) -> Diagnoses:
    """The artifact of these diagnoses."""
    return Diagnoses(diagnoses=list(found))


def candidate(*, strategy: str, files: Sequence[str], base_commit: str, **fields: Any) -> Candidate:
    """The candidate of the first rank; its patch is empty where none is given."""
    given = {
        "id": CANDIDATE,
        "diagnosis_id": DIAGNOSIS,
        "rank": 1,
        "score": 0.9,
        "patch": "",
        "explanation": "",
    }
    named = {"strategy": strategy, "files": list(files), "base_commit": base_commit}
    return Candidate(**{**given, **named, **fields})


def result(**fields: Any) -> Result:
    """A candidate that passed, without checks."""
    given = {
        "candidate_id": CANDIDATE,
        "diagnosis_id": DIAGNOSIS,
        "verdict": "passed",
        "reason": "",
        "checks": [],
    }
    return Result(**{**given, **fields})


def validation(results: Sequence[Result], **fields: Any) -> Validation:
    """The last of the results is selected, as many tried as there are results."""
    selected = results[-1].candidate_id
    given = {
        "selected": selected,
        "reason": "",
        "selections": [selection(candidate_id=selected, tried=len(results))],
        "isolation": "process limits",
    }
    return Validation(**{**given, "results": list(results), **fields})


def selection(**fields: Any) -> Selection:
    """The choice of the first candidate, the only one tried."""
    given = {"diagnosis_id": DIAGNOSIS, "candidate_id": CANDIDATE, "reason": "", "tried": 1}
    return Selection(**{**given, **fields})
