"""Killed anywhere and resumed, a run gives the same bytes and every effect exactly once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TOY = Path(__file__).parents[1] / "resources" / "toy"
sys.path.insert(0, str(TOY))

from killing import outcome  # noqa: E402


def test_killed_at_every_step_of_the_commit_protocol(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(TOY / "killing.py"), "everywhere", str(tmp_path)],
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        timeout=300,
    )
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["differing"] == []
    assert report["kills"] > 80


def session(folder: Path, after: float | None = None) -> int:
    """One session on real workers, killed after so many seconds; its exit code."""
    (folder / "world").mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": "1700000000",
        "TOY_WORLD": str(folder / "world"),
        "TOY_SLOW": "0.2",
    }
    process = subprocess.Popen(
        [sys.executable, str(TOY / "killing.py"), "run", str(folder)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_instants_with_workers_at_work(tmp_path: Path, seed: int) -> None:
    assert session(tmp_path / "undisturbed") == 0
    draw = random.Random(seed)
    disturbed = tmp_path / "disturbed"
    codes = [session(disturbed, draw.uniform(0.5, 2.5)) for _ in range(4)]
    assert set(codes) <= {0, -signal.SIGKILL}
    assert session(disturbed) == 0
    assert outcome(disturbed) == outcome(tmp_path / "undisturbed")
