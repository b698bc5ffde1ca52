"""The typed hand-overs between phases, one module each, and their envelope."""

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
