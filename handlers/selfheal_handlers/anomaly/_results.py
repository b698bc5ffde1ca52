"""What passes between the beats of the detect phase."""

from __future__ import annotations

from pydantic import Field

from selfheal.artifacts import Anomaly, Model
from selfheal.artifacts.anomalies import Undecided

Finding = Anomaly | Undecided


class DetectionRequest(Model):
    """Which releases to compare: names that the telemetry has, None for the default choice.

    `sequences` are the paths of declared sequences, empty for those found in the repository.
    """

    baseline: str | None
    candidate: str | None
    sequences: list[str] = Field(default_factory=list)

    @property
    def summary(self) -> str:
        if self.baseline is None and self.candidate is None:
            return "the last two releases of each service"
        return f"{self.baseline or 'the release before'} against {self.candidate or 'the last release'}"


class DetectionReport(Model):
    """The end of the phase in figures; `health` is None where nothing was measured."""

    anomalies: dict[str, int]
    undecided: int
    gravest: str | None
    health: float | None

    @property
    def summary(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.anomalies.items())
        score = "no data" if self.health is None else f"{self.health:.0f}/100"
        return f"{kinds or 'no anomaly'}; {self.undecided} undecided; health {score}"
