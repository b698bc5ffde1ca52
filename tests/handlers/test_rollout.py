"""Rollouts over a living fleet: a good fix arrives, bad ones go back, a crash harms nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_world import Traffic, living, recorded_releases

from selfheal.artifacts import Patterns
from selfheal.artifacts.envelope import read_artifact
from selfheal.config import GateConfig
from selfheal.delivery.fleet import Fleet
from selfheal.telemetry.receiver import Receiver

GATE = GateConfig(step_seconds=16, minimum_requests=12)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Receiver(tmp_path / "fleet" / "telemetry") as receiver:
        made = recorded_releases(tmp_path / "fleet", receiver.endpoint, 2.0)
        try:
            yield made
        finally:
            made.stop_all()


def test_a_good_fix_is_rolled_out_step_by_step_and_learned_from(
    fleet: Fleet, tmp_path: Path
) -> None:
    made = living(tmp_path / "world", "DISCOUNTS.get(code, 1.0)", fleet, gate=GATE)
    with Traffic(fleet.folder / "routing.json") as traffic:
        result = made.run(last="learn")
    assert result.state == "succeeded", result.reason
    found = made.deployment()
    assert found.outcome == "deployed", found.reason
    assert [(step.percent, step.gate.state) for step in found.rollout] == [
        (10, "pass"),
        (25, "pass"),
        (100, "pass"),
    ]
    assert found.merge is not None
    (release,) = {instance.release for instance in fleet.instances()}
    assert release == f"1.1-selfheal.{(found.merge.commit or '')[:7]}"
    assert len(fleet.instances()) == 2
    assert 0 not in traffic.statuses, "no request was lost on account of the rollout"
    assert made.measured("rollout-10")["looks"]
    assert made.measured("learning")["assessments"]["verdict"] == "success"
    patterns = read_artifact(result.folder / "patterns.json", "patterns")
    assert isinstance(patterns, Patterns)
    assert [p.outcomes.merged for p in patterns.patterns] == [1]
    library = read_artifact(made.artifacts / "patterns.json", "patterns")
    assert isinstance(library, Patterns)
    assert library.patterns == patterns.patterns


@pytest.mark.parametrize(
    ("fix", "share"),
    [("undefined", 1.0), ("DISCOUNTS.get(code)", 0.3)],
    ids=["fails at everything", "fails at the same requests in another way"],
)
def test_a_bad_fix_is_rolled_back_in_traffic_and_in_git(
    fleet: Fleet, tmp_path: Path, fix: str, share: float
) -> None:
    made = living(
        tmp_path / "world",
        fix,
        fleet,
        gate=GATE.model_copy(update={"step_seconds": 8}),
        ci_command=["{python}", "-c", "import pricing"],
    )
    with Traffic(fleet.folder / "routing.json"):
        result = made.run(last="learn")
    assert result.state == "succeeded", result.reason
    found = made.deployment()
    assert found.outcome == "rolled_back"
    assert [step.percent for step in found.rollout] == [10]
    assert found.rollback is not None
    assert found.rollback["revert"] == made.forge.head("main")
    assert made.log()[0] == 'Revert "Merge selfheal/r1"'
    assert {instance.release for instance in fleet.instances()} == {"1.1"}
    assert fleet.routing().percents["1.1"] == 100
    pull = made.forge.find_pull("selfheal/r1")
    assert pull is not None
    assert pull.state == "reverted"
    library = read_artifact(made.artifacts / "patterns.json", "patterns")
    assert isinstance(library, Patterns)
    (pattern,) = library.patterns
    assert pattern.outcomes.rolled_back == (1 if found.rollout[0].gate.state == "fail" else 0)


def test_without_telemetry_nothing_is_promoted(fleet: Fleet, tmp_path: Path) -> None:
    gate = GATE.model_copy(update={"step_seconds": 1})
    made = living(tmp_path / "world", "DISCOUNTS.get(code, 1.0)", fleet, gate=gate)
    assert made.run().state == "succeeded"
    found = made.deployment()
    assert (found.outcome, found.rollout[0].gate.state) == ("rolled_back", "no_data")
    assert {instance.release for instance in fleet.instances()} == {"1.1"}


def test_a_release_that_does_not_start_goes_back_without_a_single_request(
    fleet: Fleet, tmp_path: Path
) -> None:
    made = living(
        tmp_path / "world",
        "DISCOUNTS.get(code, 1.0",
        fleet,
        gate=GATE,
        ci_command=["{python}", "-c", "pass"],
    )
    assert made.run().state == "succeeded"
    found = made.deployment()
    assert (found.outcome, found.rollout) == ("rolled_back", [])
    assert "did not become healthy" in found.reason
    assert made.log()[0] == 'Revert "Merge selfheal/r1"'


@pytest.mark.parametrize("when", ["10 %", "100 %"])
def test_a_rollout_killed_at_a_step_goes_on_where_it_was(
    fleet: Fleet, tmp_path: Path, when: str
) -> None:
    made = living(tmp_path / "world", "DISCOUNTS.get(code, 1.0)", fleet, gate=GATE)
    routing = fleet.folder / "routing.json"
    with Traffic(routing) as traffic:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUNNER, json.dumps(_arguments(made))], start_new_session=True
        )
        while json.loads(routing.read_text())["label"] != when:
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        before = {instance.id: instance.pid for instance in fleet.instances()}
        assert sum(fleet.routing().percents.values()) == 100
        result = made.resume()
    assert result.state == "succeeded", result.reason
    found = made.deployment()
    assert found.outcome == "deployed", found.reason
    assert [step.percent for step in found.rollout] == [10, 25, 100]
    kept = {instance.id: instance.pid for instance in fleet.instances()}
    assert all(before[name] == pid for name, pid in kept.items() if name in before)
    assert made.log().count("Merge selfheal/r1: Fix: KeyError in total (pricing.py:5)") == 1
    assert 0 not in traffic.statuses


_RUNNER = """
import json, sys
from pathlib import Path
from selfheal.config import Settings
from selfheal.engine import api
given = json.loads(sys.argv[1])
api.start_run(
    Settings.model_validate(given["settings"]), repository=Path(given["repository"]),
    artifacts=Path(given["artifacts"]), phases=("deploy", "deploy"), run_id="r1",
    source_run="source", project=Path(given["project"]),
)
"""


def _arguments(made) -> dict[str, object]:  # type: ignore[no-untyped-def]
    return {
        "settings": made.settings.model_dump(mode="json", by_alias=True),
        "repository": str(made.world.repository),
        "artifacts": str(made.artifacts),
        "project": str(made.folder),
    }
