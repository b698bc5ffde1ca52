"""Say how the proof ended."""

from __future__ import annotations

from selfheal.artifacts import Model, Validation
from selfheal.contract import handler
from selfheal_handlers.validation._examples import validate_completed as example


class Completed(Model):
    """What was selected and why; `healed` of `diagnoses` have a proven fix."""

    selected: str | None
    reason: str
    healed: int
    diagnoses: int

    @property
    def summary(self) -> str:
        chosen = self.selected or "nothing"
        return f"selected {chosen}: {self.healed} of {self.diagnoses} diagnoses have a proven fix"


@handler("validate_completed", kind="pure", example=example)
def validate_completed(validation: Validation) -> Completed:
    """The end of the phase; that nothing was selected is an answer, not a failure."""
    selections = validation.selections
    return Completed(
        selected=validation.selected,
        reason=validation.reason,
        healed=sum(selection.candidate_id is not None for selection in selections),
        diagnoses=len(selections),
    )
