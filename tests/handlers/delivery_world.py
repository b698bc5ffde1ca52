"""A run of the deploy and learn phases on the real engine, from stored artifacts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import beat_by_beat
from selfheal_handlers.deployment import HANDLERS, _examples

from selfheal.artifacts import Deployment, Model
from selfheal.artifacts.envelope import envelope, read_artifact
from selfheal.codebase.git import git
from selfheal.config import Settings
from selfheal.contract import Approval
from selfheal.delivery.local_forge import LocalForge
from selfheal.engine import api
from selfheal.engine.folder import Manifest, start_timestamp
from selfheal.engine.observer import RunResult
from selfheal.standalone import FolderEffects, FolderWorkspace


@dataclass
class Delivery:
    """A world with its artifacts stored as the run ``source``; `deploy` runs from there."""

    world: _examples.World
    settings: Settings

    @property
    def folder(self) -> Path:
        return self.world.folder

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def forge(self) -> LocalForge:
        return LocalForge(self.folder / "forge.git")

    def store(self, **payloads: Model) -> None:
        """Store payloads as the artifacts of the run ``source``."""
        source = self.artifacts / "runs" / "source"
        source.mkdir(parents=True, exist_ok=True)
        manifest = Manifest(
            run_id="source",
            started_at=start_timestamp(),
            selfheal_version="0",
            phases=[],
            project=str(self.folder),
            repository=None,
            settings={},
        )
        (source / "run.json").write_bytes(manifest.to_bytes())
        (source / "journal.jsonl").touch()
        for name, payload in payloads.items():
            stored = envelope(name, payload, run_id="source", produced_by="test", inputs=[])
            (source / f"{name}.json").write_bytes(stored.to_bytes())

    def run(self, *, first: str = "deploy", last: str = "deploy", run_id: str = "r1") -> RunResult:
        return api.start_run(
            self.settings,
            repository=self.world.repository,
            artifacts=self.artifacts,
            phases=(first, last),
            run_id=run_id,
            source_run="source",
            project=self.folder,
        )

    def resume(self, run_id: str = "r1") -> RunResult:
        return api.resume_run(self.artifacts, run_id)

    def decide(self, decision: Any, run_id: str = "r1") -> None:
        api.record_approval(self.artifacts, run_id, decision, by="ada", reason="because")

    def deployment(self, run_id: str = "r1") -> Deployment:
        found = read_artifact(self.artifacts / "runs" / run_id / "deployment.json", "deployment")
        assert isinstance(found, Deployment)
        return found

    def log(self) -> list[str]:
        """The subjects on the remote's main, newest first."""
        done = git(self.forge.folder, "log", "--topo-order", "--format=%s", "main")
        return done.stdout.splitlines()

    def measured(self, name: str, run_id: str = "r1") -> Any:
        return json.loads(
            (self.artifacts / "runs" / run_id / "measurements" / f"{name}.json").read_bytes()
        )


def delivery(folder: Path, **deploy: Any) -> Delivery:
    """The example's world, with its deploy section changed."""
    world = _examples.world(folder)
    made = Delivery(world, _settings(world, deploy))
    made.store(**world.artifacts)
    return made


def _settings(world: _examples.World, deploy: Mapping[str, Any]) -> Settings:
    section = world.config.deploy.model_copy(update=dict(deploy))
    run = world.config.run.model_copy(update={"workers": 1})
    return world.config.model_copy(update={"deploy": section, "run": run})


@dataclass
class QuickDelivery(Delivery):
    """A delivery whose beats run in this process, one after the other."""

    given: dict[str, Model] = field(default_factory=dict)
    results: dict[str, beat_by_beat.Results] = field(default_factory=dict)
    approval: Approval | None = None

    def store(self, **payloads: Model) -> None:
        self.given = payloads

    def deploy(self, run_id: str = "r1") -> Any:
        """Run the phase, or go on with it; the outcome that stopped it, else the artifact."""
        workspace = FolderWorkspace(self.folder, self.world.repository, run_id, beat="deploy/x")
        effects = FolderEffects(workspace.run_folder / "effects.jsonl")
        done = beat_by_beat.perform(
            HANDLERS,
            artifacts=self.given,
            settings=self.settings,
            services={"workspace": workspace, "effects": effects},
            done=self.results.get(run_id),
            approval=self.approval,
        )
        self.results[run_id] = done
        return list(done.values())[-1]


def quick_delivery(folder: Path, **deploy: Any) -> QuickDelivery:
    """The example's world for a delivery in this process."""
    world = _examples.world(folder)
    made = QuickDelivery(world, _settings(world, deploy))
    made.store(**world.artifacts)
    return made
