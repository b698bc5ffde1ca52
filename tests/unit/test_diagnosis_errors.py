"""Errors are traced to the guilty commit on real repositories, and innocent ones are spared."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from selfheal_handlers.diagnosis._examples import (
    anomaly,
    make_repository,
    spans_dataset,
    telemetry_of,
)

from selfheal.artifacts.anomalies import DataWindow
from selfheal.artifacts.telemetry import Release
from selfheal.codebase.history import History
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis import Cause
from selfheal.diagnosis.errors import explain_error
from selfheal.diagnosis.loading import load_codebase
from selfheal.diagnosis.model import anomaly_set
from selfheal.diagnosis.traffic import earlier_failures

SHOP = """RATES = {"EUR": 1.0, "USD": 1.1}


def find(rows, id):
    for row in rows:
        if row["id"] == id:
            return row
    return {"id": id, "price": 0, "stars": []}


def label(row):
    return f"no. {row['id']}"


def price(rows, id, currency="EUR"):
    row = find(rows, id)
    if not row.get("stars"):
        return 0
    average = sum(row["stars"]) / len(row["stars"])
    return row["price"] * RATES.get(currency, 1.0) * average


def handle(rows, request):
    return price(rows, int(request.get("id", 1)), request.get("currency", "EUR"))
"""
DECOY = SHOP.replace("no. {", "number {")
ROWS = [{"id": 1, "price": 5, "stars": [4]}, {"id": 2, "price": 5, "stars": []}]


@dataclass(frozen=True)
class Case:
    """One guilty edit of the shop, the request that it breaks, and where it then breaks."""

    old: str
    new: str
    request: Mapping[str, Any]
    function: str
    expression: str
    words: str


CASES = {
    "default removed": Case(
        "RATES.get(currency, 1.0)",
        "RATES[currency]",
        {"currency": "CHF"},
        "price",
        "RATES[currency]",
        "introduces",
    ),
    "guard removed": Case(
        '    if not row.get("stars"):\n        return 0\n',
        "",
        {"id": 2},
        "price",
        "sum(row['stars']) / len(row['stars'])",
        "removes the test",
    ),
    "result of a callee changed": Case(
        '    return {"id": id, "price": 0, "stars": []}\n',
        "    return None\n",
        {"id": 9},
        "price",
        "row.get",
        "whose result reaches",
    ),
    "argument of the caller changed": Case(
        'request.get("currency", "EUR"))',
        'request.get("currency", []))',
        {},
        "price",
        "RATES.get(currency, 1.0)",
        "passes to price",
    ),
    "value of the module changed": Case(
        'RATES = {"EUR": 1.0, "USD": 1.1}',
        'RATES = {"EUR": None, "USD": 1.1}',
        {},
        "price",
        "row['price'] * RATES.get(currency, 1.0)",
        "changes RATES",
    ),
}


def failure(text: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run the shop for real and take its traceback as telemetry would."""
    names: dict[str, Any] = {}
    exec(compile(text, "/srv/app/shop/core.py", "exec"), names)
    try:
        names["handle"](ROWS, request)
    except Exception as error:
        return {
            "exception_type": type(error).__name__,
            "message": str(error),
            "frames": frames(error.__traceback__),
            "fingerprint": "f1",
            "trace_ids": ["bad"],
        }
    raise AssertionError("the request was meant to fail")


def frames(found: TracebackType | None) -> list[dict[str, Any]]:
    return [
        {"file": frame.filename, "line": frame.lineno, "function": frame.name}
        for frame in traceback.extract_tb(found)
        if frame.filename.startswith("/srv")
    ]


