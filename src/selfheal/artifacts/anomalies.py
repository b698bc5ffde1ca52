"""anomalies.json: what is wrong, by which detector, and how healthy the service is."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from selfheal.artifacts.model import AnomalyKind, Model, Severity


class DataWindow(Model):
    """What a detector compared. Releases are versions; times ISO 8601 UTC."""

    baseline_release: str | None = None
    candidate_release: str | None = None
    start: str | None = None
    end: str | None = None


class Detector(Model):
    """The detector that found an anomaly: the judge at every later stage.

    `name` and `parameters` are all that `selfheal.analysis.judge` needs to ask the
    same question of other telemetry.
    """

    name: str
    parameters: dict[str, Any]
    window: DataWindow


class Anomaly(Model):
    """One deviation. `score` is 0–1; `evidence` holds the measured numbers behind it."""

    id: str
    kind: AnomalyKind
    service: str
    operation: str
    severity: Severity
    score: float
    title: str
    first_seen: str | None = None
    last_seen: str | None = None
    count: int
    detector: Detector
    evidence: dict[str, Any] = Field(default_factory=dict)


class HealthComponent(Model):
    """One term of the health score: `score` 0–100 (None: no data), its weight and its story."""

    name: str
    score: float | None
    weight: float
    explanation: str


class Health(Model):
    """`state` is ``no_data`` where nothing was measured; then `score` is None."""

    state: Literal["measured", "no_data"]
    score: float | None
    components: list[HealthComponent]


class Undecided(Model):
    """A question that the data could not answer, with what would answer it."""

    detector: str
    operation: str
    reason: str
    needed: str | None = None


class RootCandidate(Model):
    """A service where the trouble of several may begin; `score` 0–1, its parts in `evidence`."""

    service: str
    score: float
    anomaly_ids: list[str]
    evidence: dict[str, Any] = Field(default_factory=dict)


class Anomalies(Model):
    """The payload of anomalies.json, gravest anomaly first.

    `roots` ranks services, likeliest first, where several of them call each other.
    """

    anomalies: list[Anomaly]
    health: Health
    undecided: list[Undecided] = Field(default_factory=list)
    roots: list[RootCandidate] = Field(default_factory=list)
