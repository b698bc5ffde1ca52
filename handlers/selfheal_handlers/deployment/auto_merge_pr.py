"""Merge the pull request, when every required check has passed and somebody agreed."""

from __future__ import annotations

from collections.abc import Callable

from selfheal.artifacts.deployment import ApprovalRecord, CiRun, Merge
from selfheal.config import DeployConfig, Settings
from selfheal.contract import Effects, Waiting, Workspace, handler
from selfheal.delivery.ci import run_ci
from selfheal.delivery.forge import Forge, Pull
from selfheal.delivery.policy import fits
from selfheal.delivery.progress import progress
from selfheal.delivery.shipping import await_checks, merge_pull
from selfheal.delivery.workshop import Workshop
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._services import audit, forge_of, workshop_of


@handler("auto_merge_pr", kind="stage-crew", version="2", example=_examples.auto_merge_pr)
def auto_merge_pr(
    *,
    create_pull_request: Pull,
    run_ci_checks: CiRun,
    check_approval: ApprovalRecord,
    config: Settings,
    workspace: Workspace,
    effects: Effects,
) -> Merge | Waiting:
    """A merge commit on the base, or the reason why there is none.

    Waits where a required check has not reported: the run goes on when it is resumed.
    """
    deploy, pull = config.deploy, create_pull_request
    stop = _stop(check_approval, run_ci_checks, pull, deploy)
    forge = forge_of(workspace, deploy)
    if stop is None:
        unmet = await_checks(forge, pull, deploy.required_checks, deploy.checks_seconds)
        failed = {name: said for name, said in unmet.items() if said != "pending"}
        if unmet and not failed:
            return Waiting(
                f"the required checks {', '.join(unmet)} of {pull.url} have not reported",
                hint=f"When they have: selfheal resume {workspace.run_id}",
            )
        told = ", ".join(f"{name} {said}" for name, said in failed.items())
        stop = f"required checks did not pass: {told}" if failed else None
    if stop is not None:
        merge = Merge(merged=False, base=pull.base, reason=stop)
    else:
        workshop = workshop_of(workspace, deploy)
        recheck = _recheck(workshop, config, workspace)
        merge = merge_pull(effects, forge, workshop, pull, recheck)
    _tell(forge, pull, run_ci_checks, merge)
    audit(
        workspace,
        effects,
        "merged" if merge.merged else "not merged",
        by=check_approval.by or "policy",
        subject=pull.url,
        commit=merge.commit,
        reason=merge.reason,
    )
    return merge


def _stop(approval: ApprovalRecord, ci: CiRun, pull: Pull, config: DeployConfig) -> str | None:
    if approval.state not in ("approved", "automatic"):
        return "nobody approved it"
    if ci.verdict != "passed":
        return f"CI {ci.verdict}: {ci.summary}"
    if any(fits(pattern, pull.base) for pattern in config.protected):
        return f"{pull.base} is protected (deploy.protected): a person merges {pull.url}"
    return None


def _recheck(
    workshop: Workshop, config: Settings, workspace: Workspace
) -> Callable[[str], str | None]:
    def recheck(commit: str) -> str | None:
        verdict, measured = run_ci(
            workshop.folder,
            commit,
            workspace.folder / f"merged-{commit[:12]}",
            config=config.deploy,
            tests=config.tests,
        )
        workspace.measured("ci-merged", measured)
        return None if verdict.verdict == "passed" else f"CI {verdict.verdict}: {verdict.summary}"

    return recheck


def _tell(forge: Forge, pull: Pull, ci: CiRun, merge: Merge) -> None:
    forge.comment(pull.number, progress(ci=ci, merge=merge))
