"""A small real repository with a forge, and a proven change to deliver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomalies, Diagnoses, Patch, Validation
from selfheal.artifacts.deployment import ApprovalRecord, CiRun, Merge
from selfheal.artifacts.diagnosis import Location, SuspectCommit
from selfheal.artifacts.validation import Check
from selfheal.config import DeployConfig, ServiceConfig, Settings, TestsConfig
from selfheal.standalone import FolderEffects, FolderWorkspace
from selfheal_handlers import examples

BROKEN = """DISCOUNTS = {"ten": 0.9}


def total(prices, code):
    return sum(prices) * DISCOUNTS[code]
"""
HEALED = BROKEN.replace("DISCOUNTS[code]", "DISCOUNTS.get(code, 1.0)")
SUITE = """import unittest

from pricing import total


class TotalTest(unittest.TestCase):
    def test_a_known_code_is_taken_off(self):
        self.assertEqual(total([10, 10], "ten"), 18)
"""


@dataclass(frozen=True)
class World:
    """A repository, its bare remote, and what the earlier phases found out about it."""

    folder: Path
    base_commit: str
    patch_text: str

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def workspace(self) -> FolderWorkspace:
        return FolderWorkspace(self.folder, self.repository, beat="deploy/example")

    @property
    def effects(self) -> FolderEffects:
        return FolderEffects(self.folder / "effects.jsonl")

    @cached_property
    def config(self) -> Settings:
        command = ["{python}", "-m", "unittest", "-q"]
        return Settings(
            deploy=DeployConfig(approval="auto", level=0), tests=TestsConfig(command=command)
        )

    @cached_property
    def anomalies(self) -> Anomalies:
        anomaly = examples.anomaly(
            service="pricing",
            operation="POST /total",
            title="KeyError in POST /total",
            first_seen="2024-01-02T00:00:00Z",
            last_seen="2024-01-02T01:00:00Z",
            count=12,
            evidence={"exception_type": "KeyError", "baseline_count": 0, "candidate_count": 12},
        )
        return examples.anomalies(anomaly)

    @cached_property
    def diagnosis(self) -> Diagnoses:
        diagnosis = examples.diagnosis(
            service="pricing",
            operation="POST /total",
            title="KeyError in total (pricing.py:5)",
            reason="The traceback ends at pricing.py:5, where an unknown code is looked up.",
            locations=[Location(file="pricing.py", line=5, function="total", score=0.9)],
            suspect_commits=[
                SuspectCommit(sha=self.base_commit, score=0.8, reason="wrote the line")
            ],
            impact=examples.impact(12, 120, "12 of 120 requests failed."),
            bad_commit=self.base_commit,
            evidence={"exception_type": "KeyError"},
        )
        return examples.diagnoses(diagnosis)

    @cached_property
    def patch(self) -> Patch:
        candidate = examples.candidate(
            strategy="default_for_missing_key",
            score=0.8,
            files=["pricing.py"],
            patch=self.patch_text,
            explanation="An unknown code takes nothing off.",
            base_commit=self.base_commit,
        )
        return Patch(candidates=[candidate])

    @cached_property
    def validation(self) -> Validation:
        result = examples.result(
            reason="Every required check passed.",
            checks=[Check(name="suite", verdict="passed", summary="1 test passed")],
        )
        return examples.validation(
            [result],
            reason="The best that passed.",
            selections=[examples.selection(reason="the first")],
        )

    @property
    def artifacts(self) -> dict[str, Any]:
        return {
            "validation": self.validation,
            "patch": self.patch,
            "diagnosis": self.diagnosis,
            "anomalies": self.anomalies,
        }


def world(folder: Path) -> World:
    """Make the repository and its remote in `folder`."""
    from selfheal.codebase.git import git
    from selfheal.sandbox.worktree import Worktree

    repository, remote = folder / "repository", folder / "forge.git"
    repository.mkdir(parents=True)
    git(folder, "init", "--quiet", "--bare", "--template=", str(remote))
    git(repository, "init", "--quiet", "--template=")
    for name, text in {"pricing.py": BROKEN, "test_pricing.py": SUITE}.items():
        (repository / name).write_text(text)
    git(repository, "add", "--all")
    dated = {f"GIT_{role}_DATE": "@1704000000 +0000" for role in ("AUTHOR", "COMMITTER")}
    who = ("-c", "user.name=dev", "-c", "user.email=dev@localhost")
    git(repository, *who, "commit", "--quiet", "-m", "Prices", environment=dated)
    git(repository, "remote", "add", "origin", str(remote))
    git(repository, "push", "--quiet", "origin", "main")
    head = git(repository, "rev-parse", "HEAD").stdout.strip()
    with Worktree(repository, head, folder / "edit") as worktree:
        (worktree.path / "pricing.py").write_text(HEALED)
        patch = worktree.diff()
    return World(folder, head, patch)


def deploy_requested(folder: Path) -> Mapping[str, Any]:
    made = world(folder)
    settings = made.config
    return {
        "validation": made.validation,
        "patch": made.patch,
        "diagnosis": made.diagnosis,
        "config": settings.deploy,
        "tests": settings.tests,
        "fix": settings.fix,
    }


def load_validation_results(folder: Path) -> Mapping[str, Any]:
    return _loading(world(folder))


def check_approval(folder: Path) -> Mapping[str, Any]:
    made = world(folder)
    review = made.config.deploy.model_copy(update={"approval": "review"})
    return {"deploy_requested": _requested(), "config": review, **_loaded(made)}


def create_branch(folder: Path) -> Mapping[str, Any]:
    made = world(folder)
    return {"check_approval": _approved(), **_loaded(made), **_shipping(made)}


def apply_changes(folder: Path) -> Mapping[str, Any]:
    return _applying(world(folder))


def create_pull_request(folder: Path) -> Mapping[str, Any]:
    from selfheal_handlers.deployment.apply_changes import apply_changes as beat

    made = world(folder)
    given = _applying(made)
    branch = beat(**given)
    del given["create_branch"]
    return {"apply_changes": branch, **given, **made.artifacts}


def run_ci_checks(folder: Path) -> Mapping[str, Any]:
    from selfheal_handlers.deployment.create_pull_request import create_pull_request as beat

    given = create_pull_request(folder)
    workspace: FolderWorkspace = given["workspace"]
    made = World(folder, "", "")
    return {
        "create_pull_request": beat(**given),
        "config": made.config,
        "workspace": workspace,
    }


def auto_merge_pr(folder: Path) -> Mapping[str, Any]:
    given = run_ci_checks(folder)
    passed = CiRun(verdict="passed", exit_code=0, summary="exit code 0")
    effects = FolderEffects(folder / "effects.jsonl")
    return {
        **given,
        "run_ci_checks": passed,
        "check_approval": _approved(),
        "effects": effects,
    }


def deploy_to_production(folder: Path) -> Mapping[str, Any]:
    """A fleet without a living instance, to which nothing can be rolled out."""
    from selfheal.delivery.fleet import Fleet

    made = world(folder)
    Fleet.create(folder / "fleet", service=ServiceConfig(start=["{python}", "-m", "http.server"]))
    config = made.config.deploy.model_copy(
        update={"target": "processes", "fleet": str(folder / "fleet")}
    )
    return {
        "auto_merge_pr": Merge(merged=True, commit=made.base_commit, base="main"),
        "create_pull_request": _pull(made),
        "anomalies": made.anomalies,
        **_loaded(made),
        **_shipping(made),
        "config": config,
    }


def verify_deployment(folder: Path) -> Mapping[str, Any]:
    from selfheal_handlers.deployment.auto_merge_pr import auto_merge_pr as beat

    given = auto_merge_pr(folder)
    return {
        "auto_merge_pr": beat(**given),
        "create_pull_request": given["create_pull_request"],
        "config": given["config"].deploy,
        "workspace": given["workspace"],
        "effects": given["effects"],
    }


def deploy_completed(folder: Path) -> Mapping[str, Any]:
    made = world(folder)
    return {
        "deploy_requested": _requested(),
        **_loaded(made),
        "check_approval": ApprovalRecord(state="rejected", by="ada", reason="not on a Friday"),
    }


def _applying(made: World) -> dict[str, Any]:
    from selfheal_handlers.deployment.create_branch import create_branch as beat

    given = {**_loaded(made), **_shipping(made)}
    return {"create_branch": beat(check_approval=_approved(), **given), **given}


def _requested() -> Any:
    from selfheal_handlers.deployment._results import DeployRequest

    return DeployRequest(candidate_id="candidate-1")


def _approved() -> ApprovalRecord:
    return ApprovalRecord(state="automatic", reason="the policy deploy.approval is auto")


def _pull(made: World) -> Any:
    from selfheal.delivery.forge import Pull

    return Pull(
        number=1,
        title="Fix: KeyError in total",
        branch="selfheal/example",
        base="main",
        head=made.base_commit,
        url="selfheal/pulls/1.md",
        body_sha256="0" * 64,
    )


def _shipping(made: World) -> dict[str, Any]:
    return {"config": made.config.deploy, "workspace": made.workspace, "effects": made.effects}


def _loading(made: World) -> dict[str, Any]:
    return {
        "deploy_requested": _requested(),
        **made.artifacts,
        "config": made.config.deploy,
        "tests": made.config.tests,
        "workspace": made.workspace,
    }


def _loaded(made: World) -> dict[str, Any]:
    from selfheal_handlers.deployment.load_validation_results import (
        load_validation_results as beat,
    )

    return {"load_validation_results": beat(**_loading(made))}
