"""Open the pull request, with the incident, the cause, the proof and the way back."""

from __future__ import annotations

from selfheal.artifacts import Anomalies, Diagnoses, Patch, Validation
from selfheal.config import DeployConfig
from selfheal.contract import Effects, Workspace, handler
from selfheal.delivery.forge import Pull
from selfheal.delivery.progress import phases_told, progress
from selfheal.delivery.shipping import Branch, open_pull, update_pull
from selfheal_handlers.deployment import _examples
from selfheal_handlers.deployment._results import LoadedChange
from selfheal_handlers.deployment._services import audit, forge_of


@handler(
    "create_pull_request", kind="stage-crew", version="2", example=_examples.create_pull_request
)
def create_pull_request(
    *,
    apply_changes: Branch,
    load_validation_results: LoadedChange,
    anomalies: Anomalies,
    diagnosis: Diagnoses,
    patch: Patch,
    validation: Validation,
    config: DeployConfig,
    workspace: Workspace,
    effects: Effects,
) -> Pull:
    """The pull request as it was opened or brought up to date, with a status for each phase."""
    forge = forge_of(workspace, config)
    change, branch = load_validation_results, apply_changes
    if change.updates is not None:
        pull = update_pull(effects, forge, change.plan, branch, change.updates.number)
    else:
        pull = open_pull(effects, forge, change.plan, branch, config.base)
    for phase, said in phases_told(anomalies, diagnosis, patch, validation).items():
        forge.set_phase(pull.number, phase, "passed", said)
    forge.comment(pull.number, progress(change.notes))
    event = "updated" if change.updates is not None else "opened"
    audit(workspace, effects, event, by=config.author_name, subject=pull.url, head=pull.head)
    return pull
