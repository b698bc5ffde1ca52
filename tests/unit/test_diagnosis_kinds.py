"""State, dependencies and documents are led back to lines of code, manifests and documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from selfheal_handlers.diagnosis._examples import (
    anomaly,
    make_repository,
    spans_dataset,
    telemetry_of,
)
from selfheal_handlers.diagnosis.analyze_behavioral_issues import analyze_behavioral_issues
from selfheal_handlers.diagnosis.analyze_coverage_issues import analyze_coverage_issues
from selfheal_handlers.diagnosis.analyze_error_issues import analyze_error_issues

from selfheal.artifacts.model import AnomalyKind
from selfheal.artifacts.telemetry import Release
from selfheal.codebase.history import History
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis import Cause
from selfheal.diagnosis.loading import load_codebase
from selfheal.diagnosis.model import anomaly_set

Stages = Sequence[tuple[str, Mapping[str, str | None]]]

OFFERS = """def collect(item, found=None):
    found = found or []
    found.append(item)
    return found


def make_offer(item):
    return collect(item)


def other(item):
    return [item]
"""
SHARED = OFFERS.replace("found=None", "found=[]").replace("    found = found or []\n", "")
REQUIREMENTS = "# run time\nflask==3.0\nPyYAML>=6\n"
CODE = "import yaml\n\n\ndef load(text):\n    return yaml.safe_load(text)\n"
README = "# API\n\nGET /items\nGET /gone?page=2\n"
ROUTES = "from flask import app\n\n\n@app.get('/items')\ndef items():\n    return []\n"


def explain(
    tmp_path: Path,
    stages: Stages,
    kind: AnomalyKind,
    operation: str,
    evidence: dict[str, Any],
    spans: Sequence[Mapping[str, Any]] = (),
) -> tuple[Cause, list[str]]:
    """The one cause of an anomaly between the first and the last commit, and the commits."""
    commits = make_repository(tmp_path / "repository", stages)
    found = anomaly_set([anomaly(kind, operation, evidence)])
    releases = [
        Release(service="items", version=version, commit=commit, spans=0, logs=0)
        for version, commit in (("1.0", commits[0]), ("1.1", commits[-1]))
    ]
    telemetry = telemetry_of(spans_dataset(tmp_path, spans), releases)
    config = DiagnoseConfig()
    given: dict[str, Any] = {
        "load_anomalies": found,
        "load_codebase_info": load_codebase(
            History(tmp_path / "repository"), found, telemetry, config
        ),
        "telemetry": telemetry,
        "config": config,
    }
    causes = [
        *analyze_behavioral_issues(**given),
        *analyze_coverage_issues(**given),
        *analyze_error_issues(**given),
    ]
    (cause,) = causes
    return cause, commits


def test_state_is_led_to_the_shared_default_and_the_commit_that_brought_it(tmp_path: Path) -> None:
    """The step is named by its handler in camel case; what it calls keeps the state."""
    stages = [
        ("Offers", {"offers.py": OFFERS}),
        ("Word", {"offers.py": OFFERS + "\n# offers\n"}),
        ("Shorter", {"offers.py": SHARED + "\n# offers\n"}),
        ("Notes", {"README.md": "One\n"}),
    ]
    cause, commits = explain(
        tmp_path, stages, "state", "offers#makeOffer", {"key": "found", "step": "offers#makeOffer"}
    )
    assert cause.verdict == "code_cause"
    assert (cause.locations[0].function, cause.locations[0].line) == ("collect", 1)
    assert cause.evidence["state_pattern"] == "mutable_default"
    assert cause.evidence["state_patterns"][0]["name"] == "found"
    assert [item.sha for item in cause.suspect_commits][:1] == [commits[2]]


def test_state_without_a_change_of_its_code_accuses_nobody(tmp_path: Path) -> None:
    other = OFFERS.replace("return [item]", "return [item, item]")
    stages = [("Offers", {"offers.py": OFFERS}), ("Twice", {"offers.py": other})]
    cause, _ = explain(tmp_path, stages, "state", "make_offer", {"key": "x", "step": "make_offer"})
    assert cause.verdict == "no_code_cause"


def test_state_of_a_step_that_no_code_bears_lacks_data(tmp_path: Path) -> None:
    stages = [("Offers", {"offers.py": OFFERS}), ("Notes", {"README.md": "One\n"})]
    cause, _ = explain(tmp_path, stages, "state", "unheard", {"key": "x", "step": "unheard"})
    assert (cause.verdict, cause.locations) == ("insufficient_data", [])


@pytest.mark.parametrize(
    ("requirements", "line", "problem"),
    [(REQUIREMENTS, 3, "not_installed"), ("flask==3.0\n", 1, "missing")],
)
def test_a_missing_module_is_led_to_the_manifest_by_its_distribution(
    tmp_path: Path, requirements: str, line: int, problem: str
) -> None:
    stages = [
        (
            "Start",
            {"requirements.txt": requirements, "load.py": "def load(text):\n    return text\n"},
        ),
        ("Read YAML", {"load.py": CODE}),
    ]
    evidence = {
        "package": "yaml",
        "exception_type": "ModuleNotFoundError",
        "message": "No module named 'yaml'",
        "frames": [],
    }
    cause, commits = explain(tmp_path, stages, "dependency", "GET /", evidence)
    assert cause.verdict == "dependency"
    first = cause.locations[0]
    assert (first.file, first.line) == ("requirements.txt", line)
    assert (cause.locations[1].file, cause.locations[1].line) == ("load.py", 1)
    assert cause.evidence["distribution"] == "pyyaml"
    assert cause.evidence["problem"] == problem
    assert [item.sha for item in cause.suspect_commits] == [commits[1]]


def test_a_pin_that_is_not_fulfilled_is_led_to_its_line_and_commit(tmp_path: Path) -> None:
    pinned = REQUIREMENTS.replace(">=6", "==7")
    stages = [("Start", {"requirements.txt": REQUIREMENTS}), ("Pin", {"requirements.txt": pinned})]
    evidence = {
        "name": "PyYAML",
        "specifier": "==7",
        "file": "requirements.txt",
        "line": 3,
        "installed": "6.0",
    }
    cause, commits = explain(tmp_path, stages, "dependency", "items", evidence)
    assert (cause.locations[0].file, cause.locations[0].line) == ("requirements.txt", 3)
    assert (cause.evidence["problem"], cause.evidence["installed"]) == ("wrong_version", "6.0")
    assert "6.0 is installed" in cause.reason
    assert [item.sha for item in cause.suspect_commits] == [commits[1]]


def test_a_missing_module_of_the_repository_itself_is_an_error_of_its_code(tmp_path: Path) -> None:
    stages = [
        ("Start", {"shop/__init__.py": "", "shop/cart.py": "def total():\n    return 1\n"}),
        ("Use it", {"shop/cart.py": "def total():\n    from shop import gone\n    return gone\n"}),
    ]
    evidence = {
        "package": "shop",
        "exception_type": "ModuleNotFoundError",
        "message": "No module named 'shop.gone'",
        "frames": [{"file": "/srv/shop/cart.py", "line": 2, "function": "total"}],
    }
    cause, commits = explain(tmp_path, stages, "dependency", "GET /", evidence)
    assert (cause.kind, cause.verdict) == ("error", "code_cause")
    assert cause.suspect_commits[0].sha == commits[1]


def test_a_document_that_names_what_is_gone_is_the_place_to_mend(tmp_path: Path) -> None:
    stages = [("Start", {"README.md": README, "app.py": ROUTES}), ("Notes", {"notes.txt": "One\n"})]
    evidence = {
        "contradiction": "operation not shown",
        "name": "GET /gone",
        "file": "README.md",
        "line": 4,
    }
    cause, _ = explain(tmp_path, stages, "documentation", "GET /gone", evidence)
    assert cause.verdict == "code_cause"
    assert [(item.file, item.line) for item in cause.locations] == [("README.md", 4)]


def test_an_undocumented_operation_names_its_code_beside_the_document(tmp_path: Path) -> None:
    stages = [("Start", {"README.md": "# API\n"}), ("Items", {"app.py": ROUTES})]
    evidence = {
        "contradiction": "operation not documented",
        "name": "GET /items",
        "file": "README.md",
        "line": None,
    }
    cause, commits = explain(tmp_path, stages, "documentation", "GET /items", evidence)
    assert [item.file for item in cause.locations] == ["README.md", "app.py"]
    assert cause.evidence["code"] == [{"file": "app.py", "line": 5, "function": "items"}]
    assert cause.suspect_commits[0].sha == commits[1]
