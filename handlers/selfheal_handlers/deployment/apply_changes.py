"""Commit the selected candidates, one commit per root cause, and push them."""

from __future__ import annotations

from selfheal.config import DeployConfig
from selfheal.contract import Effects, Failed, Workspace, handler
from selfheal.delivery.shipping import Branch, push_commits
from selfheal.delivery.workshop import Conflict
from selfheal.errors import PushRefused
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import LoadedChange
from selfheal_handlers.deployment._services import audit, forge_of, workshop_of


@handler("apply_changes", kind="stage-crew", version="2", example=_examples.apply_changes)
def apply_changes(
    create_branch: Branch,
    load_validation_results: LoadedChange,
    config: DeployConfig,
    workspace: Workspace,
    effects: Effects,
) -> Branch | Failed:
    """The branch with its commits; the user's own work tree and branches are not touched."""
    forge, workshop = forge_of(workspace, config), workshop_of(workspace, config)
    plan, updates = load_validation_results.plan, load_validation_results.updates
    try:
        pushed = push_commits(
            effects,
            forge,
            workshop,
            plan,
            create_branch.name,
            replaces=updates.head if updates else None,
        )
    except PushRefused as error:
        return Failed(f"the remote did not take the commits: {error.message}")
    if isinstance(pushed, Conflict):
        return Failed(f"the patch does not apply to {plan.base_commit[:12]}: {pushed.reason}")
    audit(
        workspace,
        effects,
        "pushed",
        by=config.author_name,
        subject=pushed.head,
        branch=pushed.name,
        commits=pushed.commits,
        replaces=updates.head if updates else None,
    )
    return pushed
