"""The search of the fix phase: by failing tests, else by the test that recorded requests make."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from selfheal_handlers.fix._search import searches

from selfheal.artifacts.diagnosis import Diagnosis, Impact, Location
from selfheal.artifacts.patch import RecordedRequest
from selfheal.config import FixConfig, SearchConfig, TestsConfig
from selfheal.repair import Problem, edited, propose
from selfheal.repair.problem import Client

APP = """\
from flask import Flask, jsonify, request

app = Flask(__name__)


def lasting(events):
    return [(events[n], events[n + 1]) for n in range(len(events))]


@app.get("/lasting")
def show():
    return jsonify(lasting(request.args.get("events", "").split(",")))
"""
CONFTEST = """\
import pytest
from app import app


@pytest.fixture
def client():
    return app.test_client()
"""
SUITE = "from app import lasting\n\ndef test_nothing():\n    assert lasting([]) == []\n"
FILES = {"app.py": APP, "conftest.py": CONFTEST, "tests/test_app.py": SUITE}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    script = "git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -qm one"
    subprocess.run(["sh", "-c", script], cwd=folder, check=True)
    return folder


def problem(**evidence: str) -> Problem:
    diagnosis = Diagnosis(
        id="diagnosis",
        anomaly_ids=[],
        kind="error",
        service="s",
        operation="GET /lasting",
        title="t",
        verdict="code_cause",
        reason="",
        locations=[Location(file="app.py", line=7, function="lasting", score=0.9)],
        suspect_commits=[],
        root_service="s",
        impact=Impact(severity="low", affected_requests=0, all_requests=0, share=0, explanation=""),
        complexity="low",
        recommendations=[],
        evidence=dict(evidence),
    )
    return Problem(
        diagnosis=diagnosis,
        base_commit="HEAD",
        sources={"app.py": APP},
        requests=[RecordedRequest(method="GET", path="/lasting", query="events=a,b", status=500)],
        client=Client(fixture="client", style="werkzeug", folder="tests"),
        test_files=["tests/test_app.py"],
    )


def test_an_error_that_only_requests_show_is_searched_by_the_test_made_of_them(
    repository: Path, tmp_path: Path
) -> None:
    given = problem()
    fix = FixConfig(strategies=["search"])
    (report,) = searches([given], repository, tmp_path, TestsConfig(), fix)
    texts = [edited(edit, given.sources)["app.py"] for edit in report.plausible]

    assert APP.replace("range(len(events))", "range(len(events) - 1)") in texts
    assert not report.told.cut
    assert all(test.startswith("tests/test_selfheal_") for test in report.told.tests)
    assert not list(repository.glob("tests/test_selfheal_*"))


def test_the_search_space_is_left_alone_where_a_strategy_heals(
    repository: Path, tmp_path: Path
) -> None:
    given = problem(exception_type="IndexError", message="list index out of range")
    proposed = propose(given)
    (report,) = searches([given], repository, tmp_path, TestsConfig(), FixConfig())

    assert proposed
    assert report.plausible == []
    assert report.told.plausible
    assert report.told.proposed == len(proposed)


def test_the_search_by_requests_can_be_turned_off(repository: Path, tmp_path: Path) -> None:
    fix = FixConfig(search=SearchConfig(recorded=0))

    assert searches([problem()], repository, tmp_path, TestsConfig(), fix) == []


def test_tests_that_another_command_runs_are_searched_by_as_well(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    subprocess.run(["git", "clone", "-q", repository, tmp_path / "copy"], check=True)
    suite = "import app, unittest\n\nclass T(unittest.TestCase):\n    def test_two(self):\n"
    suite += "        self.assertEqual(app.lasting('ab'), [('a', 'b')])\n"
    (tmp_path / "copy" / "tests" / "test_lasting.py").write_text(suite)
    script = "git add . && git -c user.name=a -c user.email=a@b commit -qm two"
    subprocess.run(["sh", "-c", script], cwd=tmp_path / "copy", check=True)
    given = problem()
    evidence = {"failing_tests": ["tests/test_lasting.py::T::test_two"]}
    diagnosis = given.diagnosis.model_copy(update={"evidence": evidence})
    given = given.model_copy(update={"diagnosis": diagnosis})
    tests = TestsConfig(command=["{python}", "-m", "unittest", "discover", "tests"])
    (report,) = searches([given], tmp_path / "copy", tmp_path, tests, FixConfig())

    assert report.told.unavailable is None
    assert report.plausible
