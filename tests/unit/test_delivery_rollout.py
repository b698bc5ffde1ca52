"""A rollout whose steps fail goes back, and says what could not be undone."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal.codebase.git import git
from selfheal.config import GateConfig
from selfheal.delivery.fleet import Fleet, Instance, Routing
from selfheal.delivery.fleet_target import ProcessesTarget
from selfheal.delivery.processes import birth_of
from selfheal.delivery.rollout import Control, Gates, Paused, Rollout, roll_out
from selfheal.delivery.rollout_record import Request, RolloutFolder
from selfheal.delivery.rollout_steward import Steward, StewardPlan
from selfheal.delivery.shipping import Reverted
from selfheal.delivery.target import Begin
from selfheal.standalone import FolderEffects

BEGIN = Begin(old="1.0", new="1.0-selfheal.abc", count=1)


class Place:
    """A fleet whose instances are real processes that only wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fleet = Fleet(folder / "fleet")
        self.fleet.telemetry.mkdir(parents=True)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.source: Callable[[], Path] = lambda: folder
        self.gate = GateConfig(step_seconds=0.05)
        self.closed: str | None = None
        self.control = Control(
            RolloutFolder(self.folder / "fleet"), "r1", "abc", closed=lambda: self.closed
        )

    def serve(self, *releases: str) -> None:
        for release in releases:
            self.processes[release] = subprocess.Popen(["sleep", "60"])
        instances = [
            Instance(
                id=f"{release}-1",
                url="http://127.0.0.1:9",
                release=release,
                commit="",
                pid=process.pid,
                birth=birth_of(process.pid) or 0,
                weight=100 if release == BEGIN.old else 0,
            )
            for release, process in self.processes.items()
        ]
        routing = Routing(instances=instances, percents={BEGIN.old: 100})
        (self.fleet.folder / "routing.json").write_text(routing.model_dump_json())

    def end(self, release: str) -> None:
        self.processes[release].kill()
        self.processes[release].wait()

    def target(self) -> ProcessesTarget:
        return ProcessesTarget(self.fleet, BEGIN, "abc", self.source)

    def steward(self, **gate: Any) -> Steward:
        plan = StewardPlan(
            begin=BEGIN,
            commit="abc",
            fleet=str(self.fleet.folder),
            gate=self.gate.model_copy(update=gate),
        )
        return Steward(self.control.folder, plan)

    def roll_out(self, reverted: Reverted) -> Rollout:
        found = self.attempt(reverted)
        assert isinstance(found, Rollout)
        return found

    def attempt(self, reverted: Reverted) -> Rollout | Paused:
        def record(_name: str, _values: dict[str, Any]) -> str:
            return "measurements"

        return roll_out(
            self.target(),
            Gates([], self.gate, self.folder / "gates", record),
            steps=[10, 100],
            effects=FolderEffects(self.folder / "ledger.jsonl"),
            control=self.control,
            revert=lambda _: reverted,
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    try:
        yield made
    finally:
        for release in made.processes:
            made.end(release)


def test_a_release_without_its_files_goes_back(place: Place) -> None:
    place.serve(BEGIN.old)
    place.source = lambda: Path(git(place.folder, "rev-parse", "HEAD").stdout)
    found = place.roll_out(Reverted(reason="main refused the push 3 times"))
    assert not found.finished
    assert "could not be started: git rev-parse failed" in found.reason
    assert found.rollback is not None
    assert found.rollback["traffic"] == BEGIN.old
    assert found.rollback["note"] == "a human must make the revert: main refused the push 3 times"
    assert place.fleet.routing().percents[BEGIN.old] == 100


def test_a_full_disk_goes_back(place: Place) -> None:
    def full() -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place.folder))

    place.serve(BEGIN.old)
    place.source = full
    found = place.roll_out(Reverted(commit="f00"))
    assert not found.finished
    assert found.reason.endswith("could not be started: No space left on device")
    assert found.rollback is not None
    assert found.rollback["traffic"] == BEGIN.old


def test_a_gate_that_cannot_read_is_no_data_which_neither_promotes_nor_convicts(
    place: Place,
) -> None:
    place.serve(BEGIN.old, BEGIN.new)
    (place.fleet.telemetry / "traces.jsonl").write_text("# Notes\n")
    paused = place.attempt(Reverted(commit="f00"))
    assert paused == Paused("the gate at 10 % is no_data: this file is not telemetry")
    record = place.control.folder.record()
    assert record is not None
    assert (record.state, record.percent, record.failed) == ("paused", 10, False)
    assert place.fleet.routing().percents == {BEGIN.old: 90, BEGIN.new: 10}
    assert list((place.folder / "gates").rglob("*.*")) == [], "a look leaves nothing behind"


