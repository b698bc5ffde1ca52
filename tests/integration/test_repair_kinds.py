"""Slow code, a broken order and state that leaks are healed in a real repository: code, test and docs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from selfheal_handlers.fix._reproduce import Bench, reproduce_all
from selfheal_handlers.validation.apply_patch import apply_patch
from selfheal_handlers.validation.run_tests import run_tests
from selfheal_handlers.validation.validate_documentation import validate_documentation

from selfheal import config
from selfheal.artifacts import Candidate, Patch
from selfheal.artifacts.diagnosis import Diagnosis, Impact, Location
from selfheal.artifacts.model import AnomalyKind
from selfheal.artifacts.patch import RecordedRequest
from selfheal.artifacts.validation import Check
from selfheal.codebase.git import git
from selfheal.codebase.history import History
from selfheal.repair import (
    Problem,
    RegressionTest,
    candidates,
    documentation,
    propose,
    regression_test,
)
from selfheal.repair.gather import gather
from selfheal.repair.source import parse
from selfheal.sandbox.evidence import Subject, Subjects
from selfheal.sandbox.isolation import confinement
from selfheal.standalone import FolderWorkspace

CONFTEST = """\
import pytest

from kiosk import app


class Reply:
    status_code = 200

    def __init__(self, json):
        self.json = json


class Client:
    def open(self, path, method="GET", data=None, content_type=None):
        return Reply(app.answer(path))


@pytest.fixture
def client():
    return Client()
"""
TESTS = """\
def test_answers(client):
    assert client.open("/3").json
"""
STEPS = """\
def reserve(log):
    log.append("reserved")


def charge(log):
    log.append("charged")
"""
NEWEST = """\
def answer(path):
    rows = []
    for number in range(100 * int(path[1:])):
        rows.append(number)
    rows.reverse()
    return rows
"""
WAYS = """\
import functools


@functools.lru_cache(maxsize=1000)
def ways(steps):
    if steps < 2:
        return 1
    return ways(steps - 1) + ways(steps - 2)


def answer(path):
    return ways(4 * int(path[1:]))
"""
ORDER = """\
from kiosk.steps import charge, reserve


def answer(path):
    log = []
    # First the goods.
    reserve(log)
    charge(log)
    return log
"""
FLOW = """\
{
  "id": "checkout",
  "movements": [
    {"id": "all", "beats": [
      {"beat": 1, "handler": "reserve"},
      {"beat": 2, "handler": "charge"}
    ]}
  ]
}
"""
PLAYER = """\
import json
from pathlib import Path

from kiosk import steps

FILE = Path(__file__).with_name("sequence.json")


def answer(path):
    log = []
    for movement in json.loads(FILE.read_text())["movements"]:
        for beat in movement["beats"]:
            getattr(steps, beat["handler"])(log)
    return log
"""
TAGS = """\
def tagged(name, tags=()):
    return [*tags, name]


def answer(path):
    return tagged(path)
