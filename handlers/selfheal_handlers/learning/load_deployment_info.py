"""Load what was shipped and what is known from earlier runs."""

from __future__ import annotations

from selfheal.artifacts import Candidate, Deployment, Diagnoses, Patch, Validation
from selfheal.artifacts.patterns import EditTemplate
from selfheal.codebase.history import History
from selfheal.contract import Workspace, handler
from selfheal.delivery.plan import shipped_candidates
from selfheal.learning.accepted import templates_of
from selfheal.learning.library import read_library
from selfheal.repair.diff import parse_patch
from selfheal_handlers.learning import _examples
from selfheal_handlers.learning._results import DeploymentInfo


@handler("load_deployment_info", kind="stage-crew", example=_examples.load_deployment_info)
def load_deployment_info(
    deployment: Deployment,
    validation: Validation,
    patch: Patch,
    diagnosis: Diagnoses,
    workspace: Workspace,
) -> DeploymentInfo:
    """The anomalies that the shipped candidates shall heal, and the pattern library."""
    shipped = shipped_candidates(deployment, validation, patch)
    healed = {candidate.diagnosis_id for candidate in shipped}
    watched = {name for d in diagnosis.diagnoses if d.id in healed for name in d.anomaly_ids}
    return DeploymentInfo(
        run_id=workspace.run_id,
        watched=sorted(watched),
        library=read_library(workspace.artifacts_folder),
        templates={each.id: _templates(each, workspace) for each in shipped},
    )


def _templates(candidate: Candidate, workspace: Workspace) -> list[EditTemplate]:
    """What a candidate did to the code that it was made for; nothing without the repository."""
    if workspace.repository is None:
        return []
    paths = [file.old_path for file in parse_patch(candidate.patch) if file.old_path]
    texts = History(workspace.repository).texts(
        [f"{candidate.base_commit}:{path}" for path in paths]
    )
    return templates_of(candidate, dict(zip(paths, texts, strict=True)))
