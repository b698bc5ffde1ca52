"""Compare each healed operation before and after."""

from __future__ import annotations

from selfheal.artifacts import Anomalies
from selfheal.contract import handler
from selfheal.learning.observation import Comparison, Observation, compare
from selfheal_handlers.learning import _examples
from selfheal_handlers.learning._results import DeploymentInfo


@handler("compare_metrics", kind="pure", example=_examples.compare_metrics)
def compare_metrics(
    load_deployment_info: DeploymentInfo,
    collect_post_deployment_metrics: Observation,
    anomalies: Anomalies,
) -> list[Comparison]:
    """One comparison for each anomaly that was to be healed, gravest first."""
    watched = [a for a in anomalies.anomalies if a.id in load_deployment_info.watched]
    healed = {anomaly.operation for anomaly in watched}
    return [compare(anomaly, collect_post_deployment_metrics, healed) for anomaly in watched]
