"""Say what became of the delivery."""

from __future__ import annotations

from selfheal.artifacts import Deployment
from selfheal.artifacts.deployment import ApprovalRecord, CiRun, Merge, Outcome, PullRequest
from selfheal.contract import handler
from selfheal.delivery.forge import Pull
from selfheal.delivery.rollout import Rollout
from selfheal.delivery.shipping import Branch
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import DeployRequest, LoadedChange, Verification


@handler("deploy_completed", kind="pure", writes="deployment", example=_examples.deploy_completed)
def deploy_completed(
    *,
    deploy_requested: DeployRequest,
    load_validation_results: LoadedChange | None = None,
    check_approval: ApprovalRecord | None = None,
    create_branch: Branch | None = None,
    apply_changes: Branch | None = None,
    create_pull_request: Pull | None = None,
    run_ci_checks: CiRun | None = None,
    auto_merge_pr: Merge | None = None,
    deploy_to_production: Rollout | None = None,
    verify_deployment: Verification | None = None,
) -> Deployment:
    """deployment.json: what was reached, and why it went no further."""
    rollout = deploy_to_production
    stop = deploy_requested.refusal or (
        load_validation_results.obstacle if load_validation_results else None
    )
    outcome, reason = _outcome(stop, check_approval, create_pull_request, auto_merge_pr, rollout)
    if verify_deployment is not None and verify_deployment.problems:
        reason += (
            f"; looked up afterwards, this does not hold: {', '.join(verify_deployment.problems)}"
        )
    return Deployment(
        candidate_id=deploy_requested.candidate_id,
        branch=create_branch.name if create_branch else None,
        commit=apply_changes.head if apply_changes else None,
        commits=apply_changes.commits if apply_changes else [],
        pull_request=_told(create_pull_request) if create_pull_request else None,
        approval=check_approval,
        ci=run_ci_checks,
        merge=auto_merge_pr,
        rollout=rollout.steps if rollout else [],
        rollback=rollout.rollback if rollout else None,
        outcome=outcome,
        reason=reason,
    )


def _outcome(
    stop: str | None,
    approval: ApprovalRecord | None,
    pull: Pull | None,
    merge: Merge | None,
    rollout: Rollout | None,
) -> tuple[Outcome, str]:
    if stop is not None:
        return "not_deployed", stop
    if approval is None:
        return "awaiting_approval", "nobody has decided yet"
    if approval.state == "rejected":
        return "rejected", f"rejected by {approval.by}: {approval.reason or 'no reason given'}"
    if pull is None:
        return "not_deployed", "no pull request was opened"
    if merge is None or not merge.merged:
        return "not_deployed", merge.reason if merge else "the pull request was not merged"
    if rollout is None:
        merged = f"merged into {merge.base} as {(merge.commit or '')[:12]}"
        return "not_deployed", f"{merged}; deploy.target is none, so what runs was left alone"
    if rollout.finished:
        return "deployed", rollout.reason
    return ("rolled_back" if rollout.rollback else "not_deployed"), rollout.reason


def _told(pull: Pull) -> PullRequest:
    return PullRequest(
        title=pull.title,
        url=pull.url,
        number=pull.number,
        branch=pull.branch,
        base=pull.base,
        body_sha256=pull.body_sha256,
    )
