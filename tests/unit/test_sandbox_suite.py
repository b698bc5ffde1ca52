"""A suite's verdict rests on its report, never on what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfheal import config
from selfheal.artifacts.patch import RecordedRequest
from selfheal.sandbox.suite import run_suite
from selfheal.sandbox.work import client_fixture, measure_work, measure_works

TESTS = config.TestsConfig(sources=["app"])


def project(folder: Path, test: str, app: str = "def double(x):\n    return 2 * x\n") -> Path:
    (folder / "app").mkdir()
    (folder / "app" / "__init__.py").write_text(app)
    (folder / "tests").mkdir()
    (folder / "tests" / "test_app.py").write_text(test)
    return folder


def test_every_outcome_is_reported_under_its_node_id(tmp_path: Path) -> None:
    project(
        tmp_path,
        "import pytest\n"
        "def test_good(): pass\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_each(n): assert n == 1\n"
        "class TestThing:\n    def test_inside(self): pass\n"
        "@pytest.fixture\ndef broken(): raise RuntimeError\n"
        "def test_error(broken): pass\n"
        "@pytest.mark.skip\ndef test_skipped(): pass\n",
    )
    result = run_suite(tmp_path, TESTS)
    assert result.state == "failed"
    assert result.passed == [
        "tests/test_app.py::TestThing::test_inside",
        "tests/test_app.py::test_each[1]",
        "tests/test_app.py::test_good",
    ]
    assert result.failed == ["tests/test_app.py::test_each[2]"]
    assert result.errors == ["tests/test_app.py::test_error"]
    assert result.skipped == ["tests/test_app.py::test_skipped"]
    assert result.outcome("tests/test_app.py::test_each") == "failed"
    assert result.outcome("tests/test_app.py::test_good") == "passed"
    assert result.outcome("tests/test_app.py::test_go") == "absent"


def test_a_suite_that_prints_success_and_exits_early_is_an_error(tmp_path: Path) -> None:
    project(
        tmp_path,
        "import os\ndef test_liar():\n    print('1 passed in 0.01s')\n    os._exit(0)\n",
    )
    result = run_suite(tmp_path, TESTS)
    assert result.state == "error"
    assert "no readable JUnit report" in result.note


def test_an_exit_code_that_contradicts_the_report_is_an_error(tmp_path: Path) -> None:
    project(tmp_path, "def test_bad(): assert False\n")
    (tmp_path / "conftest.py").write_text(
        "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n"
    )
    result = run_suite(tmp_path, TESTS)
    assert result.state == "error"
    assert "contradicts" in result.note


def test_a_suite_that_hangs_is_timed_out_never_passed(tmp_path: Path) -> None:
    project(tmp_path, "import time\ndef test_slow(): time.sleep(600)\n")
    result = run_suite(tmp_path, TESTS, timeout_seconds=2)
    assert (result.state, result.passed) == ("timed_out", [])


def test_a_suite_without_tests_proves_nothing(tmp_path: Path) -> None:
    project(tmp_path, "x = 1\n")
    assert run_suite(tmp_path, TESTS).state == "no_tests"


def test_a_file_that_cannot_be_collected_fails_the_suite(tmp_path: Path) -> None:
    project(tmp_path, "import no_such_module\n")
    result = run_suite(tmp_path, TESTS)
    assert result.state == "failed"
    assert result.errors


def test_a_file_that_cannot_be_collected_does_not_keep_the_others_from_running(
    tmp_path: Path,
) -> None:
    """Without it, nothing is known of a suite before a patch that mends an import."""
    project(tmp_path, "def test_good(): pass\ndef test_bad(): assert False\n")
    (tmp_path / "tests" / "test_lost.py").write_text("import no_such_module\n")
    result = run_suite(tmp_path, TESTS)
    assert result.passed == ["tests/test_app.py::test_good"]
    assert result.failed == ["tests/test_app.py::test_bad"]
    assert result.errors == ["tests/test_lost.py"]
    assert result.outcome("tests/test_lost.py") == "failed"


def test_selected_tests_alone_run(tmp_path: Path) -> None:
    project(tmp_path, "def test_one(): pass\ndef test_two(): assert False\n")
    result = run_suite(tmp_path, TESTS, select=["tests/test_app.py::test_one"])
    assert (result.state, result.passed) == ("passed", ["tests/test_app.py::test_one"])


def test_a_file_may_be_asked_to_run_first(tmp_path: Path) -> None:
    project(tmp_path, "def test_one(): pass\n")
    (tmp_path / "tests" / "test_more.py").write_text("def test_two(): pass\n")
    result = run_suite(tmp_path, TESTS, first=["tests/test_more.py"])
    assert (result.state, result.first_passed, len(result.passed)) == ("passed", True, 2)


def test_an_inherited_test_is_named_by_the_class_that_inherits_it(tmp_path: Path) -> None:
    """pytest's report names the file where it is written; a selection names the class's own."""
    project(tmp_path, "from tests import Shared\nclass TestOwn(Shared): pass\n")
    shared = "class Shared:\n    def test_shared(self): assert True\n"
    (tmp_path / "tests" / "__init__.py").write_text(shared)
    test = "tests/test_app.py::TestOwn::test_shared"
    assert run_suite(tmp_path, TESTS, select=[test]).outcome(test) == "passed"


def test_coverage_tells_lines_that_ran_from_lines_that_did_not(tmp_path: Path) -> None:
    app = "def pick(x):\n    if x:\n        return 1\n    return 2\n"
    project(tmp_path, "from app import pick\ndef test_pick(): assert pick(1) == 1\n", app)
    result = run_suite(tmp_path, TESTS, coverage=True)
    assert result.coverage == {"app/__init__.py": {1: True, 2: True, 3: True, 4: False}}


def test_coverage_of_another_form_of_command_is_unavailable_with_the_reason(
    tmp_path: Path,
) -> None:
    project(tmp_path, "def test_one(): pass\n")
    tests = config.TestsConfig(command=["{python}", "-W", "ignore", "-m", "pytest"])
    result = run_suite(tmp_path, tests, coverage=True)
    assert (result.state, result.coverage) == ("passed", None)
    assert "python -m pytest" in result.note


@pytest.mark.parametrize(("code", "state"), [("0", "passed"), ("5", "failed")])
def test_another_command_is_judged_by_its_exit_code(tmp_path: Path, code: str, state: str) -> None:
    tests = config.TestsConfig(command=["sh", "-c", f"echo all passed; exit {code}"])
    assert run_suite(tmp_path, tests).state == state


def test_nothing_is_left_in_the_checkout(tmp_path: Path) -> None:
    project(tmp_path, "from app import double\ndef test_one(): assert double(1) == 2\n")
    before = sorted(tmp_path.rglob("*"))
    run_suite(tmp_path, TESTS, coverage=True)
    assert sorted(tmp_path.rglob("*")) == before


FLASK_APP = """\
import sqlite3
from flask import Flask, request

