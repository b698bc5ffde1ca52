"""The CI command, run in the sandbox on a commit. What timed out has not passed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from selfheal.artifacts.deployment import CiRun
from selfheal.config import DeployConfig, TestsConfig


def ci_command(config: DeployConfig, tests: TestsConfig) -> list[str]:
    """``deploy.ci_command``, or the command of the suite where none is set."""
    return config.ci_command or tests.command


def run_ci(
    repository: Path, commit: str, folder: Path, *, config: DeployConfig, tests: TestsConfig
) -> tuple[CiRun, dict[str, Any]]:
    """Run the CI command on a checkout of `commit` made in `folder`.

    Returns the verdict, which equal commits repeat, and what was measured on the way:
    seconds and the last lines of output.
    """
    from selfheal.sandbox.process import run
    from selfheal.sandbox.worktree import Worktree

    command = ci_command(config, tests)
    python = tests.python or sys.executable
    with Worktree(repository, commit, folder) as worktree:
        done = run(
            [part.replace("{python}", python) for part in command],
            cwd=worktree.path,
            timeout_seconds=config.ci_timeout_seconds,
        )
    measured = {"seconds": done.seconds, "isolation": done.isolation, "output": done.tail()}
    if done.state == "timed_out":
        verdict = CiRun(
            verdict="timed_out",
            command=command,
            summary=f"not finished after {config.ci_timeout_seconds:g} s",
        )
    elif done.succeeded:
        verdict = CiRun(verdict="passed", command=command, exit_code=0, summary="exit code 0")
    elif done.state == "not_started":
        verdict = CiRun(verdict="not_run", command=command, summary="the command did not start")
    else:
        verdict = CiRun(
            verdict="failed",
            command=command,
            exit_code=done.exit_code,
            summary=f"{done.state} with exit code {done.exit_code}",
        )
    return verdict, measured
