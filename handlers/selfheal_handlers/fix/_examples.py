"""A tiny service with one fault, for the examples of this phase: code, history, telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomalies, Dataset, Diagnoses, Telemetry
from selfheal.artifacts.dataset import write_tables
from selfheal.artifacts.diagnosis import Location, SuspectCommit
from selfheal.artifacts.patch import RecordedRequest
from selfheal.artifacts.telemetry import EventCounts
from selfheal.codebase.git import git
from selfheal.config import FixConfig, TestsConfig
from selfheal.repair import (
    Client,
    FileChange,
    Problem,
    SuspectChange,
    Work,
    documentation,
    propose,
    regression_test,
)
from selfheal.repair import candidates as ranked
from selfheal.standalone import FolderWorkspace
from selfheal_handlers import examples
from selfheal_handlers.fix._results import (
    CodeFixes,
    DocumentationFixes,
    FixMaterial,
    FixRequest,
    Proposals,
    TestFixes,
)

GOOD = '''\
"""Reviews of products."""

STARS = {"tea": [4, 5], "salt": []}


def average(name):
    stars = STARS[name]
    return round(sum(stars) / len(stars), 2) if stars else None


def answer(method, path):
    return 200, {"average": average(path.rpartition("/")[2])}
'''
BAD = GOOD.replace(" if stars else None", "")
CONFTEST = """\
import pytest

import app


class Reply:
    def __init__(self, status_code, json):
        self.status_code, self.json = status_code, json


class Client:
    def open(self, path, method="GET", data=None, content_type=None):
        return Reply(*app.answer(method, path))


@pytest.fixture
def client():
    return Client()
"""
TESTS = """\
def test_average(client):
    assert client.open("/reviews/tea").json == {"average": 4.5}