def helper(n):
    return n + 1

def create():
    app = Flask(__name__)
    db = sqlite3.connect(":memory:", check_same_thread=False)
    db.execute("create table t (n integer)")

    @app.post("/add")
    def add():
        db.execute("insert into t values (?)", (request.json["n"],))
        return {"ok": True}

    @app.get("/sum")
    def total():
        rows = db.execute("select n from t").fetchall()
        value = sum(helper(n) for (n,) in rows)
        for _ in range(REPEAT):
            db.execute("select 1").fetchone()
        if request.args.get("bad"):
            raise KeyError("bad")
        return {"value": value}

    return app
"""
CONFTEST = """\
import pytest
from app import create

@pytest.fixture
def client():
    app = create()
    app.testing = True
    return app.test_client()
"""
ADD = RecordedRequest(
    method="POST", path="/add", body=json.dumps({"n": 4}), content_type="application/json"
)


def flask_project(folder: Path, repeat: int) -> Path:
    folder.mkdir()
    project(folder, "def test_one(): pass\n", FLASK_APP.replace("REPEAT", str(repeat)))
    (folder / "tests" / "conftest.py").write_text(CONFTEST)
    return folder


def test_work_of_a_request_is_counted_and_repeats_exactly(tmp_path: Path) -> None:
    requests = [ADD, ADD, RecordedRequest(method="GET", path="/sum")]
    few = measure_work(flask_project(tmp_path / "few", 2), TESTS, requests)
    many = measure_work(flask_project(tmp_path / "many", 50), TESTS, requests)
    again = measure_work(tmp_path / "many", TESTS, requests)
    assert few.unavailable is None
    assert (few.status, few.statements, many.statements) == (200, 3, 51)
    assert few.calls is not None
    assert many.calls == few.calls + 48 * 2
    assert many.counts == again.counts
    assert not list((tmp_path / "many" / "tests").glob("test_work*"))


def test_an_exception_that_leaves_the_client_is_named(tmp_path: Path) -> None:
    requests = [RecordedRequest(method="GET", path="/sum", query="bad=1")]
    work = measure_work(flask_project(tmp_path / "p", 1), TESTS, requests)
    assert (work.status, work.exception) == (None, "KeyError")


def test_work_without_a_client_fixture_is_unavailable_with_the_reason(tmp_path: Path) -> None:
    project(tmp_path, "def test_one(): pass\n")
    work = measure_work(tmp_path, TESTS, [RecordedRequest(method="GET", path="/")])
    assert work.calls is None
    assert "no client fixture" in (work.unavailable or "")


def test_the_likeliest_client_fixture_is_found(tmp_path: Path) -> None:
    flask_project(tmp_path / "p", 1)
    assert client_fixture(tmp_path / "p", TESTS) == "client"
    assert client_fixture(tmp_path / "p", config.TestsConfig(client_fixture="browser")) == "browser"


def test_sessions_measured_together_see_nothing_of_each_other(tmp_path: Path) -> None:
    """State of the process, not only of the fixture, is fresh for each session."""
    folder = flask_project(tmp_path / "p", 1)
    text = (folder / "app" / "__init__.py").read_text()
    route = '    @app.get("/seen")\n    def seen():\n        SEEN.append(1)\n        return SEEN\n'
    text = "SEEN = []\n" + text.replace("    return app", f"{route}    return app")
    (folder / "app" / "__init__.py").write_text(text)
    seen = [RecordedRequest(method="GET", path="/seen")]
    total = [ADD, RecordedRequest(method="GET", path="/sum")]
    alone = [measure_works(folder, TESTS, [each])[0] for each in (seen, total)]
    together = measure_works(folder, TESTS, [seen, [], total, seen])
    assert [alone[0], alone[1], alone[0]] == [together[0], together[2], together[3]]
    assert alone[0].document == [1]
    assert together[1].unavailable == "no recorded request"


def test_a_session_that_hangs_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    folder = flask_project(tmp_path / "p", 1)
    text = (folder / "app" / "__init__.py").read_text()
    route = '    @app.get("/hang")\n    def hang():\n        while True: pass\n'
    (folder / "app" / "__init__.py").write_text(
        text.replace("    return app", f"{route}    return app")
    )
    good, hanging = ([RecordedRequest(method="GET", path=path)] for path in ("/sum", "/hang"))
    first, stuck = measure_works(folder, TESTS, [good, hanging], timeout_seconds=3)
    assert first.status == 200
    assert stuck.unavailable == "the request was not answered in time"


def test_the_test_asked_for_runs_first_and_then_the_suite(tmp_path: Path) -> None:
    order = "import app\nlog = []\n"
    order += "def test_one(): log.append(1); assert log == [2, 1]\n"
    order += "def test_two(): log.append(2)\n"
    project(tmp_path, order)
    result = run_suite(tmp_path, TESTS, first=["tests/test_app.py::test_two"], coverage=True)
    assert (result.state, len(result.passed), result.first_passed) == ("passed", 2, True)


@pytest.mark.parametrize("body", ["assert False", "import pytest; pytest.skip('no')"])
def test_unless_the_first_test_passes_no_other_runs(tmp_path: Path, body: str) -> None:
    project(tmp_path, f"def test_one(): pass\ndef test_two(): {body}\n")
    result = run_suite(tmp_path, TESTS, first=["tests/test_app.py::test_two"])
    assert (result.passed, result.first_passed) == ([], False)
    assert result.state != "passed"


def test_a_suite_that_dies_after_its_first_test_says_that_this_one_passed(tmp_path: Path) -> None:
    project(tmp_path, "def test_one(): import os; os._exit(0)\ndef test_two(): pass\n")
    result = run_suite(tmp_path, TESTS, first=["tests/test_app.py::test_two"])
    assert (result.state, result.first_passed) == ("error", True)
