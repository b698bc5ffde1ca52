"""What passes between the beats of this phase."""

from __future__ import annotations

from selfheal.artifacts import Model
from selfheal.artifacts.model import AnomalyKind, Severity


class AnalysisRequest(Model):
    """What is to be explained: anomalies by kind, and whether data lies under them."""

    anomalies: dict[AnomalyKind, int]
    releases: list[str]

    @property
    def summary(self) -> str:
        return f"{sum(self.anomalies.values())} anomalies to explain"


class AnalysisReport(Model):
    """The phase in numbers: diagnoses by verdict, and the gravest severity (None without any)."""

    diagnoses: int
    verdicts: dict[str, int]
    gravest: Severity | None

    @property
    def summary(self) -> str:
        if not self.diagnoses:
            return "nothing to diagnose"
        verdicts = ", ".join(f"{count} {name}" for name, count in self.verdicts.items())
        return f"{self.diagnoses} causes ({verdicts}), gravest {self.gravest}"
