"""One exercise: a fault in a clone, the report of its failing tests, the loop, and the grade."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from pydantic import Field

from selfheal.artifacts import Deployment, Diagnoses, Patch, Validation
from selfheal.artifacts.envelope import read_artifact
from selfheal.artifacts.model import AnomalyKind, Model
from selfheal.codebase.git import git
from selfheal.config import DeployConfig, Settings, TestsConfig
from selfheal.delivery.plan import chosen_candidates, proven_patch
from selfheal.drill.faults import Fault
from selfheal.drill.hold_out import held_out, without_tests
from selfheal.engine.api import start_run
from selfheal.errors import InvalidInput
from selfheal.learning.ledger import Use
from selfheal.learning.outcomes import uses_of
from selfheal.sandbox.process import run
from selfheal.sandbox.suite import SuiteResult, base_command, import_environment, run_suite
from selfheal.sandbox.worktree import Worktree

Grade = Literal["healed", "overfitted", "not healed", "loop failed"]
AUTHOR = ("-c", "user.name=selfheal drill", "-c", "user.email=drill@selfheal.invalid")


class Exercise(Model):
    """What became of one fault.

    `shown` and `hidden` count its failing tests. `overfitted` passed all that was shown
    and not what was hidden. `uses` go to the ledger.
    """

    run_id: str
    fault: Fault
    kind: AnomalyKind | None = None
    strategies: list[str] = Field(default_factory=list)
    shown: int
    hidden: int
    grade: Grade
    reason: str
    uses: list[Use] = Field(default_factory=list)


@dataclass(frozen=True)
class Ground:
    """Where exercises take place: the user's repository at `commit`, below `folder`.

    `library` is the pattern library that the loop knows of.
    """

    repository: Path
    commit: str
    folder: Path
    settings: Settings
    project: Path
    library: Path

    @property
    def tests(self) -> TestsConfig:
        return self.settings.tests

    def suite(self, name: str, changes: dict[str, str], select: list[str]) -> SuiteResult:
        """Run the suite on the commit with some files changed."""
        with Worktree(self.repository, self.commit, self.folder / name) as worktree:
            for path, text in changes.items():
                (worktree.path / path).write_text(text, encoding="utf-8", newline="")
            return run_suite(worktree.path, self.tests, select=select)


def exercise(
    ground: Ground,
    fault: Fault,
    failing: list[str],
    texts: dict[str, str],
    *,
    seed: int,
    run_id: str,
    history: bool,
) -> Exercise:
    """Seed `fault`, which makes the tests `failing` fail, run the loop and grade it.

    `texts` are the repository's files of Python. With `history` the fault is one more
    commit after the project's own, else it is there from the first commit on.
    """
    hidden = held_out(failing, seed)
    shown = [name for name in failing if name.partition("[")[0] not in hidden]
    changes = {**without_tests(texts, hidden), fault.file: fault.text}
    base = ground.folder / run_id
    clone = _clone(ground, base, changes, fault, history=history)
    report = _report(clone, base, ground.tests, shown)
    folder = _loop(ground, base, clone, report, run_id)
    told = {"run_id": run_id, "fault": fault, "shown": len(shown), "hidden": len(hidden)}
    if not (folder / "validation.json").exists():
        return Exercise(**told, grade="loop failed", reason=f"see {folder}")
    return _graded(ground, folder, clone, texts, hidden, told)


def _clone(
    ground: Ground, base: Path, changes: dict[str, str], fault: Fault, *, history: bool
) -> Path:
    """A clone of its own with a bare remote, whose main holds the fault."""
    clone, remote = base / "repository", base / "forge.git"
    base.mkdir(parents=True)
    git(
        base,
        "clone",
        "--quiet",
        "--no-hardlinks",
        "--template=",
        str(ground.repository),
        str(clone),
    )
    git(clone, "checkout", "--quiet", "-B", "main", ground.commit)
    if not history:
        git(clone, "checkout", "--quiet", "--orphan", "drill")
        git(clone, "branch", "--quiet", "-D", "main")
        git(clone, "branch", "-m", "main")
    others = {path: text for path, text in changes.items() if path != fault.file}
    for message, part in (("Tests", others), ("Change", {fault.file: fault.text})):
        for path, text in part.items():
            (clone / path).write_text(text, encoding="utf-8", newline="")
        git(clone, "add", "--all")
        if history:
            git(clone, *AUTHOR, "commit", "--quiet", "--allow-empty", "-m", message)
    if not history:
        git(clone, *AUTHOR, "commit", "--quiet", "-m", "All")
    git(base, "init", "--quiet", "--bare", "--template=", str(remote))
    git(clone, "remote", "set-url", "origin", str(remote))
    git(clone, "push", "--quiet", "origin", "main")
    return clone


def _report(clone: Path, base: Path, tests: TestsConfig, shown: list[str]) -> Path:
    """pytest's own report of the failing tests, as a team's CI has it."""
    report = base / "reports" / "junit.xml"
    report.parent.mkdir()
    with Worktree(clone, "main", base / "checkout") as worktree:
        run(
            [*base_command(tests), f"--junitxml={report}", *shown],
            cwd=worktree.path,
            timeout_seconds=tests.timeout_seconds,
            environment=import_environment(worktree.path),
            writable=(report.parent,),
        )
    if not report.exists():
        raise InvalidInput(
            "the suite wrote no report.",
            where="tests.command",
            hint="A drill needs pytest, as in: tests.command: ['{python}', '-m', 'pytest', '-q']",
        )
    return report


def _loop(ground: Ground, base: Path, clone: Path, report: Path, run_id: str) -> Path:
    """Run the phases up to the merge into the drill's own remote; the run's folder."""
    artifacts = base / "artifacts"
    artifacts.mkdir()
    if ground.library.exists():
        shutil.copyfile(ground.library, artifacts / ground.library.name)
    start_run(
        loop_settings(ground.settings, report),
        repository=clone,
        artifacts=artifacts,
        phases=("parse", "deploy"),
        run_id=run_id,
        project=ground.project,
    )
    return artifacts / "runs" / run_id


def loop_settings(settings: Settings, report: Path) -> Settings:
    """The project's settings on the report and the clone's own remote.

    Nothing of where and how the project delivers is kept but its CI.
    """
    deploy = DeployConfig(
        approval="auto",
        level=0,
        ci_command=settings.deploy.ci_command,
        ci_timeout_seconds=settings.deploy.ci_timeout_seconds,
    )
    telemetry = settings.telemetry.model_copy(update={"paths": [str(report)], "format": "auto"})
    return settings.model_copy(update={"deploy": deploy, "telemetry": telemetry})


def _graded(
    ground: Ground,
    folder: Path,
    clone: Path,
    texts: dict[str, str],
    hidden: list[str],
    told: dict[str, object],
) -> Exercise:
    patch = cast("Patch", read_artifact(folder / "patch.json", "patch"))
    diagnoses = cast("Diagnoses", read_artifact(folder / "diagnosis.json", "diagnosis"))
    validation = cast("Validation", read_artifact(folder / "validation.json", "validation"))
    deployed = folder / "deployment.json"
    deployment = (
        cast("Deployment", read_artifact(deployed, "deployment"))
        if deployed.exists()
        else Deployment(candidate_id=None, outcome="not_deployed", reason="the loop ended before")
    )
    uses = uses_of(
        str(told["run_id"]),
        patch=patch,
        diagnoses=diagnoses,
        validation=validation,
        deployment=deployment,
        assessments=None,
    )
    chosen = chosen_candidates(validation, patch)
    told |= {"kind": diagnoses.diagnoses[0].kind if diagnoses.diagnoses else None}
    told |= {"strategies": [candidate.strategy for candidate in chosen]}
    if not chosen:
        return Exercise.model_validate(
            {**told, "grade": "not healed", "reason": validation.reason, "uses": uses}
        )
    failed = _still_failing(ground, folder, clone, texts, hidden, proven_patch(validation, chosen))
    if not failed:
        return Exercise.model_validate(
            {**told, "grade": "healed", "reason": validation.reason, "uses": uses}
        )
    ids = {candidate.id for candidate in chosen}
    uses = [
        use.model_copy(update={"outcome": "ineffective"}) if use.candidate_id in ids else use
        for use in uses
    ]
    reason = f"hidden tests fail: {', '.join(failed)}"
    return Exercise.model_validate({**told, "grade": "overfitted", "reason": reason, "uses": uses})


def _still_failing(
    ground: Ground, folder: Path, clone: Path, texts: dict[str, str], hidden: list[str], patch: str
) -> list[str]:
    """The hidden tests that fail on the faulty code with the patch."""
    if not hidden:
        return []
    with Worktree(clone, "main", folder.parent / "graded") as worktree:
        worktree.apply(patch)
        for name in sorted({test.partition("::")[0] for test in hidden}):
            (worktree.path / name).write_text(texts[name], encoding="utf-8", newline="")
        result = run_suite(worktree.path, ground.tests, select=hidden)
    return [test for test in hidden if result.outcome(test) != "passed"]
