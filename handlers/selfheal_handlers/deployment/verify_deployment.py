"""Look whether the world is as the delivery says."""

from __future__ import annotations

from pathlib import Path

from selfheal.artifacts.deployment import CiRun, Merge
from selfheal.config import DeployConfig
from selfheal.contract import Effects, Skipped, Workspace, handler
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.forge import Pull
from selfheal.delivery.progress import progress
from selfheal.delivery.rollout import Rollout
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import Verification
from selfheal_handlers.deployment._services import audit, forge_of, workshop_of


@handler("verify_deployment", kind="stage-crew", example=_examples.verify_deployment)
def verify_deployment(
    *,
    auto_merge_pr: Merge,
    create_pull_request: Pull,
    config: DeployConfig,
    workspace: Workspace,
    effects: Effects,
    run_ci_checks: CiRun | None = None,
    deploy_to_production: Rollout | None = None,
) -> Verification | Skipped:
    """Facts about the remote and the fleet, each looked up now."""
    if auto_merge_pr.commit is None:
        return Skipped(f"nothing was merged: {auto_merge_pr.reason}")
    facts = _remote_facts(auto_merge_pr.commit, create_pull_request, config, workspace)
    rollout = deploy_to_production
    if rollout is not None and rollout.old and rollout.new and config.fleet:
        facts |= _fleet_facts(Fleet(Path(config.fleet)), rollout)
        if rollout.rollback is not None:
            commit = rollout.rollback.get("revert")
            facts["the revert is in the base"] = bool(commit) and _in_base(
                str(commit), config, workspace
            )
    if rollout is not None:
        forge = forge_of(workspace, config)
        forge.comment(
            create_pull_request.number,
            progress(ci=run_ci_checks, merge=auto_merge_pr, rollout=rollout.reason),
        )
        event = "rolled out" if rollout.finished else "rolled back"
        audit(
            workspace,
            effects,
            event if rollout.finished or rollout.rollback else "rollout stopped",
            by=config.author_name,
            subject=auto_merge_pr.commit,
            reason=rollout.reason,
        )
    return Verification(facts=facts)


def _remote_facts(
    merge: str, pull: Pull, config: DeployConfig, workspace: Workspace
) -> dict[str, bool]:
    now = forge_of(workspace, config).find_pull(pull.branch)
    return {
        "the merge is in the base": _in_base(merge, config, workspace),
        "the pull request is closed by a merge": now is not None and now.state != "open",
    }


def _in_base(commit: str, config: DeployConfig, workspace: Workspace) -> bool:
    workshop = workshop_of(workspace, config)
    tip = workshop.fetch(forge_of(workspace, config).remote, config.base)
    return tip is not None and workshop.is_ancestor(commit, tip)


def _fleet_facts(fleet: Fleet, rollout: Rollout) -> dict[str, bool]:
    serving, idle = rollout.new, rollout.old
    if not rollout.finished:
        serving, idle = idle, serving
    routing = fleet.routing()
    live = fleet.instances(serving)
    return {
        f"release {serving} has all traffic": routing.percents.get(serving or "") == 100,
        f"release {serving} is healthy": bool(live) and all(map(fleet.healthy, live)),
        f"no instance of release {idle} is left": not fleet.instances(idle),
    }
