"""The whole cycle on the shop: nothing of it knows the faults, and it heals them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shop_world import world

from selfheal.artifacts import Candidate, Patterns
from selfheal.artifacts.envelope import read_artifact
from selfheal.demo import record
from selfheal.demo.history import ShopRepository, build_repository, git
from selfheal.demo.story import Story, latest_run

SEED = 13


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


@pytest.fixture(scope="module")
def first_cycle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo with other faults than it has by default; its folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    done = demo(folder, "--seed", str(SEED), "--approve", "auto")
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, done.stdout


@pytest.mark.slow
def test_other_faults_of_another_seed_are_found_healed_and_shipped(
    first_cycle: tuple[Path, str], tmp_path: Path
) -> None:
    folder, printed = first_cycle
    planted = build_repository(tmp_path / "truth", SEED)
    assert {fault.function for fault in planted.faults} == {"history", "product_page"}
    story = Story.read(latest_run(folder / "artifacts"))
    check_causes(story, planted)
    check_delivery(story, folder / "forge.git")
    assert "deployed" in printed
    assert "100 % pass" in printed


@pytest.mark.slow
def test_a_like_fault_is_healed_by_the_learned_pattern_with_fewer_candidates(
    first_cycle: tuple[Path, str], tmp_path: Path
) -> None:
    """Both shops query in a loop, each in another operation; the second knows the first's cure."""
    artifacts = first_cycle[0] / "artifacts"
    first, tried_first = chosen(latest_run(artifacts), "history", seen_before=False)
    recording = record(tmp_path / "shop", 0, seconds=12, faults=["category_page"])
    sections = {
        "validate": {"shuffled_runs": 3},
        "deploy": {"target": "none"},
        "learn": {"observe_seconds": 0},
    }
    with world(tmp_path / "world", recording, **sections) as shop:
        (shop.folder / "artifacts").mkdir()
        shutil.copyfile(artifacts / "patterns.json", shop.folder / "artifacts" / "patterns.json")
        assert shop.cycle().wait(300) == 3, shop.log()[-4000:]
        shop.approve()
        assert shop.cycle().wait(300) == 0, shop.log()[-4000:]
        second, tried_second = chosen(shop.run, "category_page", seen_before=True)
    assert first.edit["strategy"] == second.edit["strategy"]
    assert second.rank == 1
    assert second.is_known_cure
    assert not first.is_known_cure
    assert tried_second < tried_first


def chosen(run: Path, function: str, *, seen_before: bool) -> tuple[Candidate, int]:
    """The candidate chosen for a slow function, and how many were tried, as the insights tell."""
    story = Story.read(run)
    patterns = read_artifact(run / "patterns.json", "patterns")
    assert isinstance(patterns, Patterns)
    assert story.diagnoses is not None
    assert story.patch is not None
    assert story.validation is not None
    (cause,) = (
        each
        for each in story.diagnoses.diagnoses
        if each.kind == "performance" and each.locations[0].function.endswith(function)
    )
    (selection,) = (s for s in story.validation.selections if s.diagnosis_id == cause.id)
    (candidate,) = (c for c in story.patch.candidates if c.id == selection.candidate_id)
    texts = [each.text for each in patterns.insights if each.title == cause.title]
    assert any(f"candidates tried: {selection.tried}" in text for text in texts)
    assert any("first cycle: " in text for text in texts) == seen_before
    return candidate, selection.tried


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