def diagnose(
    base: Path,
    stages: list[tuple[str, dict[str, str | None]]],
    evidence: Mapping[str, Any],
    *,
    good: int = 0,
    paths: tuple[str, str] = ("/a", "/a"),
) -> tuple[Cause, list[str]]:
    """Diagnose between the commit `good` and the last; `paths` were asked of either release."""
    commits = make_repository(base / "repo", stages)
    history = History(base / "repo")
    releases = [
        Release(service="items", version=version, commit=sha, spans=1, logs=0)
        for version, sha in (("1.0", commits[good]), ("1.1", commits[-1]))
    ]
    entries = [
        {"service": "items", "kind": "server", "operation": "GET /a", "duration_ms": 1.0,
         "release": version, "trace_id": trace, "span_id": "s", "http_path": path, "status": status}
        for version, trace, path, status in (
            ("1.0", "good", paths[0], "ok"), ("1.1", "bad", paths[1], "error"),
        )
    ]  # fmt: skip
    dataset = spans_dataset(base, entries)
    found = anomaly("error", "GET /a", dict(evidence))
    telemetry = telemetry_of(dataset, releases)
    code = load_codebase(history, anomaly_set([found]), telemetry, DiagnoseConfig())
    return explain_error(found, code.range_of(found), dataset, DiagnoseConfig()), commits


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_guilty_commit_leads_among_decoys_in_the_same_file(tmp_path: Path, case: Case) -> None:
    bad = SHOP.replace(case.old, case.new)
    assert bad != SHOP
    later = "# Copyright\n# of the shop\n\n" + bad.replace("no. {", "number {")
    renamed = later.replace("average", "mean").replace(
        "def handle(rows, request):", 'def handle(rows, request):\n    """Answer."""'
    )
    cause, commits = diagnose(
        tmp_path,
        [
            ("First", {"shop/core.py": SHOP, "README.md": "x"}),
            ("Docs", {"README.md": "price"}),
            ("Guilty", {"shop/core.py": bad}),
            ("Decoy with a line shift", {"shop/core.py": later}),
            ("Decoy of looks", {"shop/core.py": renamed}),
        ],
        failure(renamed, case.request),
    )
    assert cause.verdict == "code_cause"
    assert cause.suspect_commits[0].sha == commits[2], cause.suspect_commits
    assert case.words in cause.suspect_commits[0].reason
    assert all(suspect.score < 0.4 for suspect in cause.suspect_commits[1:])
    assert (cause.locations[0].file, cause.locations[0].function) == ("shop/core.py", case.function)
    assert cause.evidence["expression"] == case.expression.replace("average", "mean")


def test_a_function_renamed_after_the_guilty_commit_is_followed(tmp_path: Path) -> None:
    case = CASES["default removed"]
    bad = SHOP.replace(case.old, case.new)
    moved = bad.replace("price(", "price_of(")
    cause, commits = diagnose(
        tmp_path,
        [
            ("First", {"shop/core.py": SHOP}),
            ("Guilty", {"shop/core.py": bad}),
            ("Rename", {"shop/core.py": moved}),
            ("Move", {"shop/core.py": None, "src/shop/core.py": moved}),
        ],
        failure(moved, case.request),
    )
    assert cause.suspect_commits[0].sha == commits[1], cause.suspect_commits
    assert cause.locations[0].file == "src/shop/core.py"


def test_an_old_fault_that_meets_new_requests_accuses_nobody(tmp_path: Path) -> None:
    bad = SHOP.replace("RATES.get(currency, 1.0)", "RATES[currency]")
    cause, _ = diagnose(
        tmp_path,
        [
            ("Fault", {"shop/core.py": bad}),
            ("Release 1.0", {"README.md": "x"}),
            ("Decoy", {"shop/core.py": bad.replace("no. {", "number {")}),
        ],
        failure(bad, {"currency": "CHF"}),
        good=1,
        paths=("/a", "/a?currency=CHF"),
    )
    assert cause.verdict == "traffic_mix"
    assert "met new inputs" in cause.reason
    assert cause.locations[0].function == "price"


def test_the_same_requests_that_worked_before_point_to_data_or_environment(tmp_path: Path) -> None:
    bad = SHOP.replace("RATES.get(currency, 1.0)", "RATES[currency]")
    cause, _ = diagnose(
        tmp_path,
        [("Fault", {"shop/core.py": bad}), ("Docs", {"README.md": "y"})],
        failure(bad, {"currency": "CHF"}),
    )
    assert cause.verdict == "no_code_cause"
    assert "same inputs" in cause.reason


def test_a_commit_that_the_project_ignores_in_blame_is_not_accused(tmp_path: Path) -> None:
    case = CASES["default removed"]
    bad = SHOP.replace(case.old, case.new)
    commits = make_repository(
        tmp_path / "probe", [("First", {"shop/core.py": SHOP}), ("Guilty", {"shop/core.py": bad})]
    )
    cause, made = diagnose(
        tmp_path,
        [
            ("First", {"shop/core.py": SHOP}),
            ("Guilty", {"shop/core.py": bad}),
            ("Ignore", {".git-blame-ignore-revs": f"{commits[1]}\n"}),
        ],
        failure(bad, case.request),
    )
    assert made[1] == commits[1]
    assert cause.verdict != "code_cause"
    assert cause.suspect_commits == []


def test_vendored_code_is_never_accused(tmp_path: Path) -> None:
    case = CASES["default removed"]
    bad = SHOP.replace(case.old, case.new)
    evidence = failure(bad, case.request)
    for frame in evidence["frames"]:
        frame["file"] = "/srv/app/vendor/core.py"
    cause, _ = diagnose(
        tmp_path,
        [("First", {"vendor/core.py": SHOP}), ("Guilty", {"vendor/core.py": bad})],
        evidence,
    )
    assert cause.verdict == "insufficient_data"
    assert cause.locations == []
    assert "no frame" in cause.reason


