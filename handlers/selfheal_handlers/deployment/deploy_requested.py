"""Decide whether there is something to ship."""

from __future__ import annotations

from selfheal.artifacts import Validation
from selfheal.config import DeployConfig
from selfheal.contract import handler
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import DeployRequest


@handler("deploy_requested", kind="pure", example=_examples.deploy_requested)
def deploy_requested(validation: Validation, config: DeployConfig) -> DeployRequest:
    """The selected change, or why there is nothing to ship."""
    if validation.selected is None:
        return DeployRequest(
            candidate_id=None, refusal=f"no change was selected: {validation.reason}"
        )
    refusal = "the policy deploy.approval is never" if config.approval == "never" else None
    return DeployRequest(candidate_id=validation.selected, refusal=refusal)
