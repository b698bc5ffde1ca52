"""Merge the pull request, when CI has passed and somebody agreed."""

from __future__ import annotations

from selfheal.artifacts.deployment import ApprovalRecord, CiRun, Merge
from selfheal.config import Settings
from selfheal.contract import Effects, Workspace, handler
from selfheal.delivery.ci import run_ci
from selfheal.delivery.forge import Pull
from selfheal.delivery.shipping import merge_pull
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._services import forge_of, workshop_of


@handler("auto_merge_pr", kind="stage-crew", example=_examples.auto_merge_pr)
def auto_merge_pr(
    *,
    create_pull_request: Pull,
    run_ci_checks: CiRun,
    check_approval: ApprovalRecord,
    config: Settings,
    workspace: Workspace,
    effects: Effects,
) -> Merge:
    """A merge commit on the base, or the reason why there is none."""
    deploy = config.deploy
    if check_approval.state not in ("approved", "automatic"):
        return Merge(merged=False, base=deploy.base, reason="nobody approved it")
    if run_ci_checks.verdict != "passed":
        reason = f"CI {run_ci_checks.verdict}: {run_ci_checks.summary}"
        return Merge(merged=False, base=deploy.base, reason=reason)
    forge, workshop = forge_of(workspace, deploy), workshop_of(workspace, deploy)

    def recheck(commit: str) -> str | None:
        verdict, measured = run_ci(
            workshop.folder,
            commit,
            workspace.folder / f"merged-{commit[:12]}",
            config=deploy,
            tests=config.tests,
        )
        workspace.measured("ci-merged", measured)
        return None if verdict.verdict == "passed" else f"CI {verdict.verdict}: {verdict.summary}"

    return merge_pull(effects, forge, workshop, create_pull_request, recheck)
