"""The beats of the deploy phase, in order."""

from __future__ import annotations

from typing import Any

from selfheal.contract import Handler
from selfheal_handlers.deployment.apply_changes import apply_changes
from selfheal_handlers.deployment.auto_merge_pr import auto_merge_pr
from selfheal_handlers.deployment.check_approval import check_approval
from selfheal_handlers.deployment.create_branch import create_branch
from selfheal_handlers.deployment.create_pull_request import create_pull_request
from selfheal_handlers.deployment.deploy_completed import deploy_completed
from selfheal_handlers.deployment.deploy_requested import deploy_requested
from selfheal_handlers.deployment.deploy_to_production import deploy_to_production
from selfheal_handlers.deployment.load_validation_results import load_validation_results
from selfheal_handlers.deployment.run_ci_checks import run_ci_checks
from selfheal_handlers.deployment.verify_deployment import verify_deployment

HANDLERS: tuple[Handler[..., Any], ...] = (
    deploy_requested,
    load_validation_results,
    check_approval,
    create_branch,
    apply_changes,
    create_pull_request,
    run_ci_checks,
    auto_merge_pr,
    deploy_to_production,
    verify_deployment,
    deploy_completed,
)
