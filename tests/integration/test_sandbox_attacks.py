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

from selfheal import config
from selfheal.errors import RepositoryError
from selfheal.repair.diff import unified_diff
from selfheal.sandbox import isolation, launcher
from selfheal.sandbox.changes import changed_files
from selfheal.sandbox.process import OUTPUT_LIMIT, Completed, run
from selfheal.sandbox.suite import run_suite
from selfheal.sandbox.worktree import Worktree

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
    if level == "landlock" and os.getuid() != 0:
        if attack == "changing_rights_outside":
            pytest.skip("Landlock does not govern rights of files of one's own")
        if attack == "killing_another_process" and launcher.landlock_version() < 6:
            pytest.skip("this kernel's Landlock does not govern signals")
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
    if level == "landlock" and attack not in hostile.OF_PROCESSES:
        pytest.skip("the supervisor that ends it is the same at every level")
    monkeypatch.setenv("SELFHEAL_SANDBOX__PROCESSES", "40")
    monkeypatch.setenv("SELFHEAL_SANDBOX__DISK_MEGABYTES", "50")
    seconds = {"endless_output": 0.5, "deaf_to_signals": 0.7}.get(attack, 20.0)
    done = attacked(world, tmp_path, hostile.EXHAUSTING[attack], timeout_seconds=seconds)
    assert not done.succeeded
    assert done.seconds < seconds + 5
    assert len(done.stdout) < OUTPUT_LIMIT * 1.1
    assert running("sleep", world.mark) == running("attack.py") == 0
    assert world.is_unharmed()


def test_a_daemon_does_not_outlive_the_suite(world: World, level: str, tmp_path: Path) -> None:
    assert attacked(world, tmp_path, hostile.DAEMON).succeeded
    assert running("sleep", world.mark) == 0


@pytest.mark.parametrize("attack", sorted(hostile.TAMPERING))
def test_a_failing_suite_is_not_made_to_pass(tmp_path: Path, attack: str) -> None:
    files = {
        "app.py": "",
        "tests/test_truth.py": "import app\ndef test_truth(): assert False\ndef test_two(): pass\n",
        **hostile.TAMPERING[attack],
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    result = run_suite(
        tmp_path,
        config.TestsConfig(),
        coverage="coverage" in "".join(files) or "pipe" in attack,
        timeout_seconds=30,
        memory_megabytes=400,
    )
    assert result.state in ("failed", "error", "no_tests"), result
    assert result.outcome("tests/test_truth.py::test_truth") != "passed"


CONFIGURATION = """
git config core.hooksPath "$PWD/.git/evil"
git config core.fsmonitor "$PWD/evil.sh"
git config filter.evil.smudge "$PWD/evil.sh"
git config filter.evil.clean "$PWD/evil.sh"
git config diff.evil.textconv "$PWD/evil.sh"
git config diff.evil.command "$PWD/evil.sh"
git config diff.external "$PWD/evil.sh"
git config core.sshCommand "$PWD/evil.sh"
git config core.pager "$PWD/evil.sh"
git config core.editor "$PWD/evil.sh"
git config gpg.program "$PWD/evil.sh"
git config commit.gpgSign true
git config include.path "$PWD/evil.config"
"""
COMMANDS = """
git init -q -b main . && git config user.name a && git config user.email a@b
printf '#!/bin/sh\ntouch "%s"\ncat\n' "$MARK" > evil.sh && chmod +x evil.sh
printf '[core]\n\tfsmonitor = %s/evil.sh\n' "$PWD" > evil.config
mkdir .git/evil && for hook in post-checkout pre-commit post-commit post-index-change \
  reference-transaction post-applypatch; do cp evil.sh .git/evil/$hook; cp evil.sh .git/hooks/$hook; done
printf '* filter=evil diff=evil\n' > .gitattributes
printf '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch%% $MARK\n\tupdate = !sh evil.sh\n' > .gitmodules
printf 'one\ntwo\n' > file.txt && ln -s "$OUTSIDE" innocent
git add file.txt evil.sh evil.config .gitattributes .gitmodules innocent && git commit -qm one
"""


def test_nothing_of_the_repositorys_git_configuration_is_run(tmp_path: Path) -> None:
    repository, mark, outside = tmp_path / "repository", tmp_path / "mark", tmp_path / "outside"
    repository.mkdir()
    outside.mkdir()
    environment = {**os.environ, "MARK": str(mark), "OUTSIDE": str(outside)}
    script = ["sh", "-ec", COMMANDS + CONFIGURATION]
    subprocess.run(script, cwd=repository, env=environment, check=True, capture_output=True)
    mark.unlink(missing_ok=True)
    with Worktree(repository, "main", tmp_path / "tree") as tree:
        tree.apply(unified_diff("file.txt", "one\ntwo\n", "one\n2\n"))
        changed_files(tree)
        tree.diff()
        tree.commit("a change", date="2024-01-01T00:00:00+00:00")
        through = unified_diff("innocent/planted", None, "x\n")
        assert tree.refusal(through) is not None
        with pytest.raises(RepositoryError):
            tree.apply(through)
    assert not mark.exists()
    assert list(outside.iterdir()) == []


def test_what_code_leaves_in_the_checkout_is_not_obeyed_by_git(tmp_path: Path) -> None:
    """A run may replace the checkout's .git, plant repositories and attributes."""
    repository, mark = tmp_path / "repository", tmp_path / "mark"
    repository.mkdir()
    script = "git init -q . && echo one > file.txt && git add . && git -c user.name=a -c user.email=a@b commit -qm one"
    subprocess.run(["sh", "-ec", script], cwd=repository, check=True)
    with Worktree(repository, "HEAD", tmp_path / "tree") as tree:
        evil = f"#!/bin/sh\ntouch {mark}\ncat\n"
        plant = (
            f"printf '{evil}' > evil.sh; chmod +x evil.sh; rm -rf .git; git init -q .; "
            "git config core.fsmonitor $PWD/evil.sh; git config filter.e.clean $PWD/evil.sh; "
            "echo '* filter=e' > .gitattributes; cp evil.sh .git/hooks/pre-commit; "
            "git init -q sub; git -C sub config core.fsmonitor $PWD/evil.sh; echo 2 > file.txt"
        )
        assert run(["sh", "-ec", plant], cwd=tree.path, timeout_seconds=20).succeeded
        mark.unlink(missing_ok=True)
        tree.git("status", "--porcelain")
        tree.diff()
        tree.restore(["file.txt"])
        tree.git("add", "file.txt", "evil.sh", ".gitattributes")
    assert not mark.exists()


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
