"""Hostile repositories are stopped: nothing outside is reached, and no verdict is passed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hostile
import pytest

from selfheal.sandbox import isolation
from selfheal.sandbox.process import OUTPUT_LIMIT, Completed, run

LEVELS = ("bubblewrap", "landlock")


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    works = isolation.bubblewrap() if request.param == "bubblewrap" else isolation.landlock()
    if not works:
        pytest.skip(f"{request.param} does not work here")
    monkeypatch.setenv("SELFHEAL_SANDBOX__LEVEL", request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.close()


class World:
    """What lies outside: a home with a key, a run's folder, listeners, another process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = folder / "home" / ".ssh" / "id_rsa"
        self.secret.parent.mkdir(parents=True)
        self.secret.write_text("PRIVATE KEY do not tell")
        self.outside = folder / "run"
        self.outside.mkdir()
        (self.outside / "run.json").write_text("honest")
        self.rights = self.state()
        self.tcp = socket.create_server(("", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("", 0))
        self.unix, self.abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self.unix.bind(str(folder / "socket"))
        self.abstract.bind(f"\0selfheal-{os.getpid()}")
        for listener in (self.tcp, self.udp, self.unix, self.abstract):
            listener.setblocking(False)
        self.unix.listen()
        self.abstract.listen()
        self.victim = subprocess.Popen(["sleep", "1000"])
        self.mark = f"{time.time_ns() % 10**9 + 10**6}"

    def state(self) -> list[tuple[str, bytes, int, int, int]]:
        """Names, bytes, rights, owner and age of all that lies in the run's folder."""
        return [
            (path.name, path.read_bytes(), told.st_mode, told.st_uid, told.st_mtime_ns)
            for path in sorted(self.outside.iterdir())
            for told in [path.stat()]
        ]

    def places(self, repository: Path) -> dict[str, Any]:
        return {
            "secret": str(self.secret),
            "outside": str(self.outside),
            "git": str(repository.with_name(f".{repository.name}.git")),
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "unix": str(self.folder / "socket"),
            "abstract": f"selfheal-{os.getpid()}",
            "victim": self.victim.pid,
            "above": [os.getpid(), os.getppid()],
            "mark": self.mark,
        }

    def is_unharmed(self) -> bool:
        return self.state() == self.rights and self.victim.poll() is None and not self.heard()

    def heard(self) -> bool:
        """Whether anything has come in at one of the listeners."""
        for listener in (self.tcp, self.unix, self.abstract):
            try:
                listener.accept()
            except BlockingIOError:
                continue
            return True
        try:
            return bool(self.udp.recv(9))
        except BlockingIOError:
            return False

    def close(self) -> None:
        for listener in (self.tcp, self.udp, self.unix, self.abstract):
            listener.close()
        self.victim.kill()
        self.victim.wait()


def attacked(world: World, folder: Path, script: str, **limits: Any) -> Completed:
    """Run a hostile script in a checkout of its own that has git data beside it."""
    repository = folder / "repository"
    repository.mkdir()
    git = repository.with_name(".repository.git")
    (git / "objects" / "info").mkdir(parents=True)
    (git / "objects" / "info" / "alternates").write_text(f"{folder}/objects\n")
    (git / "config").write_text("")
    (repository / "places.json").write_text(json.dumps(world.places(repository)))
    (repository / "attack.py").write_text(hostile.HEAD + script)
    done = run(
        [sys.executable, "attack.py"],
        cwd=repository,
        **{"timeout_seconds": 20, "memory_megabytes": 300, **limits},
    )
    assert (git / "config").read_text() == ""
    return done


@pytest.mark.parametrize("attack", sorted(hostile.REACHING_OUT))
def test_nothing_outside_is_reached(
    world: World, level: str, tmp_path: Path, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "do not tell")
    done = attacked(world, tmp_path, hostile.REACHING_OUT[attack])
    assert "reached" not in done.stdout
    assert "do not tell" not in done.stdout + done.stderr
    assert done.state in ("exited", "killed"), done.stderr
    assert world.is_unharmed()


@pytest.mark.parametrize("attack", sorted(hostile.EXHAUSTING))
def test_what_exhausts_the_machine_is_ended(
    world: World, level: str, tmp_path: Path, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFHEAL_SANDBOX__PROCESSES", "40")
    monkeypatch.setenv("SELFHEAL_SANDBOX__DISK_MEGABYTES", "50")
    seconds = {"endless_output": 1.0, "deaf_to_signals": 1.0}.get(attack, 20.0)
    done = attacked(world, tmp_path, hostile.EXHAUSTING[attack], timeout_seconds=seconds)
    assert not done.succeeded
    assert done.seconds < seconds + 5
    assert len(done.stdout) < OUTPUT_LIMIT * 1.1
    assert running("sleep", world.mark) == running("attack.py") == 0
    assert world.is_unharmed()


def test_a_daemon_does_not_outlive_the_suite(world: World, level: str, tmp_path: Path) -> None:
    assert attacked(world, tmp_path, hostile.DAEMON).succeeded
    assert running("sleep", world.mark) == 0


def running(*words: str) -> int:
    """How many processes have these words in their command line."""
    wanted, found = [word.encode() for word in words], 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        found += all(word in command for word in wanted)
    return found
