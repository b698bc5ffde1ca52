"""Examples of the beats: a small real project with a fault, its fix and its telemetry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from selfheal.artifacts import Anomalies, Dataset, Diagnoses, Patch, Telemetry, Validation
from selfheal.artifacts.anomalies import DataWindow, Detector
from selfheal.artifacts.diagnosis import Location
from selfheal.artifacts.patch import RecordedRequest, Reproducer
from selfheal.artifacts.telemetry import EventCounts
from selfheal.artifacts.validation import Check
from selfheal.codebase.git import git
from selfheal.config import ServiceConfig, TestsConfig, ValidateConfig
from selfheal.repair.diff import patch_of
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.evidence import Applied, Checked, Subject, Subjects, Tested, TestedCandidate
from selfheal.sandbox.isolation import confinement
from selfheal.sandbox.plan import plan
from selfheal.sandbox.verdict import choose
from selfheal.standalone import FolderWorkspace
from selfheal.telemetry import ingest
from selfheal_handlers import examples

SERVICE = '''\
"""Prices of a tea house."""

PRICES = {"tea": 3, "coffee": 4}


def price(name):
    return PRICES[name]


def answer(path):
    return 200, price(path.rpartition("/")[2])
'''
FIXED = SERVICE.replace(
    "    return 200, price(path.rpartition", "    name = path.rpartition"
).replace(
    '"/")[2])\n', '"/")[2]\n    return (200, price(name)) if name in PRICES else (404, None)\n'
)
CONFTEST = """\
import pytest
from teahouse import answer


class Reply:
    def __init__(self, status_code):
        self.status_code = status_code


class Client:
    def open(self, path, method="GET", data=None, content_type=None):
        return Reply(answer(path)[0])


@pytest.fixture
def client():
    return Client()
"""
SUITE = """\
def test_price(client):
    assert client.open("/prices/tea").status_code == 200
"""
REGRESSION = """\
def test_unknown_price(client):
    assert client.open("/prices/cocoa").status_code < 500