"""
APP = "kiosk/app.py"


@dataclass(frozen=True)
class Case:
    """A file as it was and as a commit left it, and what production shows of that."""

    kind: AnomalyKind
    strategy: str
    file: str
    good: str
    bad: str
    word: str
    evidence: dict[str, object] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)


SWAPPED: dict[str, object] = {"violation": "swapped", "step": "reserve", "other": "charge"}
CASES = {
    "elements of a list are moved": Case(
        "performance",
        "build_list",
        APP,
        NEWEST,
        NEWEST.replace("append(number)", "insert(0, number)").replace("    rows.reverse()\n", ""),
        "insert",
        {"slow_pattern": "list_shifting"},
    ),
    "a recursion multiplies": Case(
        "performance",
        "cache_pure",
        APP,
        WAYS,
        WAYS.replace("@functools.lru_cache(maxsize=1000)\n", "").replace(
            "import functools\n\n\n", ""
        ),
        "steps - 1",
        {"slow_pattern": "repeated_recursion"},
    ),
    "steps of a function are swapped": Case(
        "behavioral",
        "order_steps",
        APP,
        ORDER,
        ORDER.replace(
            "    # First the goods.\n    reserve(log)\n    charge(log)\n",
            "    charge(log)\n    reserve(log)\n",
        ),
        "charge(log)",
        SWAPPED,
        {"kiosk/steps.py": STEPS},
    ),
    "beats of a sequence are swapped": Case(
        "behavioral",
        "order_beats",
        "kiosk/sequence.json",
        FLOW,
        FLOW.replace("reserve", "-").replace("charge", "reserve").replace("-", "charge"),
        "charge",
        SWAPPED,
        {APP: PLAYER, "kiosk/steps.py": STEPS},
    ),
    "a default is shared by all calls": Case(
        "state",
        "fresh_default",
        APP,
        TAGS,
        TAGS.replace("tags=()", "tags=[]").replace(
            "return [*tags, name]", "tags.append(name)\n    return list(tags)"
        ),
        "append",
        {"state_patterns": [{"kind": "mutable_default"}]},
    ),
}


# One of each kind goes through the validate phase too.
PROVEN = (
    "elements of a list are moved",
    "beats of a sequence are swapped",
    "a default is shared by all calls",
)


def repository(folder: Path, case: Case) -> tuple[str, str]:
    """Two commits, the good one and the bad one."""
    files = {
        "kiosk/__init__.py": "",
        "conftest.py": "",
        "tests/conftest.py": CONFTEST,
        "tests/test_kiosk.py": TESTS,
        "CHANGELOG.md": "# Changelog\n\n## 1.0.0\n\n- First release.\n",
        **case.others,
    }
    commits = []
    identity = {
        f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")
    }
    folder.mkdir()
    git(folder, "init", "--quiet")
    for text in (case.good, case.bad):
        for path, content in {**files, case.file: text}.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(content)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "Change", environment=identity)
        commits.append(git(folder, "rev-parse", "HEAD").stdout.strip())
    return commits[0], commits[1]


def diagnosed(case: Case, good: str, bad: str) -> Diagnosis:
    line = next(n for n, each in enumerate(case.bad.splitlines(), start=1) if case.word in each)
    source = parse(case.file, case.bad) if case.file.endswith(".py") else None
    function = source.function_at(line) if source is not None else None
    return Diagnosis(
        id="diagnosis-1",
        anomaly_ids=[],
        kind=case.kind,
        service="kiosk",
        operation="GET /<number>",
        title="",
        verdict="code_cause",
        reason="",
        locations=[
            Location(
                file=case.file, line=line, function=function.name if function else "", score=0.9
            )
        ],
        suspect_commits=[],
        root_service="kiosk",
        impact=Impact(
            severity="high", affected_requests=1, all_requests=9, share=0.1, explanation=""
        ),
        complexity="low",
        recommendations=[],
        good_commit=good,
        bad_commit=bad,
        evidence=case.evidence,
    )


@pytest.mark.parametrize("name", CASES)
def test_the_repair_passes_its_own_test_and_the_unrepaired_code_does_not(
    tmp_path: Path, name: str
) -> None:
    case = CASES[name]
    good, bad = repository(tmp_path / "repo", case)
    history = History(tmp_path / "repo")
    found = gather(
        diagnosed(case, good, bad),
        history,
        tests_folder="tests",
        fixture=None,
        changelog="CHANGELOG.md",
    )
    tests = config.TestsConfig(command=[sys.executable, "-m", "pytest"])
    session = [RecordedRequest(method="GET", path="/4", status=200)]
    with ExitStack() as stack:
        bench = Bench(tmp_path / "repo", tmp_path / "work", tests, stack)
        (problem,) = reproduce_all([(found, [session])], bench, lambda _: [])
    made = regression_test(problem)
    assert made.reproducer.unavailable is None
    docs = documentation(problem, "CHANGELOG.md", problem.sources["CHANGELOG.md"])
    ranked = candidates(problem, propose(problem), made, docs, None, 8)
    best = next(each for each in ranked if each.strategy == case.strategy)
    assert {case.file, made.reproducer.test_file, "CHANGELOG.md"} <= set(best.files)
    git(tmp_path / "repo", "apply", "--check", "-", input=best.patch)
    if name not in PROVEN:
        return
    checks = validated(problem, best, made, tmp_path, tests)
    assert {each.name: each.verdict for each in checks}.items() >= {
        "regression_test": "passed",
        "suite": "passed",
        "documentation": "passed",
    }.items()
    assert not [each for each in checks if each.required and each.verdict == "failed"]


def validated(
    problem: Problem,
    candidate: Candidate,
    made: RegressionTest,
    folder: Path,
    tests: config.TestsConfig,
) -> list[Check]:
    """The checks of the validate phase's beats on one candidate."""
    subject = Subject(
        diagnosis_id=problem.diagnosis.id,
        kind=problem.diagnosis.kind,
        operation=problem.diagnosis.operation,
        anomaly_ids=[],
        candidate_ids=[candidate.id],
        bad_commit=problem.base_commit,
        test=f"{made.reproducer.test_file}::{made.reproducer.test_name}",
        sessions=[problem.requests],
    )
    given: dict[str, Any] = {
        "load_patch": Subjects(subjects=[subject], isolation=confinement()),
        "patch": Patch(candidates=[candidate], reproducers={subject.diagnosis_id: made.reproducer}),
        "tests": tests,
        "config": config.ValidateConfig(),
        "workspace": FolderWorkspace(folder, repository=folder / "repo"),
    }
    applied = apply_patch(**given)
    tested = run_tests(apply_patch=applied, **given)
    written = validate_documentation(apply_patch=applied, patch=given["patch"])
    return [
        *applied.candidates[candidate.id].checks,
        *tested.candidates[candidate.id].checks,
        *written.checks[candidate.id],
    ]
