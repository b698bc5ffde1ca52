"""``selfheal rollout``: what is told of a rollout, and decisions that move traffic at once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfheal.cli.main import main
from selfheal.delivery.fleet import Fleet, Instance, Routing
from selfheal.delivery.processes import birth_of
from selfheal.delivery.rollout_record import RolloutFolder, RolloutRecord
from selfheal.delivery.rollout_steward import StewardPlan
from selfheal.delivery.target import Begin

FORESEEN = {
    "requests": 600,
    "baseline_failure_rate": 0.01,
    "visible_failure_rate": 0.041,
    "visible_latency_ratio": 1.23,
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RolloutFolder]:
    """A fleet at 10 %, whose rollout is paused and in nobody's hands."""
    process = subprocess.Popen(["sleep", "60"])
    instances = [
        Instance(
            id=f"{release}-1",
            url="http://127.0.0.1:9",
            release=release,
            commit="",
            pid=process.pid,
            birth=birth_of(process.pid) or 0,
        )
        for release in ("1.0", "1.1")
    ]
    routing = Routing(instances=instances, percents={"1.0": 90, "1.1": 10})
    (tmp_path / "routing.json").write_text(routing.model_dump_json())
    (tmp_path / "telemetry").mkdir()
    made = RolloutFolder(tmp_path)
    made.write(
        RolloutRecord(
            run_id="r1",
            old="1.0",
            new="1.1",
            commit="0123456789abcdef",
            percent=10,
            state="paused",
            reason="the gate at 10 % is undecided: not decided in time: latency",
            seen={"10": FORESEEN},
        )
    )
    plan = StewardPlan(begin=Begin(old="1.0", new="1.1", count=1), commit="0", fleet=str(tmp_path))
    (tmp_path / "steward.json").write_text(plan.model_dump_json())
    yield made
    process.kill()
    process.wait()


def call(*words: str) -> int:
    return main(["rollout", *words])


def test_status_tells_where_it_stands_and_what_the_step_can_see(
    folder: RolloutFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("status", str(folder.folder)) == 0
    told = capsys.readouterr().out
    assert "paused at 10 %, in nobody's hands" in told
    assert (
        "600 requests are expected, which show 4.10% failed requests (now 1.00%) "
        "and 1.23 times the latency" in told
    )
    assert call("status", str(folder.folder), "--json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "paused"


def test_an_abort_moves_traffic_at_once_where_nobody_has_the_rollout_in_hand(
    folder: RolloutFolder,
) -> None:
    assert call("abort", str(folder.folder), "--by", "ann", "--reason", "wrong day") == 0
    assert Fleet(folder.folder).routing().percents == {"1.0": 100, "1.1": 0}
    record = folder.record()
    assert record is not None
    assert (record.state, record.failed, record.reason) == (
        "returned",
        True,
        "aborted by ann: wrong day",
    )


def test_an_abort_is_left_to_whoever_has_the_rollout_in_hand(folder: RolloutFolder) -> None:
    with folder.in_hand():
        assert call("abort", str(folder.folder), "--by", "ann") == 0
    assert Fleet(folder.folder).routing().percents["1.1"] == 10
    assert folder.abort_asked() == "aborted by ann"


@pytest.mark.parametrize("words", [("abort",), ("promote", "--by", "ann")])
def test_a_decision_needs_a_name_and_undecided_is_never_promoted(
    folder: RolloutFolder, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(words[0], str(folder.folder), *words[1:]) == 2
    assert capsys.readouterr().err
    assert folder.requested() is None


def test_a_rollout_that_asks_is_promoted_by_name(folder: RolloutFolder) -> None:
    folder.update(state="asking", asked=50)
    assert call("promote", str(folder.folder), "--by", "ann") == 0
    request = folder.requested()
    assert request is not None
    assert (request.action, request.by) == ("promote", "ann")


def test_without_a_rollout_the_command_says_where_it_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("status", str(tmp_path)) == 2
    assert str(tmp_path) in capsys.readouterr().err
