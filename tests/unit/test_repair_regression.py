"""Regression tests fail on the sick code and pass on the healed: run by real pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from repair_problems import problem_of

from selfheal.artifacts.patch import RecordedRequest
from selfheal.repair import Client, Problem, Work, regression_test
from selfheal.repair.client import find_client
from selfheal.repair.problem import FailingTest
from selfheal.repair.recorded import ObservedCall, RecordedBehaviour
from selfheal.repair.work_budget import budgets

CONFTEST = """
import logging
import sqlite3
import pytest

MODE = "{mode}"


class Reply:
    def __init__(self, status):
        self.status_code = status


class Client:
    def __init__(self):
        self.db = sqlite3.connect(":memory:")
        self.carts = 0

    def open(self, path, method="GET", data=None, content_type=None):
        if method == "POST":
            assert data == '{{"note": "ä\\\\n"}}' and content_type == "application/json"
            self.carts += 1
            return Reply(201)
        if MODE == "fails" and self.carts:
            return Reply(500)
        if MODE == "raises":
            raise KeyError("x")
        if MODE == "logs":
            try:
                raise KeyError("x")
            except KeyError:
                logging.getLogger("app").exception("handled")
        for _ in range(40 if MODE == "slow" else 2):
            self.db.execute("SELECT 1")
        return Reply(200)


@pytest.fixture
def client():
    return Client()
"""
GET = RecordedRequest(method="GET", path="/carts/1", query="a=b", status=500)
POST = RecordedRequest(
    method="POST", path="/carts", body='{"note": "ä\\n"}', content_type="application/json"
)


def problem(kind: str = "error", **changes: object) -> Problem:
    evidence = {"exception_type": "KeyError", "message": "'x\"'"} if kind == "error" else {}
    base = problem_of("def f():\n    return 1\n", 2, evidence, kind=kind)
    client = Client(fixture="client", style="werkzeug", folder="tests")
    defaults = {"requests": [POST, GET], "client": client, "good_work": Work(calls=10, status=200)}
    return base.model_copy(update={**defaults, **changes})


def outcome(folder: Path, text: str | None, mode: str) -> int:
    (folder / "conftest.py").write_text(CONFTEST.format(mode=mode))
    assert text is not None
    (folder / "test_made.py").write_text(text)
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_made.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


@pytest.mark.parametrize(("mode", "code"), [("fails", 1), ("raises", 1), ("well", 0)])
def test_error_test_fails_before_and_passes_after(tmp_path: Path, mode: str, code: int):
    made = regression_test(problem())
    assert made.reproducer.unavailable is None
    assert made.reproducer.test_name in (made.text or "")
    assert outcome(tmp_path, made.text, mode) == code


@pytest.mark.parametrize(("mode", "code"), [("logs", 1), ("well", 0)])
def test_an_error_that_is_handled_must_not_be_logged(tmp_path: Path, mode: str, code: int):
    handled = GET.model_copy(update={"status": 200})
    made = regression_test(problem(requests=[handled]))
    assert outcome(tmp_path, made.text, mode) == code


@pytest.mark.parametrize(("mode", "code"), [("slow", 1), ("well", 0)])
def test_slow_test_counts_statements(tmp_path: Path, mode: str, code: int):
    slow = problem(
        "performance",
        good_work=Work(calls=10, statements=2, status=200),
        bad_work=Work(calls=90, statements=40, status=200),
    )
    made = regression_test(slow)
    assert outcome(tmp_path, made.text, mode) == code


def test_budget_is_between_good_and_bad():
    slow = problem(
        "performance",
        good_work=Work(calls=1000, statements=3),
        bad_work=Work(calls=1100, statements=60),
    )
    assert budgets(slow) == {"statements": 6}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"requests": []}, "no recorded request"),
        ({"client": None}, "client_fixture"),
        ({"no_requests": "they do not fail"}, "they do not fail"),
    ],
)
def test_what_cannot_be_tested_says_why(changes: dict[str, object], words: str):
    made = regression_test(problem(**changes))
    assert made.text is None
    assert words in (made.reproducer.unavailable or "")


def test_lines_and_elements_count_where_calls_say_nothing():
    good = Work(calls=10, lines=100, elements=50)
    slow = problem("performance", good_work=good, bad_work=Work(calls=11, lines=900, elements=51))
    assert budgets(slow) == {"lines": 200}
    assert "900 executed lines" in (regression_test(slow).text or "")
    moved = problem("performance", good_work=good, bad_work=Work(calls=11, lines=99, elements=5000))
    assert budgets(moved) == {"elements": 100}


@pytest.mark.parametrize(("mode", "code"), [("slow", 1), ("well", 0)])
def test_slow_test_counts_lines(tmp_path: Path, mode: str, code: int):
    bad = Work(calls=90, lines=400, elements=5000, status=200)
    slow = problem(
        "performance", good_work=Work(calls=90, lines=20, elements=60, status=200), bad_work=bad
    )
    made = regression_test(slow)
    assert outcome(tmp_path, made.text, mode) == code


def test_slowness_without_counts_is_unavailable():
    slow = problem("performance", good_work=Work(calls=10), bad_work=Work(calls=11))
    assert "does not show" in (regression_test(slow).reproducer.unavailable or "")


def test_calls_that_raise_are_the_test_of_an_error_that_only_logs_show(tmp_path: Path):
    call = ObservedCall(args='[{"x":null}]', kwargs="{}", exception="builtins:AttributeError")
    behaviour = RecordedBehaviour(module="app", function="size", calls=[call])
    evidence = {
        "exception_type": "AttributeError",
        "frames": [{"file": "app.py", "line": 2, "function": "size"}],
    }
    base = problem(requests=[], client=None, recorded=behaviour)
    diagnosis = base.diagnosis.model_copy(update={"evidence": evidence})
    made = regression_test(base.model_copy(update={"diagnosis": diagnosis}))
    assert "which answer is right" in (made.reproducer.untold or "")
    assert "Production saw AttributeError at app.py:2." in (made.text or "")
    (tmp_path / "app.py").write_text("def size(order):\n    return order['x'].strip()\n")
    assert outcome(tmp_path, made.text, "well") == 1
    (tmp_path / "app.py").write_text("def size(order):\n    return str(order['x'])\n")
    assert outcome(tmp_path, made.text, "well") == 0


def test_a_failing_test_of_the_suite_is_the_reproducer():
    made = regression_test(problem(failing_test=FailingTest(file="tests/t.py", name="test_a")))
    assert made.text is None
    assert (made.reproducer.test_file, made.reproducer.test_name) == ("tests/t.py", "test_a")


def test_the_file_name_is_not_taken_twice():
    first = regression_test(problem()).reproducer.test_file
    second = regression_test(problem(test_files=[first])).reproducer.test_file
    assert first != second


@pytest.mark.parametrize(
    ("text", "fixture", "style"),
    [
        ("def client(app):\n    return app.test_client()\n", "client", "werkzeug"),
        ("def api_client():\n    return TestClient(app)\n", "api_client", "httpx"),
        (
            "def client():\n    from django.test import Client\n    return Client()\n",
            "client",
            "django",
        ),
    ],
)
def test_the_client_fixture_is_found_with_its_style(text: str, fixture: str, style: str):
    found = find_client({"tests/conftest.py": f"@pytest.fixture\n{text}"}, None, "tests")
    assert found == Client(fixture=fixture, style=style, folder="tests")


def test_no_fixture_is_none():
    assert find_client({"conftest.py": "def client(): ..."}, None, "tests") is None
