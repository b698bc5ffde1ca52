"""Say what the run taught."""

from __future__ import annotations

from selfheal.artifacts import Deployment, Diagnoses, Validation
from selfheal.artifacts.patterns import Insight
from selfheal.contract import handler
from selfheal.learning.insights import insights_of
from selfheal_handlers.learning import _examples
from selfheal_handlers.learning._results import DeploymentInfo, Learned


@handler("generate_insights", kind="pure", example=_examples.generate_insights)
def generate_insights(
    load_deployment_info: DeploymentInfo,
    update_learning_models: Learned,
    diagnosis: Diagnoses,
    validation: Validation,
    deployment: Deployment,
) -> list[Insight]:
    """Effort beside the first cycle, the standing of the patterns used, and the delivery."""
    return insights_of(
        run_id=load_deployment_info.run_id,
        library=update_learning_models.library,
        uses=update_learning_models.uses,
        diagnoses=diagnosis,
        validation=validation,
        deployment=deployment,
    )
