"""State that outlived a call does so no more; what is meant to be shared is left alone."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from repair_problems import PATH, problem_of

from selfheal.artifacts.patch import RecordedRequest
from selfheal.codebase.state_patterns import find_state_patterns
from selfheal.repair import STRATEGIES, Client, edited, regression_test

BY_NAME = {strategy.name: strategy for strategy in STRATEGIES}
OF_STATE = [strategy for strategy in STRATEGIES if "state" in strategy.kinds and strategy.examples]

SHAPES = {
    "mutable_default": "def f(x, seen=[]):\n    seen.append(x)\n    return seen\n",
    "shared_class_attribute": "class C:\n    rows = []\n    def f(self, x):\n        self.rows.append(x)\n",
    "module_global": "N = 0\ndef f():\n    global N\n    N += 1\n    return N\n",
    "argument_changed": "def f(rows):\n    rows.sort()\n    return rows[0]\n",
    "missing_copy": "D = {}\ndef f(x):\n    d = D\n    d['x'] = x\n    return d\n",
    "growing_cache": "C = {}\ndef f(x):\n    if x not in C:\n        C[x] = x * 2\n    return C[x]\n",
    "unclosed_resource": "def f(path):\n    file = open(path)\n    return file.read()\n",
    "listener_kept": "def f(bus, job):\n    bus.subscribe(job.note)\n    return job.run()\n",
    "setting_kept": "import os\ndef f(path):\n    os.chdir(path)\n    return os.listdir()\n",
}
HARMLESS = [
    "def f(x, seen=()):\n    return [*seen, x]\n",
    "def f(x, names=[]):\n    return x in names\n",
    "class C:\n    rows = []\n    def __init__(self):\n        self.rows = []\n"
    "    def f(self, x):\n        self.rows.append(x)\n",
    "N = 0\ndef f():\n    N = 1\n    return N\n",
    "def f(rows):\n    rows = sorted(rows)\n    rows.append(1)\n    return rows\n",
    "D = {}\ndef f(x):\n    d = dict(D)\n    d['x'] = x\n    return d\n",
    "C = {}\ndef f(x):\n    if x not in C:\n        if len(C) > 9:\n            C.clear()\n"
    "        C[x] = x\n    return C[x]\n",
    "def f(path):\n    with open(path) as file:\n        return file.read()\n",
    "def f(path):\n    return open(path)\n",
    "def f(bus, job):\n    bus.subscribe(job.note)\n    bus.unsubscribe(job.note)\n",
    "import os\ndef f(path):\n    before = os.getcwd()\n    os.chdir(path)\n    try:\n"
    "        return os.listdir()\n    finally:\n        os.chdir(before)\n",
]


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_a_shape_that_keeps_state_is_named(kind: str) -> None:
    assert kind in {each.kind for each in find_state_patterns(SHAPES[kind])}


@pytest.mark.parametrize("text", HARMLESS)
def test_a_shape_that_keeps_none_is_left_alone(text: str) -> None:
    assert find_state_patterns(text) == []


def test_only_the_function_asked_for_is_looked_at() -> None:
    text = SHAPES["mutable_default"] + SHAPES["module_global"].replace("def f", "def g")
    assert {each.kind for each in find_state_patterns(text, "g")} == {"module_global"}
    assert find_state_patterns("def f(:", "f") == []


def best(strategy: str, text: str, word: str) -> str:
    line = next(n for n, each in enumerate(text.splitlines(), start=1) if word in each)
    problem = problem_of(text, line, {}, kind="state")
    edits = sorted(BY_NAME[strategy].propose(problem), key=lambda each: -each.fit)
    return edited(edits[0], problem.sources)[PATH] or ""


def loaded(text: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "app"}
    exec(compile(text, PATH, "exec"), space)
    return space


def twice(text: str, call: Callable[[dict[str, Any]], Any]) -> bool:
    """Whether a second call finds things as the first did."""
    space = loaded(text)
    first = repr(call(space))
    return repr(call(space)) == first


CART = "class Cart:\n    lines = []\n\n    def add(self, line):\n        self.lines.append(line)\n        return self.lines\n"
LENT = [3, 1, 2]
LEAKS: list[tuple[str, str, str, Callable[[dict[str, Any]], Any]]] = [
    ("fresh_default", SHAPES["mutable_default"], "append", lambda space: space["f"](1)),
    ("instance_attribute", CART, "append", lambda space: space["Cart"]().add(1)),
    ("local_state", SHAPES["module_global"], "+=", lambda space: space["f"]()),
    (
        "copy_before_change",
        "OWN = {'n': 0}\ndef f():\n    found = OWN\n    found['n'] += 1\n    return dict(found)\n",
        "+=",
        lambda space: space["f"](),
    ),
    (
        "copy_before_change",
        "ROWS = [3, 1, 2]\ndef f(rows):\n    first = rows[0]\n    rows.sort()\n    return first, rows[0]\n",
        "sort",
        lambda space: space["f"](space["ROWS"]),
    ),
    (
        "copy_before_change",
        "class Queue:\n    def __init__(self, jobs):\n        self.jobs = jobs\n\n"
        "    def take(self):\n        return self.jobs.pop()\n\n\nJOBS = [1, 2, 3]\n",
        "= jobs",
        lambda space: space["Queue"](space["JOBS"]).take(),
    ),
]


@pytest.mark.parametrize(("strategy", "text", "word", "call"), LEAKS)
def test_a_second_call_finds_things_as_the_first_did(
    strategy: str, text: str, word: str, call: Callable[[dict[str, Any]], Any]
) -> None:
    assert not twice(text, call)
    assert twice(best(strategy, text, word), call)


def test_a_file_is_closed_where_the_function_fails(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    text = "def f(path):\n    file = open(path)\n    n = int(file.read())\n    file.close()\n    return n\n"

    def complaints(code: str) -> list[str]:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always", ResourceWarning)
            with contextlib.suppress(ValueError):
                loaded(code)["f"](str(tmp_path / "a.txt"))
        return [each.category.__name__ for each in seen]

    assert complaints(text) == ["ResourceWarning"]
    assert complaints(best("close_resource", text, "open")) == []


def test_a_setting_is_put_back_where_the_function_fails(tmp_path: Path) -> None:
    text = SHAPES["setting_kept"].replace("os.listdir()", "int('x')")
    here = Path.cwd()
    try:
        with pytest.raises(ValueError, match="invalid literal"):
            loaded(best("restore_setting", text, "chdir"))["f"](str(tmp_path))
        assert Path.cwd() == here
    finally:
        os.chdir(here)


def test_a_cache_keeps_what_it_answers_and_stays_within_its_bound() -> None:
    space = loaded(best("bound_cache", SHAPES["growing_cache"], "C[x] ="))
    assert [space["f"](n) for n in range(3000)] == [n * 2 for n in range(3000)]
    assert len(space["C"]) == 1024


def test_requests_side_by_side_have_values_of_their_own() -> None:
    import contextvars

    text = next(
        each.before for each in BY_NAME["local_state"].examples if "USER = None" in each.before
    )
    space = loaded(best("local_state", text, "USER = request"))

    class Request:
        def __init__(self, user: str | None) -> None:
            self.user = user

    one, other = contextvars.Context(), contextvars.Context()
    assert one.run(space["handle"], Request("ann")) == "ann"
    assert other.run(space["handle"], Request(None)) is None


REFUSED = [
    # Called for the change itself; a class that declares; one that is named as shared.
    ("copy_before_change", "def f(rows, x):\n    rows.append(x)\n", "append"),
    ("instance_attribute", "from dataclasses import dataclass\n@dataclass\n" + CART, "append"),
    ("instance_attribute", CART + "\nCart.lines.clear()\n", "append"),
    (
        "instance_attribute",
        CART + "\n\nclass Big(Cart):\n    def __init__(self):\n        self.size = 1\n",
        "append",
    ),
    # A reader that is used after the file would be closed.
    (
        "close_resource",
        "import csv\ndef f(path):\n    file = open(path)\n    return csv.reader(file)\n",
        "open",
    ),
    # Nobody knows how this listener is removed.
    ("remove_listener", SHAPES["listener_kept"], "subscribe"),
    # A register for others; a default that knows a value of the time of definition.
    ("local_state", "KNOWN = {}\ndef f(name, x):\n    KNOWN[name] = x\n", "KNOWN[name]"),
    ("fresh_default", "def f(x, n=1):\n    def g(m=[n]):\n        m[0] += x\n    return g\n", "+="),
    ("fresh_default", "def f(x, seen=[]): seen.append(x); return seen\n", "seen"),
]


@pytest.mark.parametrize(("strategy", "text", "word"), REFUSED)
def test_what_might_be_meant_is_left_alone(strategy: str, text: str, word: str) -> None:
    line = next(n for n, each in enumerate(text.splitlines(), start=1) if word in each)
    assert list(BY_NAME[strategy].propose(problem_of(text, line, {}, kind="state"))) == []


STYLED = [
    pytest.param(strategy, example, newline, above, id=f"{strategy.name}-{number}-{newline!r}")
    for strategy in OF_STATE
    for number, example in enumerate(strategy.examples)
    for newline, above in (("\r\n", "# größer ✓\n"),)
]


@pytest.mark.parametrize(("strategy", "example", "newline", "above"), STYLED)
def test_what_is_not_edited_stays_to_the_byte(
    strategy: Any, example: Any, newline: str, above: str
) -> None:
    text = (above + example.before).replace("\n", newline)
    problem = problem_of(text, example.line + 1, example.evidence, kind="state")
    problem = problem.model_copy(update={"learned": list(example.learned)})
    made = [edited(edit, problem.sources)[PATH] for edit in strategy.propose(problem)]
    assert (above + example.after).replace("\n", newline) in made


APP = """\
SEEN = []
OPTIONS = {"size": 1}


class Reply:
    def __init__(self, json):
        self.status_code, self.json = 200, json


def page(name, tags=[]):
    tags.append(name)
    return Reply({"tags": list(tags)})
"""
CONFTEST = """\
import app
import pytest


class Client:
    def open(self, path, method="GET", data=None, content_type=None):
        return app.page(path)


@pytest.fixture
def client():
    return Client()
"""


def test_the_made_test_fails_before_and_passes_after(tmp_path: Path) -> None:
    problem = problem_of(APP, 11, {}, kind="state").model_copy(
        update={
            "requests": [RecordedRequest(method="GET", path="/a", status=200)],
            "client": Client(fixture="client", style="werkzeug", folder=""),
        }
    )
    made = regression_test(problem)
    assert made.reproducer.test_name == "test_get_a_leaves_nothing_behind"
    (edit, *_) = BY_NAME["fresh_default"].propose(problem)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_made.py").write_text(made.text or "")
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_made.py"]
    for text, code in ((APP, 1), (edited(edit, problem.sources)[PATH] or "", 0)):
        (tmp_path / "app.py").write_text(text)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout
