"""Where the command line looks for runs."""

from __future__ import annotations

import subprocess
from argparse import Namespace
from pathlib import Path

import pytest

from selfheal.cli.project import artifacts_folder


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
