"""Collect what production does since the rollout."""

from __future__ import annotations

from pathlib import Path

from selfheal.artifacts import Telemetry
from selfheal.config import Settings
from selfheal.contract import Skipped, Workspace, handler
from selfheal.delivery.fleet import Fleet
from selfheal.learning.observation import Observation, observe
from selfheal_handlers.learning import _examples
from selfheal_handlers.learning._results import TrackRequest


@handler(
    "collect_post_deployment_metrics",
    kind="stage-crew",
    example=_examples.collect_post_deployment_metrics,
)
def collect_post_deployment_metrics(
    track_requested: TrackRequest, telemetry: Telemetry, config: Settings, workspace: Workspace
) -> Observation | Skipped:
    """Live telemetry of the new release, beside what the run was started with."""
    if track_requested.commit is None:
        return Skipped(track_requested.reason)
    if config.deploy.fleet is None:
        return Skipped("there is no fleet whose telemetry could be observed")
    return observe(
        Fleet(Path(config.deploy.fleet)),
        track_requested.commit,
        config.learn.observe_seconds,
        telemetry.dataset,
        run_folder=workspace.run_folder,
        scratch=workspace.folder,
    )