def test_a_library_whose_version_changed_is_a_dependency_cause(tmp_path: Path) -> None:
    evidence = {
        "exception_type": "TypeError",
        "message": "unexpected keyword",
        "frames": [
            {"file": "/srv/app/shop/core.py", "line": 24, "function": "handle"},
            {
                "file": "/venv/lib/python3.11/site-packages/money/core.py",
                "line": 9,
                "function": "of",
            },
        ],
    }
    cause, commits = diagnose(
        tmp_path,
        [
            ("First", {"shop/core.py": SHOP, "requirements.txt": "money==1\nother==1\n"}),
            ("Other", {"requirements.txt": "money==1\nother==2\n"}),
            ("Pin", {"requirements.txt": "money==2\nother==2\n"}),
        ],
        evidence,
    )
    assert cause.verdict == "dependency"
    assert [suspect.sha for suspect in cause.suspect_commits] == [commits[2]]
    assert cause.locations[0].function == "handle"


def test_an_unknown_release_is_insufficient_data_that_says_what_is_needed(tmp_path: Path) -> None:
    make_repository(tmp_path / "repo", [("First", {"shop/core.py": SHOP})])
    found = anomaly(
        "error",
        "GET /a",
        failure(SHOP.replace("RATES.get(currency, 1.0)", "RATES[currency]"), {"currency": "CHF"}),
    )
    dataset = spans_dataset(tmp_path, [])
    code = load_codebase(
        History(tmp_path / "repo"),
        anomaly_set([found]),
        telemetry_of(dataset, []),
        DiagnoseConfig(),
    )
    cause = explain_error(found, code.range_of(found), dataset, DiagnoseConfig())
    assert cause.verdict == "insufficient_data"
    assert "tag v1.1" in cause.reason
    none = load_codebase(None, anomaly_set([found]), telemetry_of(dataset, []), DiagnoseConfig())
    cause = explain_error(found, none.range_of(found), dataset, DiagnoseConfig())
    assert (cause.verdict, cause.reason) == ("insufficient_data", "no repository was given.")


def test_an_error_after_another_one_in_its_session_follows_from_that(tmp_path: Path) -> None:
    entry = {"service": "items", "kind": "server", "release": "1.1", "span_id": "s"}
    spans = [
        {**entry, "trace_id": f"{name}{n}", "session_id": f"{session}{n}", "start_ns": start}
        for n in range(5)
        for name, session, start in (("first", "a", 1), ("then", "a", 2), ("alone", "b", 2))
    ]
    errors = [{"trace_id": f"first{n}", "release": "1.1", "fingerprint": "root"} for n in range(5)]
    dataset = spans_dataset(tmp_path, spans, errors)
    follows = [f"then{n}" for n in range(5)]
    assert earlier_failures(dataset, follows, "own") == ["root"]
    assert earlier_failures(dataset, follows, "root") == []
    assert earlier_failures(dataset, [f"alone{n}" for n in range(5)], "own") == []
    assert earlier_failures(dataset, [*follows, "alone0", "alone1"], "own") == []


def test_a_failing_assertion_accuses_what_the_test_calls(tmp_path: Path) -> None:
    bad = SHOP.replace("* average", "+ average")
    suite = "from shop.core import price\n\n\ndef test_price():\n    assert price([], 1) == 20\n"
    evidence = {
        "exception_type": "AssertionError",
        "message": "assert 9 == 20",
        "frames": [{"file": "tests/test_core.py", "line": 5, "function": "test_price"}],
    }
    cause, commits = diagnose(
        tmp_path,
        [
            ("First", {"shop/core.py": SHOP, "tests/test_core.py": suite}),
            ("Guilty", {"shop/core.py": bad}),
            ("Decoy", {"shop/core.py": bad.replace("no. {", "number {")}),
        ],
        evidence,
    )
    assert (cause.verdict, cause.suspect_commits[0].sha) == ("code_cause", commits[1])
    assert [location.function for location in cause.locations] == ["price"]
    assert cause.evidence["test"] == "tests/test_core.py::test_price"


def test_without_an_earlier_release_the_traceback_still_shows_where(tmp_path: Path) -> None:
    bad = SHOP.replace("RATES.get(currency, 1.0)", "RATES[currency]")
    make_repository(tmp_path / "repo", [("First", {"shop/core.py": bad})])
    found = anomaly("error", "GET /a", failure(bad, {"currency": "CHF"}))
    detector = found.detector.model_copy(update={"window": DataWindow()})
    found = found.model_copy(update={"detector": detector})
    dataset = spans_dataset(tmp_path, [])
    code = load_codebase(
        History(tmp_path / "repo"),
        anomaly_set([found]),
        telemetry_of(dataset, []),
        DiagnoseConfig(),
    )
    cause = explain_error(found, code.range_of(found), dataset, DiagnoseConfig())
    assert (cause.verdict, cause.suspect_commits) == ("code_cause", [])
    assert "no earlier release" in cause.reason
    assert (cause.locations[0].file, cause.locations[0].line) == ("shop/core.py", 20)
