"""diagnosis.json: where the trouble comes from and since which commit."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from selfheal.artifacts.model import AnomalyKind, Model, Severity

Verdict = Literal["code_cause", "dependency", "traffic_mix", "no_code_cause", "insufficient_data"]
Complexity = Literal["low", "medium", "high"]


class Location(Model):
    """A place in the repository at the release under suspicion; `reasons` make up `score` (0–1)."""

    file: str
    line: int
    function: str
    score: float
    reasons: list[str] = Field(default_factory=list)


class SuspectCommit(Model):
    sha: str
    score: float
    reason: str
    summary: str = ""
    author: str = ""
    files: list[str] = Field(default_factory=list)


class Impact(Model):
    """From measured counts. `share` is affected over all requests of the window."""

    severity: Severity
    affected_requests: int
    all_requests: int
    share: float
    explanation: str


class Recommendation(Model):
    """A kind of fix to try: the name of a strategy (see `selfheal.repair`), and why."""

    strategy: str
    reason: str
    priority: int


class Diagnosis(Model):
    """One root cause. `reason` says why the verdict is what it is, abstentions too.

    `good_commit` and `bad_commit` are the commits of the releases compared, None where
    unknown. `slow_pattern` names the pattern seen in the code of a performance cause.
    """

    id: str
    anomaly_ids: list[str]
    kind: AnomalyKind
    service: str
    operation: str
    title: str
    verdict: Verdict
    reason: str
    locations: list[Location]
    suspect_commits: list[SuspectCommit]
    root_service: str
    impact: Impact
    complexity: Complexity
    recommendations: list[Recommendation]
    good_commit: str | None = None
    bad_commit: str | None = None
    evidence: dict[str, Any] = Field(default_factory=dict)


class Diagnoses(Model):
    """The payload of diagnosis.json, gravest first."""

    diagnoses: list[Diagnosis]

    @property
    def summary(self) -> str:
        """One line on what was found."""
        if not self.diagnoses:
            return "nothing to diagnose"
        first = self.diagnoses[0]
        others = f" and {len(self.diagnoses) - 1} more" if len(self.diagnoses) > 1 else ""
        return f"{first.title}{others}"
