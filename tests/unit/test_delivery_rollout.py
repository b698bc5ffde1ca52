"""A rollout whose steps fail goes back, and says what could not be undone."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal.codebase.git import git
from selfheal.config import GateConfig
from selfheal.delivery.fleet import Fleet, Instance, Routing
from selfheal.delivery.processes import birth_of
from selfheal.delivery.rollout import Begin, Gates, ProcessesTarget, Rollout, roll_out
from selfheal.delivery.shipping import Reverted
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

    def roll_out(self, reverted: Reverted) -> Rollout:
        def record(_name: str, _values: dict[str, Any]) -> str:
            return "measurements"

        return roll_out(
            ProcessesTarget(self.fleet, BEGIN, "abc", self.source),
            Gates([], GateConfig(step_seconds=0.05), self.folder / "gates", record),
            steps=[10, 100],
            effects=FolderEffects(self.folder / "ledger.jsonl"),
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


def test_a_gate_that_cannot_read_is_no_data_and_goes_back_once(place: Place) -> None:
    place.serve(BEGIN.old, BEGIN.new)
    (place.fleet.telemetry / "traces.jsonl").write_text("# Notes\n")
    found = place.roll_out(Reverted(commit="f00"))
    (step,) = found.steps
    assert (step.percent, step.gate.state) == (10, "no_data")
    assert "not telemetry" in step.gate.reason
    assert list((place.folder / "gates").rglob("*.*")) == [], "a look leaves nothing behind"
    assert found.rollback is not None
    assert (found.rollback["revert"], found.rollback["note"]) == ("f00", "")
    assert [i.release for i in place.fleet.instances()] == [BEGIN.old]
    routed = place.fleet.routing()
    (place.fleet.telemetry / "traces.jsonl").unlink()
    assert place.roll_out(Reverted(commit="f00")) == found
    assert place.fleet.routing() == routed, "a resumed rollout tries nothing again"


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
