"""``selfheal report`` and ``selfheal replay-trace`` as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("flask")

TILL = """
from flask import Flask, jsonify


def create_app():
    app = Flask(__name__)

    @app.get("/cart")
    def cart():
        return jsonify({"discount": {}["discount"]})

    return app
"""
CONFTEST = """
import pytest
from till import create_app


@pytest.fixture
def client():
    return create_app().test_client()
"""


def selfheal(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SELFHEAL_")}
    done = subprocess.run(
        [sys.executable, "-m", "selfheal.cli.main", *arguments],
        cwd=folder,
        env=kept | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, small_telemetry: Path) -> Path:
    """The repository of a service whose telemetry was parsed and looked through."""
    folder = tmp_path_factory.mktemp("till")
    (folder / "till.py").write_text(TILL)
    (folder / "tests").mkdir()
    (folder / "tests" / "conftest.py").write_text(CONFTEST)
    for command in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    selfheal(folder, "run", "--to", "detect", "--telemetry", str(small_telemetry))
    return folder


def test_without_a_name_the_reports_are_listed(place: Path) -> None:
    listed = json.loads(selfheal(place, "report", "--json").stdout)
    assert len(listed) == 14
    assert {"name", "answers", "formats"} == set(listed[0])


def test_a_report_is_text_on_stdout_or_a_file(place: Path) -> None:
    shown = selfheal(place, "report", "regression", "--artifacts", "artifacts")
    assert "GET /cart" in shown.stdout
    assert "slower" in shown.stdout
    assert not shown.stderr
    file = place / "heat.html"
    done = selfheal(place, "report", "heatmap", "--format", "html", "-o", str(file))
    assert "written to" in done.stderr
    assert not done.stdout
    assert file.read_text().startswith("<!doctype html>")


def test_a_wrong_name_or_form_is_told(place: Path) -> None:
    assert "The reports are" in selfheal(place, "report", "heat", code=1).stderr
    assert "It has text" in selfheal(place, "report", "heatmap", "--format", "dot", code=2).stderr


def test_a_captured_trace_fails_until_its_trouble_is_gone(place: Path) -> None:
    """The test that replay-trace prints is red on the sick service and green on a healed one."""
    replay = json.loads(selfheal(place, "report", "replay", "--json").stdout)
    failing = next(one["trace_id"] for one in replay["captured"] if one["status"] == 500)
    file = place / "tests" / "test_captured.py"
    selfheal(place, "replay-trace", failing[:16], "-o", str(file))
    assert outcome(place, file) == 1
    (place / "till.py").write_text(TILL.replace('{}["discount"]', '{}.get("discount")'))
    assert outcome(place, file) == 0


def outcome(folder: Path, test: Path) -> int:
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    return done.returncode


def test_a_trace_that_is_not_there_is_told(place: Path) -> None:
    assert "no trace" in selfheal(place, "replay-trace", "zzz", code=1).stderr
