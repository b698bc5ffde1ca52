"""Store the pattern library, and the report with what was measured live."""

from __future__ import annotations

from selfheal.artifacts import Patterns
from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.patterns import Insight
from selfheal.contract import Effects, Workspace, handler
from selfheal.learning.assessment import Assessments, Improvement
from selfheal.learning.insights import learning_report
from selfheal.learning.library import holds, read_library, update_library
from selfheal.learning.observation import Observation
from selfheal_handlers.learning import _examples
from selfheal_handlers.learning._results import Learned

REPORT = "reports/learning.md"


@handler(
    "store_effectiveness",
    kind="stage-crew",
    writes="patterns",
    example=_examples.store_effectiveness,
)
def store_effectiveness(
    *,
    update_learning_models: Learned,
    generate_insights: list[Insight],
    workspace: Workspace,
    effects: Effects,
    assess_success: Assessments | None = None,
    calculate_improvement: list[Improvement] | None = None,
    collect_post_deployment_metrics: Observation | None = None,
) -> Patterns:
    """patterns.json: the library after this run. Live figures go to the report instead."""
    uses = update_learning_models.uses

    def perform() -> bool:
        update_library(
            workspace.artifacts_folder,
            uses,
            run_id=workspace.run_id,
            produced_by="store_effectiveness",
        )
        return True

    def probe() -> bool | None:
        return holds(read_library(workspace.artifacts_folder), uses) or None

    # A resumed run may have come to another outcome, which the library has to hear of too.
    key = short_id("library", *(use.model_dump(mode="json") for use in uses))
    effects.once(key, perform, probe)
    observation, improvements = collect_post_deployment_metrics, calculate_improvement or []
    observed = observation.summary if observation else "Nothing was observed in production."
    report = learning_report(
        insights=generate_insights,
        improvements=improvements,
        assessments=assess_success,
        observed=observed,
    )
    workspace.write(REPORT, report)
    workspace.measured(
        "learning",
        {
            "observed": observed,
            "assessments": assess_success.model_dump(mode="json") if assess_success else None,
            "improvements": [each.model_dump(mode="json") for each in improvements],
        },
    )
    return update_learning_models.library.model_copy(update={"insights": generate_insights})
