"""A world of its own for one cycle on the shop: a clone, a forge, a living fleet with visitors.

Every world starts from the same recording, so that what differs afterwards is the
cycle's doing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from selfheal.demo import Production, Recording
from selfheal.demo.cycle import write_configuration
from selfheal.demo.history import git

EPOCH = "1764000000"
ARTIFACTS = ("telemetry", "anomalies", "diagnosis", "patch", "validation", "deployment", "patterns")


@dataclass(frozen=True)
class World:
    """`folder` holds repo, forge.git, production, selfheal.yaml and artifacts."""

    folder: Path
    telemetry: Path
    production: Production
    run_id: str = "cycle"

    @property
    def run(self) -> Path:
        return self.folder / "artifacts" / "runs" / self.run_id

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of selfheal in this world; its output goes to ``selfheal.log``."""
        with (self.folder / "selfheal.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "selfheal.cli.main", *arguments],
                cwd=self.folder,
                env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
                stdout=log,
                stderr=log,
            )

    def cycle(self) -> subprocess.Popen[bytes]:
        """Begin the cycle, or go on with it."""
        if (self.run / "run.json").is_file():
            return self.start("resume", self.run_id)
        telemetry = str(self.telemetry)
        return self.start("run", "--repo", "repo", "--telemetry", telemetry, "--run", self.run_id)

    def approve(self) -> None:
        assert self.start("approve", self.run_id, "--by", "reviewer").wait() == 0, self.log()

    def visitors(self) -> AbstractContextManager[object]:
        """Live traffic for as long as the context lasts."""
        return self.production.traffic(seed=11)

    def log(self) -> str:
        return (self.folder / "selfheal.log").read_text("utf-8", "replace")

    def artifacts(self) -> dict[str, bytes]:
        return {name: (self.run / f"{name}.json").read_bytes() for name in ARTIFACTS}

    def effects(self) -> dict[str, Any]:
        """What the outside world shows of the cycle, each thing with how often it is there."""
        forge = self.folder / "forge.git"
        routing = json.loads((self.folder / "production" / "routing.json").read_text("utf-8"))
        log = git(forge, "log", "--format=%H %s", "v1.1..main").splitlines()
        return {
            "branches": git(forge, "for-each-ref", "--format=%(refname) %(objectname)").split("\n"),
            "commits on main": log,
            "pull requests": sorted(p.name for p in (forge / "selfheal" / "pulls").glob("*.json")),
            "traffic": routing["percents"],
            "instances": sorted(i["release"] for i in routing["instances"]),
        }


@contextmanager
def world(folder: Path, recording: Recording, **sections: dict[str, Any]) -> Iterator[World]:
    """A world in `folder` where release 1.1 is in production; it ends with the context.

    `sections` are merged into the demo's selfheal.yaml.
    """
    folder.mkdir(parents=True)
    shutil.copytree(recording.repository.remote, folder / "forge.git")
    shutil.copytree(recording.repository.path, folder / "repo")
    git(folder / "repo", "remote", "set-url", "origin", str(folder / "forge.git"))
    shop = replace(recording.repository, path=folder / "repo", remote=folder / "forge.git")
    with Production(folder / "production", shop) as production:
        production.start("1.1", shop.bad_commit)
        production.fleet.route({"1.1": 100}, label="release 1.1")
        write_configuration(folder, production)
        configuration = yaml.safe_load((folder / "selfheal.yaml").read_text("utf-8"))
        for section, values in sections.items():
            configuration.setdefault(section, {}).update(values)
        (folder / "selfheal.yaml").write_text(yaml.safe_dump(configuration), "utf-8")
        yield World(folder, recording.telemetry, production)


def kill_at_next_beat(process: subprocess.Popen[bytes], journal: Path, seconds: float) -> int:
    """Kill a process once one more beat has ended well, or after so many seconds; its exit code."""
    begun = _succeeded(journal)
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        if _succeeded(journal) > begun or time.monotonic() > deadline:
            process.kill()
            break
        time.sleep(0.002)
    return process.wait()


def _succeeded(journal: Path) -> int:
    try:
        lines = journal.read_bytes().splitlines()
    except FileNotFoundError:
        return 0
    return sum(b'"event":"beat_finished"' in line and b'"succeeded"' in line for line in lines)
