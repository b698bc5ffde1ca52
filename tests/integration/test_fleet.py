"""The live fleet over real processes: started once, routed whole, stopped by name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfheal.config import ServiceConfig
from selfheal.delivery.fleet import Fleet
from selfheal.delivery.processes import birth_of, is_alive
from selfheal.errors import InvalidInput, ServiceError

SERVICE = ServiceConfig(
    name="files",
    start=["{python}", "-m", "http.server", "{port}", "--bind", "127.0.0.1"],
    startup_seconds=20,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "health").write_text("ok")
    return folder


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet.create(tmp_path / "fleet", service=SERVICE)
    yield made
    made.stop_all()


def test_a_release_is_started_once_however_often_it_is_asked_for(
    fleet: Fleet, source: Path
) -> None:
    first = fleet.start(source, "1.0", "abc", 1)
    again = fleet.start(source, "1.0", "abc", 2)
    assert [instance.id for instance in again] == ["1.0-1", "1.0-2"]
    assert again[0] == first[0]
    assert all(fleet.healthy(instance) for instance in again)


def test_an_instance_that_died_is_replaced_and_gets_no_traffic(fleet: Fleet, source: Path) -> None:
    (died,) = fleet.start(source, "1.0", "abc", 1)
    fleet.route({"1.0": 100})
    os.killpg(died.pid, signal.SIGKILL)
    while is_alive(died.pid, died.birth):
        pass
    assert fleet.instances() == []
    with pytest.raises(InvalidInput, match="no live instance"):
        fleet.route({"1.0": 100})
    (replaced,) = fleet.start(source, "1.0", "abc", 1)
    assert replaced.pid != died.pid


def test_shares_are_spread_over_instances_and_written_whole(fleet: Fleet, source: Path) -> None:
    fleet.start(source, "1.0", "abc", 2)
    fleet.start(source, "1.1", "abd", 1)
    fleet.route({"1.0": 90, "1.1": 10})
    told = json.loads((fleet.folder / "routing.json").read_text())
    assert {i["id"]: i["weight"] for i in told["instances"]} == {
        "1.0-1": 45,
        "1.0-2": 45,
        "1.1-1": 10,
    }
    assert {i["commit"] for i in told["instances"]} == {"abc", "abd"}
    with pytest.raises(InvalidInput, match="sum to 90"):
        fleet.route({"1.0": 90})
    with pytest.raises(InvalidInput, match="still gets traffic"):
        fleet.stop("1.0")
    fleet.route({"1.1": 100})
    fleet.stop("1.0")
    assert [instance.release for instance in fleet.instances()] == ["1.1"]


def test_instances_outlive_a_starter_that_is_killed_and_unregistered_ones_do_not(
    fleet: Fleet, source: Path
) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from selfheal.delivery import fleet as module\n"
        "fleet = module.Fleet(Path(sys.argv[1]))\n"
        "fleet.start(Path(sys.argv[2]), '1.0', 'abc', 1)\n"
        "def dies(instance):\n"
        "    print(instance.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "fleet._register = dies\n"
        "fleet.start(Path(sys.argv[2]), '1.0', 'abc', 2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(fleet.folder), str(source)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    orphan = int(done.stdout)
    while birth_of(orphan) is not None:
        pass
    assert [instance.id for instance in fleet.instances()] == ["1.0-1"]


def test_a_release_that_does_not_get_healthy_is_an_error_and_leaves_nothing(
    tmp_path: Path, source: Path
) -> None:
    broken = SERVICE.model_copy(update={"start": ["{python}", "-c", "raise SystemExit(3)"]})
    fleet = Fleet.create(tmp_path / "broken", service=broken)
    with pytest.raises(ServiceError):
        fleet.start(source, "1.0", "abc", 1)
    assert fleet.routing().instances == []


def test_only_whole_lines_of_new_telemetry_are_copied(fleet: Fleet, tmp_path: Path) -> None:
    traces = fleet.telemetry / "traces.jsonl"
    traces.write_text('{"old":1}\n')
    mark = fleet.offsets()
    with traces.open("a") as file:
        file.write('{"new":1}\n{"torn":')
    (copy,) = fleet.telemetry_since(mark, tmp_path / "since")
    assert copy.read_text() == '{"new":1}\n'


def test_a_line_that_is_being_written_at_the_mark_is_copied_whole(
    fleet: Fleet, tmp_path: Path
) -> None:
    traces = fleet.telemetry / "traces.jsonl"
    long = f'{{"long":"{"x" * 200_000}"}}\n'
    traces.write_text('{"old":1}\n' + long[:150_000])
    mark = fleet.offsets()
    with traces.open("a") as file:
        file.write(long[150_000:])
    (copy,) = fleet.telemetry_since(mark, tmp_path / "since")
    assert copy.read_text() == long
    traces.write_text('{"to')
    assert fleet.offsets()[traces.name] == 0


def test_a_folder_without_a_fleet_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no fleet"):
        Fleet(tmp_path / "none").settings  # noqa: B018
