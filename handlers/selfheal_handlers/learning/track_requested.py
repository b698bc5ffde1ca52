"""Decide what can be learned from this run."""

from __future__ import annotations

from selfheal.artifacts import Deployment
from selfheal.contract import handler
from selfheal_handlers.learning import _examples
from selfheal_handlers.learning._results import TrackRequest


@handler("track_requested", kind="pure", example=_examples.track_requested)
def track_requested(deployment: Deployment) -> TrackRequest:
    """Whether there is a new release in production to observe."""
    if deployment.outcome != "deployed" or deployment.merge is None:
        return TrackRequest(
            commit=None,
            reason=f"nothing to observe in production: {deployment.outcome.replace('_', ' ')}",
        )
    return TrackRequest(commit=deployment.merge.commit, reason="a new release is in production")
