"""Where the command line looks for runs."""

from __future__ import annotations

import subprocess
from argparse import Namespace
from pathlib import Path

import pytest

from selfheal.cli.project import artifacts_folder, open_project


def test_runs_at_the_top_of_the_repository_are_found_from_a_folder_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    inner = tmp_path / "src" / "shop"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert artifacts_folder(Namespace(artifacts=None)) == inner / "artifacts"
    (tmp_path / "artifacts").mkdir()
    assert artifacts_folder(Namespace(artifacts=None)) == tmp_path / "artifacts"
    (inner / "artifacts").mkdir()
    assert artifacts_folder(Namespace(artifacts=None)) == inner / "artifacts"
    assert artifacts_folder(Namespace(artifacts=Path("other"))) == inner / "other"


def test_a_folder_that_the_user_names_is_the_one_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    assert open_project(Namespace(artifacts=Path("out"))).artifacts == tmp_path / "src" / "out"
    given = Namespace(artifacts=None, overrides=["run.artifacts=out"])
    assert open_project(given).artifacts == tmp_path / "src" / "out"
