"""Rollouts that others carry out: a team's own scripts, and manifests for a controller."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from delivery_world import Delivery, quick_delivery
from live_world import TILL, Traffic, living, recording, sick_fleet

from selfheal.config import GateConfig, ManifestsConfig, RolloutCommandConfig
from selfheal.contract import Waiting
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.local_forge import LocalForge

GATE = GateConfig(step_seconds=16, minimum_requests=12)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with sick_fleet(tmp_path / "fleet") as made:
        yield made


def by_scripts(folder: Path, fix: str, fleet: Fleet) -> Delivery:
    """A delivery whose rollout is the script beside the till."""
    script = str(TILL.with_name("rollout.py"))
    forge = str(folder / "world" / "forge.git")

    def verb(name: str) -> list[str]:
        told = ["{percent}", "{commit}", "{old}", "{new}"]
        return [sys.executable, script, str(fleet.folder), forge, name, *told]

    verbs = {name: verb(name) for name in ("current", "prepare", "shift", "health", "retire")}
    telemetry = [
        str(path) for path in (fleet.telemetry / "traces.jsonl", fleet.telemetry / "logs.jsonl")
    ]
    command = RolloutCommandConfig(**verbs, telemetry=telemetry)  # type: ignore[arg-type]
    return living(
        folder / "world",
        fix,
        fleet,
        recording(folder / "recording", 2.0),
        target="command",
        command=command,
        gate=GATE,
        steps=[50, 100],
        ci_command=["{python}", "-c", "import pricing"],
    )


def test_a_good_fix_goes_through_the_teams_own_scripts(fleet: Fleet, tmp_path: Path) -> None:
    made = by_scripts(tmp_path, "DISCOUNTS.get(code, 1.0)", fleet)
    with Traffic(fleet.folder / "routing.json") as traffic:
        result = made.run()
    assert result.state == "succeeded", result.reason
    found = made.deployment()
    assert found.outcome == "deployed", found.reason
    assert [(step.percent, step.gate.state) for step in found.rollout] == [
        (50, "pass"),
        (100, "pass"),
    ]
    assert "saturation" not in found.rollout[0].gate.judgements, "whose processes are not ours"
    (release,) = {instance.release for instance in fleet.instances()}
    assert release.startswith("1.1-selfheal.")
    assert 0 not in traffic.statuses


def test_a_bad_fix_goes_back_through_them_and_in_git(fleet: Fleet, tmp_path: Path) -> None:
    made = by_scripts(tmp_path, "undefined", fleet)
    with Traffic(fleet.folder / "routing.json"):
        result = made.run()
    assert result.state == "succeeded", result.reason
    found = made.deployment()
    assert found.outcome == "rolled_back"
    assert found.rollout[-1].gate.state == "fail"
    assert fleet.routing().percents["1.1"] == 100
    assert {instance.release for instance in fleet.instances()} == {"1.1"}
    assert made.log()[0] == 'Revert "Merge selfheal/r1"'


@pytest.mark.parametrize("controller", ["argo-rollouts", "flagger"])
def test_manifests_are_written_for_the_merged_commit_and_nothing_is_applied(
    tmp_path: Path, controller: str
) -> None:
    manifests = ManifestsConfig(
        controller=controller,  # type: ignore[arg-type]
        workload="pricing",
        image="registry.example/pricing:{commit}",
    )
    made = quick_delivery(tmp_path, target="manifests", manifests=manifests, steps=[10, 100])
    deployed = made.deploy()
    assert not isinstance(deployed, Waiting)
    assert deployed.merge is not None
    assert deployed.merge.merged
    assert LocalForge(tmp_path / "forge.git").head("main") == deployed.merge.commit
    written = sorted(tmp_path.rglob("rollout/*.yaml"))
    documents = [each for path in written for each in yaml.safe_load_all(path.read_text())]
    kinds = {document["kind"] for document in documents}
    own = {
        "argo-rollouts": {"Rollout", "AnalysisTemplate"},
        "flagger": {"Canary", "MetricTemplate"},
    }
    assert kinds == own[controller] | {"Kustomization"}
    assert any(str(deployed.merge.commit) in path.read_text() for path in written)
    assert deployed.rollout == [], "no step was taken: the controller has not said anything"
    assert deployed.outcome == "not_deployed"
    assert "apply them with kubectl apply -k" in deployed.reason