"""
CHANGELOG = "# Changelog\n\n## 1.0.0\n\n- First release.\n"
DIAGNOSIS, ANOMALY = "diagnosis-example", "anomaly-example"
FRAME = {"file": "app.py", "line": 8, "function": "average"}


def diagnoses(good: str, bad: str) -> Diagnoses:
    """One error with its place and the commit that brought it."""
    diagnosis = examples.diagnosis(
        id=DIAGNOSIS,
        anomaly_ids=[ANOMALY],
        service="reviews",
        operation="GET /reviews/<name>",
        title="ZeroDivisionError in average",
        reason="the traceback ends in a line that the release changed",
        locations=[Location(file="app.py", line=8, function="average", score=0.9)],
        suspect_commits=[SuspectCommit(sha=bad, score=0.9, reason="changed the line")],
        impact=examples.impact(1, 4, "1 of 4 requests"),
        good_commit=good,
        bad_commit=bad,
        evidence={
            "exception_type": "ZeroDivisionError",
            "message": "division by zero",
            "frames": [FRAME],
            "trace_ids": ["t4"],
        },
    )
    return examples.diagnoses(diagnosis)


def material(good: str = "0" * 40, bad: str = "1" * 40) -> FixMaterial:
    """What `load_diagnosis` makes of the example."""
    change = FileChange(path="app.py", path_now="app.py", before=GOOD, after=BAD)
    problem = Problem(
        diagnosis=diagnoses(good, bad).diagnoses[0],
        base_commit=bad,
        sources={"app.py": BAD, "CHANGELOG.md": CHANGELOG},
        good_sources={"app.py": GOOD},
        suspects=[SuspectChange(sha=bad, summary="Shorter", score=0.9, files=[change])],
        requests=[RecordedRequest(method="GET", path="/reviews/salt", status=500)],
        good_work=Work(calls=8, statements=0, status=200),
        bad_work=Work(calls=8, statements=0, status=500),
        client=Client(fixture="client", style="werkzeug", folder="tests"),
    )
    return FixMaterial(problems=[problem], changelog="CHANGELOG.md")


def proposed() -> dict[str, Any]:
    """What the three generating beats make of the example, by the names of the beats."""
    found = material()
    problem = found.problems[0]
    entry = documentation(problem, found.changelog, CHANGELOG)
    return {
        "load_diagnosis": found,
        "generate_code_fix": CodeFixes(edits={DIAGNOSIS: propose(problem)}),
        "generate_test_fix": TestFixes(tests={DIAGNOSIS: regression_test(problem)}),
        "generate_documentation_fix": DocumentationFixes(entries={DIAGNOSIS: entry}),
    }


def proposals(found: FixMaterial | None = None) -> Proposals:
    """The ranked candidates of the example."""
    problem = (found or material()).problems[0]
    test = regression_test(problem)
    entry = documentation(problem, "CHANGELOG.md", CHANGELOG)
    return Proposals(
        candidates=ranked(problem, propose(problem), test, entry, None, 4),
        reproducers={DIAGNOSIS: test.reproducer},
    )


@dataclass(frozen=True)
class Cycle:
    """The example as a repository and a recording."""

    loading: Mapping[str, Any]
    storing: Mapping[str, Any]


def cycle(folder: Path) -> Cycle:
    """A real repository with both releases, and telemetry of one failing request."""
    repository = folder / "repo"
    good = _commit(repository, {"app.py": GOOD, "CHANGELOG.md": CHANGELOG}, "First release")
    bad = _commit(repository, {"app.py": BAD}, "Shorter")
    workspace = FolderWorkspace(folder, repository=repository)
    requested = FixRequest(diagnosis_ids=[DIAGNOSIS], declined=[], changelog="CHANGELOG.md")
    return Cycle(
        loading={
            "generate_fix_requested": requested,
            "diagnosis": diagnoses(good, bad),
            "anomalies": _anomalies(),
            "telemetry": _telemetry(_dataset(folder)),
            "config": TestsConfig(),
            "fix": FixConfig(),
            "workspace": workspace,
        },
        storing={"validate_syntax": proposals(material(good, bad)), "workspace": workspace},
    )


def _commit(repository: Path, files: Mapping[str, str], message: str) -> str:
    if not repository.exists():
        (repository / "tests").mkdir(parents=True)
        git(repository, "init", "--quiet")
        (repository / "conftest.py").write_text("")
        (repository / "tests" / "conftest.py").write_text(CONFTEST)
        (repository / "tests" / "test_app.py").write_text(TESTS)
    for path, text in files.items():
        (repository / path).write_text(text)
    identity = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (
            ("NAME", "Example"),
            ("EMAIL", "example@localhost"),
            ("DATE", "2024-01-02T03:04:05+00:00"),
        )
    }
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", message, environment=identity)
    return git(repository, "rev-parse", "HEAD").stdout.strip()


def _anomalies() -> Anomalies:
    anomaly = examples.anomaly(
        id=ANOMALY,
        service="reviews",
        operation="GET /reviews/<name>",
        title="ZeroDivisionError",
        evidence={"trace_ids": ["t4"]},
    )
    return examples.anomalies(anomaly)


def _dataset(folder: Path) -> Dataset:
    import pyarrow as pa

    rows = [
        {
            "trace_id": f"t{number}",
            "span_id": f"s{number}",
            "service": "reviews",
            "release": "1.1",
            "operation": "GET /reviews/<name>",
            "kind": "server",
            "start_ns": number * 1_000_000,
            "duration_ms": 1.0,
            "session_id": f"visitor{number}",
            "http_method": "GET",
            "http_path": "/reviews/salt" if number == 4 else "/reviews/tea",
            "http_query": "",
            "http_status": 500 if number == 4 else 200,
            "request_body": "",
            "request_content_type": "",
        }
        for number in range(1, 5)
    ]
    return write_tables({"spans": pa.Table.from_pylist(rows)}, folder, "dataset")


def _telemetry(dataset: Dataset) -> Telemetry:
    return examples.telemetry(dataset, events=EventCounts(spans=4))
