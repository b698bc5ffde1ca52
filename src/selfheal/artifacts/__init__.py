"""The typed hand-overs between phases, one module each, and their envelope.

Each module is imported when a name of it is used: a process that needs one artifact does
not build the models of all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfheal.artifacts.anomalies import Anomalies, Anomaly
    from selfheal.artifacts.dataset import Dataset, Tables
    from selfheal.artifacts.deployment import Deployment
    from selfheal.artifacts.diagnosis import Diagnoses, Diagnosis
    from selfheal.artifacts.envelope import (
        ARTIFACTS,
        Envelope,
        InputReference,
        artifact_schema,
        payload_model,
    )
    from selfheal.artifacts.model import Model
    from selfheal.artifacts.patch import Candidate, Patch
    from selfheal.artifacts.patterns import Pattern, Patterns
    from selfheal.artifacts.telemetry import Telemetry
    from selfheal.artifacts.validation import Validation

__all__ = [
    "ARTIFACTS",
    "Anomalies",
    "Anomaly",
    "Candidate",
    "Dataset",
    "Deployment",
    "Diagnoses",
    "Diagnosis",
    "Envelope",
    "InputReference",
    "Model",
    "Patch",
    "Pattern",
    "Patterns",
    "Tables",
    "Telemetry",
    "Validation",
    "artifact_schema",
    "payload_model",
]

_MODULES = {
    "ARTIFACTS": "envelope",
    "Anomalies": "anomalies",
    "Anomaly": "anomalies",
    "Candidate": "patch",
    "Dataset": "dataset",
    "Deployment": "deployment",
    "Diagnoses": "diagnosis",
    "Diagnosis": "diagnosis",
    "Envelope": "envelope",
    "InputReference": "envelope",
    "Model": "model",
    "Patch": "patch",
    "Pattern": "patterns",
    "Patterns": "patterns",
    "Tables": "dataset",
    "Telemetry": "telemetry",
    "Validation": "validation",
    "artifact_schema": "envelope",
    "payload_model": "envelope",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
