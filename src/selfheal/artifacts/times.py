"""How long a run took, as its journal tells it."""

from __future__ import annotations

from selfheal.artifacts.model import Model


class RunTimes(Model):
    """Seconds by the journal: `phases` at work, all attempts and sessions together.

    `waited` is from the end of a session that waited for a decision to the next one;
    pauses after a failure or a kill are in neither. `started_at` is ISO 8601.
    """

    run_id: str
    started_at: str
    phases: dict[str, float]
    waited: float
