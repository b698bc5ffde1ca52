"""What passes between the beats of the learn phase, beyond what `selfheal.learning` returns."""

from __future__ import annotations

from pydantic import Field

from selfheal.artifacts import Model, Patterns
from selfheal.artifacts.patterns import EditTemplate
from selfheal.learning.ledger import Use


class TrackRequest(Model):
    """`commit` is what runs in production since the rollout, None where there was none."""

    commit: str | None
    reason: str

    @property
    def summary(self) -> str:
        return self.reason


class DeploymentInfo(Model):
    """`watched` are the anomalies that the shipped change shall heal; `library` is from before.

    `templates` say what each shipped candidate did, by its id.
    """

    run_id: str
    watched: list[str]
    library: Patterns
    templates: dict[str, list[EditTemplate]] = Field(default_factory=dict)

    @property
    def summary(self) -> str:
        return (
            f"{len(self.watched)} anomalies to watch, {len(self.library.patterns)} patterns known"
        )


class Learned(Model):
    """What this run adds to the ledger, and the library with it."""

    uses: list[Use]
    library: Patterns

    @property
    def summary(self) -> str:
        return f"{len(self.uses)} uses recorded, {len(self.library.patterns)} patterns known"


class Tracked(Model):
    """The last word of the cycle."""

    verdict: str
    patterns: int
    insights: int

    @property
    def summary(self) -> str:
        return f"{self.verdict}; {self.patterns} patterns, {self.insights} insights"
