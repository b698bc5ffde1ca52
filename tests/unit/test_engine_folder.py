"""Where runs are kept: a folder that is made for them stays out of git, others are left alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

from selfheal.engine.folder import staging


def test_a_new_folder_of_artifacts_is_no_business_of_git(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    staging(tmp_path / "artifacts", "run-1")
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""


def test_a_folder_that_is_there_is_not_hidden_from_git(tmp_path: Path) -> None:
    staging(tmp_path, "run-1")
    assert not (tmp_path / ".gitignore").exists()
