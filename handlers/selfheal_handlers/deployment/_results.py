"""What passes between the beats of the deploy phase, beyond what `selfheal.delivery` returns."""

from __future__ import annotations

from pydantic import Field

from selfheal.artifacts import Model
from selfheal.delivery.plan import Plan


class DeployRequest(Model):
    """`refusal` says why nothing can be shipped whatever a human thinks of it, None if not."""

    candidate_id: str | None
    refusal: str | None = None

    @property
    def summary(self) -> str:
        return self.refusal or f"{self.candidate_id} is up for delivery"


class LoadedChange(Model):
    """The change ready for review. `obstacle` says why it could not be merged today."""

    run_id: str
    plan: Plan
    anomaly_ids: list[str]
    preview: str
    obstacle: str | None = None

    @property
    def summary(self) -> str:
        return self.obstacle or self.plan.summary


class Verification(Model):
    """What was looked at after the delivery: each fact and whether it holds."""

    facts: dict[str, bool] = Field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        return [fact for fact, holds in self.facts.items() if not holds]

    @property
    def summary(self) -> str:
        return f"{len(self.facts) - len(self.problems)} of {len(self.facts)} facts hold"
