"""Open the pull request, with the incident, the cause, the proof and the way back."""

from __future__ import annotations

from selfheal.config import DeployConfig
from selfheal.contract import Effects, Workspace, handler
from selfheal.delivery.forge import Pull
from selfheal.delivery.shipping import Branch, open_pull
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import LoadedChange
from selfheal_handlers.deployment._services import forge_of


@handler("create_pull_request", kind="stage-crew", example=_examples.create_pull_request)
def create_pull_request(
    apply_changes: Branch,
    load_validation_results: LoadedChange,
    config: DeployConfig,
    workspace: Workspace,
    effects: Effects,
) -> Pull:
    """The pull request as it was opened; one per branch."""
    forge = forge_of(workspace, config)
    return open_pull(effects, forge, load_validation_results.plan, apply_changes, config.base)
