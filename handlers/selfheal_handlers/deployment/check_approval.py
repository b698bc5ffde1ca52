"""Ask the policy or a human; nothing leaves the machine before."""

from __future__ import annotations

from selfheal.artifacts.deployment import ApprovalRecord
from selfheal.config import DeployConfig
from selfheal.contract import Approval, Skipped, Waiting, handler
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import DeployRequest, LoadedChange


@handler("check_approval", kind="pure", version="2", example=_examples.check_approval)
def check_approval(
    deploy_requested: DeployRequest,
    load_validation_results: LoadedChange,
    config: DeployConfig,
    approval: Approval | None = None,
) -> ApprovalRecord | Waiting | Skipped:
    """The decision on record, the policy's, or a request to a human.

    A policy of auto decides only where its strategies have earned it.
    """
    stop = deploy_requested.refusal or load_validation_results.obstacle
    if stop is not None:
        return Skipped(stop)
    if approval is not None:
        return ApprovalRecord(
            state=approval.decision,
            by=approval.by,
            reason=approval.reason,
            subject_sha256=approval.subject_sha256,
        )
    ruling = deploy_requested.ruling
    automatic = ruling.approval == "auto" if ruling else config.approval == "auto"
    record = "; ".join(each.summary for each in load_validation_results.earned)
    unearned = [each.summary for each in load_validation_results.earned if not each.holds]
    if automatic and not unearned:
        reason = ruling.reason if ruling else "the policy deploy.approval is auto"
        return ApprovalRecord(state="automatic", reason=f"{reason}; {record}" if record else reason)
    return _asked(load_validation_results, unearned)


def _asked(change: LoadedChange, unearned: list[str]) -> Waiting:
    run = change.run_id
    told = [f"auto is not earned yet: {'; '.join(unearned)}"] if unearned else []
    why = "".join(f" ({each})" for each in [*told, *change.notes])
    return Waiting(
        f"a human must agree to “{change.plan.title}”{why}",
        hint=(
            f"Read {change.preview} in the run's folder and the change with "
            f"`selfheal patch --run {run}`; then `selfheal approve {run} --by NAME` "
            f"(or `selfheal reject {run} --by NAME --reason WHY`) and `selfheal resume {run}`."
        ),
    )
