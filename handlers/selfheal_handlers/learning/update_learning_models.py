"""Put what became of each candidate into the ledger of its pattern."""

from __future__ import annotations

from selfheal.artifacts import Deployment, Diagnoses, Patch, Validation
from selfheal.contract import handler
from selfheal.learning.assessment import Assessments
from selfheal.learning.ledger import recorded
from selfheal.learning.outcomes import uses_of
from selfheal_handlers.learning import _examples
from selfheal_handlers.learning._results import DeploymentInfo, Learned


@handler("update_learning_models", kind="pure", example=_examples.update_learning_models)
def update_learning_models(
    *,
    load_deployment_info: DeploymentInfo,
    patch: Patch,
    diagnosis: Diagnoses,
    validation: Validation,
    deployment: Deployment,
    assess_success: Assessments | None = None,
) -> Learned:
    """The uses of this run and the library with them; candidates never judged teach nothing."""
    uses = uses_of(
        load_deployment_info.run_id,
        patch=patch,
        diagnoses=diagnosis,
        validation=validation,
        deployment=deployment,
        assessments=assess_success,
        templates=load_deployment_info.templates,
    )
    return Learned(uses=uses, library=recorded(load_deployment_info.library, uses))
