"""Manifests for controllers: complete, checked against the resource definition, never guessed."""

from __future__ import annotations

import pytest
import yaml

from selfheal.config import DeployConfig
from selfheal.delivery.manifests import check, manifests
from selfheal.errors import ConfigurationError

COMMIT = "0123456789abcdef"


def config(controller: str, **more: object) -> DeployConfig:
    given = {
        "controller": controller,
        "workload": "shop",
        "image": "registry.example.com:5000/shop:{commit}",
        **more,
    }
    return DeployConfig.model_validate(
        {"target": "manifests", "steps": [10, 50], "manifests": given, "gate": {"ask_before": [50]}}
    )


def test_argo_rollouts_gets_each_step_with_its_analysis_and_pauses_where_a_human_is_asked() -> None:
    made = manifests(config("argo-rollouts"), COMMIT)
    (rollout,) = made["rollout.yaml"]
    steps = rollout["spec"]["strategy"]["canary"]["steps"]
    assert [next(iter(step)) for step in steps] == [
        "setWeight", "analysis", "pause", "setWeight", "analysis", "setWeight", "analysis",
    ]  # fmt: skip
    assert [step["setWeight"] for step in steps if "setWeight" in step] == [10, 50, 100]
    (template,) = made["analysis.yaml"]
    for metric in template["spec"]["metrics"]:
        assert metric["failureCondition"].startswith("len(result) > 0 && !isNaN(result[0])")
        assert metric["inconclusiveLimit"] == 0, "no data pauses"
    (kustomization,) = made["kustomization.yaml"]
    assert kustomization["images"] == [{"name": "registry.example.com:5000/shop", "newTag": COMMIT}]
    assert kustomization["resources"] == ["analysis.yaml", "rollout.yaml"]
    assert yaml.safe_load(yaml.safe_dump(rollout)) == rollout


def test_flagger_gets_the_steps_and_a_template_for_each_metric() -> None:
    made = manifests(config("flagger"), COMMIT)
    (canary,) = made["canary.yaml"]
    analysis = canary["spec"]["analysis"]
    assert analysis["stepWeights"] == [10, 50, 100]
    assert {metric["templateRef"]["name"] for metric in analysis["metrics"]} == {
        document["metadata"]["name"] for document in made["metrics.yaml"]
    }


@pytest.mark.parametrize(
    "more",
    [{"workload": None}, {"image": None}, {"image": "shop"}, {"workload": "Not A Name"}],
)
def test_what_would_not_be_taken_is_refused_with_its_place(more: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError) as found:
        manifests(config("argo-rollouts", **more), COMMIT)
    assert found.value.where
    assert found.value.hint


def test_a_field_that_the_definition_does_not_have_is_refused() -> None:
    (rollout,) = manifests(config("argo-rollouts"), COMMIT)["rollout.yaml"]
    rollout["spec"]["strategy"]["canary"]["weights"] = [10]
    with pytest.raises(ConfigurationError, match="weights"):
        check(rollout)
