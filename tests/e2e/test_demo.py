"""The whole cycle on the shop: nothing of it knows the faults, and it heals them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from selfheal.demo.history import ShopRepository, build_repository, git
from selfheal.demo.story import Story, latest_run


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "selfheal.cli.main", "demo", "--folder", str(folder)]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=600
    )


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    done = demo(tmp_path)
    assert done.returncode == 2
    assert "empty folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4])
def test_other_faults_of_another_seed_are_found_healed_and_shipped(
    seed: int, tmp_path: Path
) -> None:
    planted = build_repository(tmp_path / "truth", seed)
    done = demo(tmp_path / "demo", "--seed", str(seed), "--approve", "auto")
    assert done.returncode == 0, done.stderr[-4000:]
    story = Story.read(latest_run(tmp_path / "demo" / "artifacts"))
    check_causes(story, planted)
    check_delivery(story, tmp_path / "demo" / "forge.git")
    assert "deployed" in done.stdout
    assert "100 % pass" in done.stdout


def check_causes(story: Story, planted: ShopRepository) -> None:
    """Every planted fault is convicted by its function and commit, and has a proven fix."""
    assert story.diagnoses is not None
    for fault, commit in planted.faults.items():
        (diagnosis,) = (
            each
            for each in story.diagnoses.diagnoses
            if each.locations and each.locations[0].function.endswith(fault.function)
        )
        assert diagnosis.verdict == "code_cause"
        assert diagnosis.locations[0].file == fault.file
        assert diagnosis.suspect_commits[0].sha == commit
        assert story.selected(diagnosis) is not None


def check_delivery(story: Story, forge: Path) -> None:
    """The fix is merged on the remote and carries all traffic."""
    assert story.deployment is not None
    assert story.deployment.outcome == "deployed"
    assert story.deployment.merge is not None
    assert git(forge, "rev-parse", "main").strip() == story.deployment.merge.commit
    assert [step.gate.state for step in story.deployment.rollout] == ["pass"] * 3
