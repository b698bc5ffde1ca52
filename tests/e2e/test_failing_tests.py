"""A red suite as the incident: from pytest's report to a patch that git applies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CODE = '''\
"""Seats of a hall."""


class Hall:
    def __init__(self, rows, width):
        self.rows, self.width = rows, width
        self.taken = set()

    def take(self, row, seat):
        if row > self.rows or seat >= self.width:
            raise ValueError("there is no such seat")
        self.taken.add((row, seat))

    def free(self):
        return self.rows * self.width + len(self.taken)
'''
SUITE = """\
import unittest

from hall import Hall


class Seats(unittest.TestCase):
    def setUp(self):
        self.hall = Hall(2, 3)

    def test_free_when_empty(self):
        self.assertEqual(self.hall.free(), 6)

    def test_free_when_one_is_taken(self):
        self.hall.take(0, 0)
        self.assertEqual(self.hall.free(), 5)

    def test_no_such_seat(self):
        with self.assertRaises(ValueError):
            self.hall.take(0, 3)

    def test_red_for_long(self):
        self.assertEqual(self.hall.free(), 0)
"""
NODE = "tests/test_hall.py::Seats::test_free_when_one_is_taken"


def run(folder: Path, *command: str, code: int = 0) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SELFHEAL_")}
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=kept | {"GIT_CONFIG_GLOBAL": os.devnull},
    )
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def selfheal(folder: Path, *arguments: str, code: int = 0) -> str:
    return run(folder, sys.executable, "-m", "selfheal.cli.main", *arguments, code=code)


def test_a_report_of_a_failing_test_becomes_a_patch_that_git_applies(tmp_path: Path) -> None:
    hall = tmp_path / "hall"
    (hall / "src" / "hall").mkdir(parents=True)
    (hall / "tests").mkdir()
    (hall / "src" / "hall" / "__init__.py").write_text(CODE)
    (hall / "tests" / "test_hall.py").write_text(SUITE)
    (hall / "pyproject.toml").write_text("[tool.pytest.ini_options]\npythonpath = ['src']\n")
    run(hall, "git", "init", "-q")
    run(hall, "git", "add", ".")
    run(hall, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one")
    pytest_ = (sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    report = tmp_path / "junit.xml"
    run(hall, *pytest_, NODE, f"--junitxml={report}", code=1)

    selfheal(tmp_path, "run", "--repo", "hall", "--telemetry", str(report), "--to", "validate")
    patch = selfheal(tmp_path, "patch")
    validation = json.loads((tmp_path / "artifacts/latest/validation.json").read_text())["payload"]

    assert "tests/" not in patch
    assert run(hall, "git", "status", "--porcelain") == ""
    (tmp_path / "fix.patch").write_text(patch)
    run(hall, "git", "apply", str(tmp_path / "fix.patch"))
    told = run(hall, *pytest_, code=1)
    assert "1 failed, 3 passed" in told
    assert validation["searches"][0]["tests"] == [NODE]
    assert validation["searches"][0]["ledger"]
    chosen = next(r for r in validation["results"] if r["candidate_id"] == validation["selected"])
    suite = next(check for check in chosen["checks"] if check["name"] == "suite")
    assert suite["counts"]["new_failures"] == 0
    assert suite["counts"]["known_failures"] == 1
