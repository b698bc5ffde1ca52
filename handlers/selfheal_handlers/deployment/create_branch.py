"""Create the branch on the remote."""

from __future__ import annotations

from selfheal.artifacts.deployment import ApprovalRecord
from selfheal.config import DeployConfig
from selfheal.contract import Effects, Failed, Skipped, Workspace, handler
from selfheal.delivery import shipping
from selfheal.delivery.policy import fits
from selfheal.delivery.shipping import Branch
from selfheal.errors import PushRefused
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import LoadedChange
from selfheal_handlers.deployment._services import audit, forge_of, workshop_of


@handler("create_branch", kind="stage-crew", version="2", example=_examples.create_branch)
def create_branch(
    check_approval: ApprovalRecord,
    load_validation_results: LoadedChange,
    config: DeployConfig,
    workspace: Workspace,
    effects: Effects,
) -> Branch | Skipped | Failed:
    """A branch of this run's own, at the commit that the patch was made for.

    Where the change brings an open pull request up to date, it is that one's branch.
    """
    change = load_validation_results
    if check_approval.state == "rejected":
        return Skipped(f"rejected by {check_approval.by}: {check_approval.reason or 'no reason'}")
    name = change.branch
    if any(fits(pattern, name) for pattern in config.protected):
        return Failed(
            f"the branch {name} is protected (deploy.protected)",
            hint="Choose another deploy.branch_prefix.",
        )
    audit(
        workspace,
        effects,
        check_approval.state,
        by=check_approval.by or "policy",
        subject=change.plan.fingerprint.change,
        reason=check_approval.reason,
        title=change.plan.title,
        validation=check_approval.subject_sha256,
    )
    if change.updates is not None:
        return Branch(name=name, head=change.updates.head)
    try:
        return shipping.create_branch(
            effects,
            forge_of(workspace, config),
            workshop_of(workspace, config),
            change.plan,
            name,
        )
    except PushRefused as error:
        return Failed(
            f"the remote did not take the branch {name}: {error.message}",
            hint=f"If it is left over, delete it there: git push --delete {config.remote} {name}",
        )
