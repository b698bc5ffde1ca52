"""What ``selfheal beats new`` writes runs as it is, and is clean by the usual tools."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from selfheal.cli.scaffold import READS, files
from selfheal.errors import InvalidInput
from selfheal.sequences.loader import validate_file

VARIANTS = [(phase, False) for phase in READS] + [("detect", True)]


def write(folder: Path, phase: str, contributes: bool) -> list[Path]:
    paths = []
    for relative, text in files(
        "check_licence", phase, f"{phase}.sequence", contributes=contributes
    ).items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


@pytest.mark.parametrize(("phase", "contributes"), VARIANTS)
def test_the_written_test_passes(tmp_path: Path, phase: str, contributes: bool) -> None:
    """The beat's own test passes before anything is edited, for every phase."""
    write(tmp_path, phase, contributes)
    # importlib: every variant has a test file of the same name.
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    assert pytest.main([*options, str(tmp_path / "tests")]) == 0


def test_the_written_files_are_clean_by_ruff(tmp_path: Path) -> None:
    paths = []
    for phase, contributes in VARIANTS:
        paths += write(tmp_path / f"{phase}{contributes}", phase, contributes)
    sources = [str(path) for path in paths if path.suffix == ".py"]
    for command in (
        ["ruff", "check", "--isolated", "--line-length", "100", "--select", "E,F,I,UP,B", *sources],
        ["ruff", "format", "--isolated", "--line-length", "100", "--check", *sources],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("phase", "contributes"), VARIANTS)
def test_the_sequence_entry_is_a_valid_overlay(
    tmp_path: Path, phase: str, contributes: bool
) -> None:
    overlay = next(path for path in write(tmp_path, phase, contributes) if path.suffix == ".json")
    assert validate_file(overlay) == []
    assert json.loads(overlay.read_text())["extends"] == f"{phase}.sequence"


@pytest.mark.parametrize("name", ["CheckLicence", "check-licence", "class", "1st", ""])
def test_a_name_that_is_no_function_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a beat"):
        files(name, "detect", "anomaly.detect", contributes=False)


def test_an_unknown_phase_is_refused() -> None:
    with pytest.raises(InvalidInput, match="there is no phase 'detekt'"):
        files("check", "detekt", "anomaly.detect", contributes=False)


def test_only_the_detect_phase_has_detectors() -> None:
    with pytest.raises(InvalidInput, match="detectors belong to detect"):
        files("check", "fix", "fix.generate", contributes=True)
