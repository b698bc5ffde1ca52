"""Ask the policy or a human; nothing leaves the machine before."""

from __future__ import annotations

from selfheal.artifacts.deployment import ApprovalRecord
from selfheal.config import DeployConfig
from selfheal.contract import Approval, Skipped, Waiting, handler
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import DeployRequest, LoadedChange


@handler("check_approval", kind="pure", example=_examples.check_approval)
def check_approval(
    deploy_requested: DeployRequest,
    load_validation_results: LoadedChange,
    config: DeployConfig,
    approval: Approval | None = None,
) -> ApprovalRecord | Waiting | Skipped:
    """The decision on record, the policy's, or a request to a human."""
    stop = deploy_requested.refusal or load_validation_results.obstacle
    if stop is not None:
        return Skipped(stop)
    if approval is not None:
        return ApprovalRecord(state=approval.decision, by=approval.by, reason=approval.reason)
    if config.approval == "auto":
        return ApprovalRecord(state="automatic", reason="the policy deploy.approval is auto")
    run = load_validation_results.run_id
    return Waiting(
        f"a human must agree to “{load_validation_results.plan.title}”",
        hint=(
            f"Read {load_validation_results.preview} in the run's folder and the change with "
            f"`selfheal patch --run {run}`; then `selfheal approve {run} --by NAME` "
            f"(or `selfheal reject {run} --by NAME --reason WHY`) and `selfheal resume {run}`."
        ),
    )
