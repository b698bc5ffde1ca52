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
from delivery_world import Delivery
from live_world import Traffic, living, recording, sick_fleet

from selfheal.artifacts import Patterns
from selfheal.artifacts.envelope import read_artifact
from selfheal.config import GateConfig
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.rollout_record import Request, RolloutFolder

GATE = GateConfig(step_seconds=16, minimum_requests=12, fresh_baseline=False)
FRESH = GATE.model_copy(update={"fresh_baseline": True})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recording(tmp_path_factory.mktemp("recording"), 2.0)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with sick_fleet(tmp_path / "fleet") as made:
        yield made


def test_a_good_fix_is_rolled_out_step_by_step_and_learned_from(
    fleet: Fleet, recorded: Path, tmp_path: Path
) -> None:
    made = living(tmp_path / "world", "DISCOUNTS.get(code, 1.0)", fleet, recorded, gate=FRESH)
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


KEEPING = (
    "(globals().setdefault('KEPT', []).append(bytearray(4_000_000)), DISCOUNTS.get(code, 1.0))[1]"
)


@pytest.mark.parametrize(
    ("fix", "fresh", "told_by"),
    [
        ("undefined", False, {"error_rate", "new_errors"}),
        ("DISCOUNTS.get(code)", False, {"error_rate", "new_errors"}),
        (KEEPING, True, {"saturation"}),
    ],
    ids=["fails at everything", "fails at the same requests in another way", "leaks memory"],
)
def test_a_bad_fix_is_rolled_back_in_traffic_and_in_git(
    fleet: Fleet, recorded: Path, tmp_path: Path, fix: str, fresh: bool, told_by: set[str]
) -> None:
    made = living(
        tmp_path / "world",
        fix,
        fleet,
        recorded,
        gate=GATE.model_copy(update={"step_seconds": 8, "fresh_baseline": fresh}),
        ci_command=["{python}", "-c", "import pricing"],
    )
    with Traffic(fleet.folder / "routing.json"):
        result = made.run(last="learn")
    assert result.state == "succeeded", result.reason
    found = made.deployment()
    assert found.outcome == "rolled_back"
    # Eight seconds at a tenth of a busy machine's traffic may show too few errors to tell.
    assert found.rollout[-1].gate.state == "fail"
    judgements = found.rollout[-1].gate.judgements
    assert {name for name, state in judgements.items() if state == "fail"} & told_by
    assert found.rollout[-1].percent < 100
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
    assert pattern.outcomes.rolled_back == 1


def test_without_telemetry_nothing_is_promoted_and_a_human_is_asked(
    fleet: Fleet, recorded: Path, tmp_path: Path
) -> None:
    gate = FRESH.model_copy(update={"step_seconds": 1})
    made = living(tmp_path / "world", "DISCOUNTS.get(code, 1.0)", fleet, recorded, gate=gate)
    result = made.run()
    assert result.state == "waiting", result.reason
    assert "no_data" in result.reason
    assert fleet.routing().percents["1.1"] == 90
    folder = RolloutFolder(fleet.folder)
    folder.request(Request(action="abort", by="ann", reason="no traffic at night"))
    deadline = time.monotonic() + 20
    while fleet.routing().percents["1.1"] != 100:
        assert time.monotonic() < deadline, "the steward takes traffic back at once"
        time.sleep(0.05)
    assert made.resume().state == "succeeded"
    found = made.deployment()
    assert (found.outcome, found.rollout) == ("rolled_back", [])
    assert found.reason == "aborted by ann: no traffic at night"
    assert {instance.release for instance in fleet.instances()} == {"1.1"}
    assert len(fleet.instances()) == 2, "what was started for the comparison is gone"


def test_a_release_that_does_not_start_goes_back_without_a_single_request(
    fleet: Fleet, recorded: Path, tmp_path: Path
) -> None:
    made = living(
        tmp_path / "world",
        "DISCOUNTS.get(code, 1.0",
        fleet,
        recorded,
        gate=GATE,
        ci_command=["{python}", "-c", "pass"],
    )
    assert made.run().state == "succeeded"
    found = made.deployment()
    assert (found.outcome, found.rollout) == ("rolled_back", [])
    assert "did not become healthy" in found.reason
    assert made.log()[0] == 'Revert "Merge selfheal/r1"'


def test_a_rollout_killed_at_its_steps_goes_on_where_it_was(
    fleet: Fleet, recorded: Path, tmp_path: Path
) -> None:
    made = living(tmp_path / "world", "DISCOUNTS.get(code, 1.0)", fleet, recorded, gate=GATE)
    routing = fleet.folder / "routing.json"
    pids: dict[str, int] = {}
    with Traffic(routing) as traffic:
        for verb, label in (("start", "10 %"), ("resume", "100 %")):
            _kill_at(label, _runner(made, verb), routing)
            assert sum(fleet.routing().percents.values()) == 100
            now = {instance.id: instance.pid for instance in fleet.instances()}
            assert all(now[name] == pid for name, pid in pids.items())
            pids |= now
        result = made.resume()
    assert result.state == "succeeded", result.reason
    found = made.deployment()
    assert found.outcome == "deployed", found.reason
    assert [step.percent for step in found.rollout] == [10, 25, 100]
    kept = {instance.id: instance.pid for instance in fleet.instances()}
    assert {instance.release for instance in fleet.instances()} == {found.reason.split()[1]}
    assert all(pids[name] == pid for name, pid in kept.items())
    assert made.log().count("Merge selfheal/r1: Fix: KeyError in total (pricing.py:5)") == 1
    assert 0 not in traffic.statuses


def _kill_at(label: str, process: subprocess.Popen[bytes], routing: Path) -> None:
    """Kill the runner with its workers as soon as traffic was shifted to the step."""
    while json.loads(routing.read_text())["label"] != label:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


_RUNNER = """
import json, sys
from pathlib import Path
from selfheal.config import Settings
from selfheal.engine import api
given = json.loads(sys.argv[1])
if given["verb"] == "resume":
    api.resume_run(Path(given["artifacts"]), "r1")
else:
    api.start_run(
        Settings.model_validate(given["settings"]), repository=Path(given["repository"]),
        artifacts=Path(given["artifacts"]), phases=("deploy", "deploy"), run_id="r1",
        source_run="source", project=Path(given["project"]),
    )
"""


def _runner(made: Delivery, verb: str) -> subprocess.Popen[bytes]:
    given = {
        "verb": verb,
        "settings": made.settings.model_dump(mode="json", by_alias=True),
        "repository": str(made.world.repository),
        "artifacts": str(made.artifacts),
        "project": str(made.folder),
    }
    command = [sys.executable, "-c", _RUNNER, json.dumps(given)]
    return subprocess.Popen(command, start_new_session=True)
