"""Run the CI command in the sandbox on the branch, and say so on the pull request."""

from __future__ import annotations

from selfheal.artifacts.deployment import CiRun
from selfheal.config import Settings
from selfheal.contract import Failed, Workspace, handler
from selfheal.delivery.ci import run_ci
from selfheal.delivery.forge import Pull
from selfheal.delivery.progress import progress
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._services import forge_of, workshop_of


@handler("run_ci_checks", kind="stage-crew", example=_examples.run_ci_checks)
def run_ci_checks(
    create_pull_request: Pull, config: Settings, workspace: Workspace
) -> CiRun | Failed:
    """The verdict on the branch as it is on the remote now."""
    deploy = config.deploy
    forge, workshop = forge_of(workspace, deploy), workshop_of(workspace, deploy)
    pull = create_pull_request
    if workshop.fetch(forge.remote, pull.branch) != pull.head:
        return Failed(
            f"{pull.branch} on the remote is not what was pushed",
            hint="Someone changed the branch; look at it, and deploy again with a new run.",
        )
    forge.set_check(pull.number, "ci", "pending")
    verdict, measured = run_ci(
        workshop.folder,
        pull.head,
        workspace.folder / "checkout",
        config=deploy,
        tests=config.tests,
    )
    workspace.measured("ci", measured)
    forge.set_check(pull.number, "ci", verdict.verdict)
    forge.comment(pull.number, progress(ci=verdict))
    return verdict
