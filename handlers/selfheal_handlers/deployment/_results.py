"""What passes between the beats of the deploy phase, beyond what `selfheal.delivery` returns."""

from __future__ import annotations

from pydantic import Field

from selfheal.artifacts import Model
from selfheal.delivery.autonomy import Earned
from selfheal.delivery.forge import Pull
from selfheal.delivery.plan import Plan
from selfheal.delivery.policy import Ruling


class DeployRequest(Model):
    """`refusal` says why nothing can be shipped whatever a human thinks of it, None if not.

    `ruling` is what the policies say of the change; `left_out` tells of what they forbid.
    """

    candidate_id: str | None
    refusal: str | None = None
    ruling: Ruling | None = None
    left_out: list[str] = Field(default_factory=list)

    @property
    def summary(self) -> str:
        return self.refusal or f"{self.candidate_id} is up for delivery"


class LoadedChange(Model):
    """The change ready for review. `obstacle` says why it could not be merged today.

    It goes to `branch`, where it takes the place of what `updates` proposed. `earned` is
    the measured record of its strategies; `notes` are for who decides.
    """

    run_id: str
    plan: Plan
    anomaly_ids: list[str]
    preview: str
    branch: str
    updates: Pull | None = None
    earned: list[Earned] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
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
