"""Load what the proof stands on: commits, the regression tests, recorded requests."""

from __future__ import annotations

from selfheal.artifacts import Anomalies, Diagnoses, Patch, Telemetry
from selfheal.config import ValidateConfig
from selfheal.contract import Failed, Workspace, handler
from selfheal.sandbox.evidence import Subjects
from selfheal.sandbox.isolation import confinement, is_isolated, refusal
from selfheal.sandbox.plan import Plan, subjects
from selfheal.sandbox.worktree import resolve
from selfheal_handlers.validation._bench import repository_of
from selfheal_handlers.validation._examples import load_patch as example


@handler("load_patch", kind="stage-crew", example=example)
def load_patch(
    validate_requested: Plan,
    patch: Patch,
    diagnosis: Diagnoses,
    anomalies: Anomalies,
    telemetry: Telemetry,
    config: ValidateConfig,
    workspace: Workspace,
) -> Subjects | Failed:
    """Fails where code may only run isolated and this machine cannot isolate it."""
    found = subjects(validate_requested, patch, diagnosis, anomalies, telemetry.dataset)
    refused = refusal()
    if found and (refused or not (config.allow_unisolated or is_isolated())):
        return Failed(
            f"candidates may only run isolated, and here there is: {confinement()}",
            hint="Install bubblewrap (bwrap), or set sandbox.allow_unisolated and "
            "validate.allow_unisolated to true.",
        )
    for subject in found:
        resolve(repository_of(workspace), subject.bad_commit)
    return Subjects(subjects=found, isolation=confinement())