"""
CHANGES = "# Changes\n\n## 1.0\n\n- First release.\n"
ENTRY = (
    "# Changes\n\n## Unreleased\n\n- An unknown drink is not found.\n\n## 1.0\n\n- First release.\n"
)
FILES = {
    "teahouse.py": SERVICE,
    "tests/conftest.py": CONFTEST,
    "tests/test_teahouse.py": SUITE,
    "CHANGELOG.md": CHANGES,
}
AFTER = {
    "teahouse.py": FIXED,
    "tests/test_unknown.py": REGRESSION,
    "CHANGELOG.md": ENTRY,
}
REQUEST = RecordedRequest(method="GET", path="/prices/cocoa", status=500)
TESTS = TestsConfig(sources=["."], client_fixture="client")


def repository(folder: Path) -> tuple[Path, str]:
    """A repository with the faulty project, and its commit."""
    path = folder / "repository"
    for name, text in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    identity = ("-c", "user.name=Example", "-c", "user.email=example@localhost")
    date = "2024-01-02T03:04:05+00:00"
    git(path, "init", "--quiet", "--template=")
    git(path, "add", "--all")
    environment = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    git(path, *identity, "commit", "--quiet", "-m", "The tea house", environment=environment)
    return path, git(path, "rev-parse", "HEAD").stdout.strip()


def workspace(folder: Path, path: Path | None = None) -> FolderWorkspace:
    return FolderWorkspace(folder, repository=path)


def patch(commit: str) -> Patch:
    """The artifact with one candidate, which heals."""
    candidate = examples.candidate(
        strategy="default_value",
        files=sorted(AFTER),
        patch=patch_of(FILES, AFTER),
        explanation="An unknown drink is answered with 404.",
        base_commit=commit,
    )
    reproducer = Reproducer(
        requests=[REQUEST], test_file="tests/test_unknown.py", test_name="test_unknown_price"
    )
    return Patch(candidates=[candidate], reproducers={"diagnosis-1": reproducer})


def diagnoses(commit: str) -> Diagnoses:
    diagnosis = examples.diagnosis(
        service="teahouse",
        operation="GET /prices/<name>",
        title="KeyError in price",
        reason="the traceback ends in price",
        locations=[Location(file="teahouse.py", line=7, function="price", score=0.9)],
        impact=examples.impact(1, 1, "all"),
        bad_commit=commit,
    )
    return examples.diagnoses(diagnosis)


def anomalies() -> Anomalies:
    anomaly = examples.anomaly(
        service="teahouse",
        operation="GET /prices/<name>",
        title="KeyError",
        detector=Detector(
            name="error_rate", parameters={}, window=DataWindow(candidate_release="1.1")
        ),
        evidence={"exception_type": "KeyError", "trace_ids": ["0af7651916cd43dd8448eb211c80319c"]},
    )
    return examples.anomalies(anomaly)


def dataset(folder: Path) -> Dataset:
    """A dataset of one recorded request."""
    attributes = {"http.request.method": "GET", "url.path": "/prices/cocoa"}
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": "GET /prices/<name>",
        "kind": 2,
        "startTimeUnixNano": "1704164645000000000",
        "endTimeUnixNano": "1704164645001000000",
        "attributes": [
            {"key": key, "value": {"stringValue": value}} for key, value in attributes.items()
        ],
    }
    file = folder / "traces.jsonl"
    file.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}) + "\n")
    return ingest([file], folder, "dataset").dataset


def telemetry(folder: Path) -> Telemetry:
    return examples.telemetry(dataset(folder), events=EventCounts(spans=1))


def subjects(commit: str) -> Subjects:
    subject = Subject(
        diagnosis_id="diagnosis-1",
        kind="error",
        operation="GET /prices/<name>",
        anomaly_ids=["anomaly-1"],
        candidate_ids=["candidate-1"],
        bad_commit=commit,
        test="tests/test_unknown.py::test_unknown_price",
        sessions=[[REQUEST]],
    )
    return Subjects(subjects=[subject], isolation=confinement())


def applied(folder: Path, path: Path, commit: str) -> Applied:
    bench = Bench(path, folder / "bench", TESTS, ValidateConfig())
    return Applied(candidates={"candidate-1": bench.apply(patch(commit).candidates[0])})


def tested() -> Tested:
    checks = [
        Check(name="regression_test", verdict="passed", summary="fails before, passes after"),
        Check(name="suite", verdict="passed", summary="2 tests pass, no new failure"),
    ]
    coverage = {"teahouse.py": {11: True, 12: True}}
    proof = TestedCandidate(candidate_id="candidate-1", checks=checks, coverage=coverage)
    return Tested(candidates={"candidate-1": proof})


def checked(*names: str) -> Checked:
    checks = [Check(name=name, verdict="passed", summary="as expected") for name in names]
    return Checked(checks={"candidate-1": checks})


def validate_requested(folder: Path) -> dict[str, Any]:
    _, commit = repository(folder)
    return {"patch": patch(commit), "diagnosis": diagnoses(commit), "config": ValidateConfig()}


def load_patch(folder: Path) -> dict[str, Any]:
    path, commit = repository(folder)
    given = {"patch": patch(commit), "diagnosis": diagnoses(commit)}
    return {
        "validate_requested": plan(given["patch"], given["diagnosis"], 8),  # type: ignore[arg-type]
        **given,
        "anomalies": anomalies(),
        "telemetry": telemetry(folder),
        "config": ValidateConfig(),
        "workspace": workspace(folder, path),
    }


def apply_patch(folder: Path) -> dict[str, Any]:
    path, commit = repository(folder)
    return {"load_patch": subjects(commit), "patch": patch(commit), **_services(folder, path)}


def run_tests(folder: Path) -> dict[str, Any]:
    path, commit = repository(folder)
    return {
        "load_patch": subjects(commit),
        "apply_patch": applied(folder, path, commit),
        "patch": patch(commit),
        **_services(folder, path),
    }


def check_coverage(folder: Path) -> dict[str, Any]:
    return {"run_tests": tested(), "config": ValidateConfig(), "workspace": workspace(folder)}


def verify_performance(folder: Path) -> dict[str, Any]:
    return {
        **run_tests(folder),
        "run_tests": tested(),
        "check_coverage": checked("changed_coverage"),
        "anomalies": anomalies(),
        "service": ServiceConfig(),
    }


def validate_documentation(folder: Path) -> dict[str, Any]:
    path, commit = repository(folder)
    return {"apply_patch": applied(folder, path, commit), "patch": patch(commit)}


def aggregate_validation_results(folder: Path) -> dict[str, Any]:
    path, commit = repository(folder)
    return {
        "load_patch": subjects(commit),
        "apply_patch": applied(folder, path, commit),
        "run_tests": tested(),
        "check_coverage": checked("changed_coverage"),
        "verify_performance": checked("detector", "speed"),
        "validate_documentation": checked("documentation"),
        "patch": patch(commit),
    }


def store_validation_results(folder: Path) -> dict[str, Any]:
    path, commit = repository(folder)
    made = applied(folder, path, commit)
    names = ("changed_coverage", "detector", "speed", "documentation")
    checks = [*made.candidates["candidate-1"].checks, *tested().candidates["candidate-1"].checks]
    checks += checked(*names).checks["candidate-1"]
    proposal = patch(commit)
    choice = choose(proposal, subjects(commit).subjects, made, {"candidate-1": checks})
    return {
        "aggregate_validation_results": choice,
        "load_patch": subjects(commit),
        "run_tests": tested(),
        "patch": proposal,
        "diagnosis": diagnoses(commit),
        "anomalies": anomalies(),
        "service": ServiceConfig(),
        **_services(folder, path),
    }


def validate_completed(_: Path) -> dict[str, Any]:
    validation = Validation(
        results=[], selected=None, reason="there is no candidate to prove", isolation=confinement()
    )
    return {"validation": validation}


def _services(folder: Path, path: Path) -> dict[str, Any]:
    return {"tests": TESTS, "config": ValidateConfig(), "workspace": workspace(folder, path)}