def test_a_rollout_that_a_human_aborts_goes_back_once(place: Place) -> None:
    place.serve(BEGIN.old, BEGIN.new)
    assert isinstance(place.attempt(Reverted(commit="f00")), Paused)
    place.control.folder.request(Request(action="abort", by="ann", reason="wrong day"))
    found = place.roll_out(Reverted(commit="f00"))
    assert found.reason == "aborted by ann: wrong day"
    assert found.rollback is not None
    assert (found.rollback["revert"], found.rollback["note"]) == ("f00", "")
    assert [i.release for i in place.fleet.instances()] == [BEGIN.old]
    assert place.control.folder.requested() is None
    routed = place.fleet.routing()
    assert place.roll_out(Reverted(commit="f00")) == found
    assert place.fleet.routing() == routed, "a resumed rollout tries nothing again"


def test_an_abort_ends_a_gate_at_once(place: Place) -> None:
    place.serve(BEGIN.old, BEGIN.new)
    place.gate = GateConfig(step_seconds=600)
    place.control.begin(place.target())
    place.control.folder.request(Request(action="abort", by="ann"))
    assert place.roll_out(Reverted(commit="f00")).reason == "aborted by ann"


def test_a_step_to_ask_about_waits_for_a_human_before_traffic_moves(place: Place) -> None:
    place.serve(BEGIN.old, BEGIN.new)
    place.gate = GateConfig(step_seconds=0.05, ask_before=[10])
    assert place.attempt(Reverted()) == Paused("a human decides on the step to 10 %")
    assert place.fleet.routing().percents == {BEGIN.old: 100}
    place.control.folder.request(Request(action="promote", by="ann"))
    assert isinstance(place.attempt(Reverted()), Paused)
    assert place.fleet.routing().percents[BEGIN.new] == 10


def test_outside_of_its_windows_a_rollout_does_not_begin(place: Place) -> None:
    place.serve(BEGIN.old, BEGIN.new)
    place.closed = "nothing is shipped in the freeze 2026-12-24"
    assert place.attempt(Reverted()) == Paused(place.closed)
    assert place.fleet.routing().percents == {BEGIN.old: 100}
    place.closed = None
    assert isinstance(place.attempt(Reverted()), Paused)
    assert place.fleet.routing().percents[BEGIN.new] == 10


def test_traffic_that_was_taken_back_from_a_dead_run_is_moved_again(place: Place) -> None:
    place.serve(BEGIN.old, BEGIN.new)
    assert isinstance(place.attempt(Reverted()), Paused)
    place.control.folder.update(state="running")
    steward = place.steward(grace_seconds=0.01)
    assert steward.tick(), "it waits first"
    time.sleep(0.02)
    assert not steward.tick()
    record = place.control.folder.record()
    assert record is not None
    assert (record.state, record.failed) == ("returned", False)
    assert place.fleet.routing().percents == {BEGIN.old: 100, BEGIN.new: 0}
    assert isinstance(place.attempt(Reverted()), Paused)
    assert place.fleet.routing().percents[BEGIN.new] == 10


def test_the_steward_leaves_a_rollout_alone_that_is_in_hand(place: Place) -> None:
    place.serve(BEGIN.old, BEGIN.new)
    assert isinstance(place.attempt(Reverted()), Paused)
    place.control.folder.update(until=0.0)
    steward = place.steward()
    with place.control.folder.in_hand() as held:
        assert held
        assert steward.tick()
    assert place.fleet.routing().percents[BEGIN.new] == 10
    with place.control.folder.in_hand(), place.control.folder.in_hand() as second:
        assert not second, "one rollout of a service at a time"


def test_a_pause_ends_on_the_old_release_and_the_resumed_run_reverts(place: Place) -> None:
    place.serve(BEGIN.old, BEGIN.new)
    assert isinstance(place.attempt(Reverted()), Paused)
    place.control.folder.update(until=0.0)
    assert not place.steward().tick()
    assert place.fleet.routing().percents == {BEGIN.old: 100, BEGIN.new: 0}
    found = place.roll_out(Reverted(commit="f00"))
    assert found.reason.endswith("nobody decided in the pause")
    assert found.rollback is not None
    assert found.rollback["revert"] == "f00"


def test_a_paused_rollout_is_judged_on_and_taken_back_when_an_instance_ends(place: Place) -> None:
    place.serve(BEGIN.old, BEGIN.new)
    assert isinstance(place.attempt(Reverted()), Paused)
    steward = place.steward()
    assert steward.tick()
    place.end(BEGIN.new)
    steward = place.steward()
    assert not steward.tick()
    record = place.control.folder.record()
    assert record is not None
    assert record.reason == "while it was paused: answered badly: instances"
    assert place.fleet.routing().percents == {BEGIN.old: 100, BEGIN.new: 0}


def test_a_dead_old_release_is_told_and_the_new_one_lives_on(place: Place) -> None:
    place.serve(BEGIN.old, BEGIN.new)
    place.end(BEGIN.old)
    found = place.roll_out(Reverted(commit="f00"))
    assert found.reason == (
        "traffic could not be shifted to 10 %: release 1.0 has no live instance to route to"
    )
    assert found.rollback is not None
    assert found.rollback["traffic"] is None
    assert found.rollback["note"] == (
        "traffic stays where it was: release 1.0 has no live instance to route to"
    )
    assert [i.release for i in place.fleet.instances()] == [BEGIN.new]
