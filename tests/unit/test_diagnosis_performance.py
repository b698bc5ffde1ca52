"""Slowness is traced to code and commit, told from changed traffic, and grouped by its root."""

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

from selfheal.artifacts import Dataset
from selfheal.artifacts.telemetry import Release
from selfheal.codebase.history import History
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis import Cause
from selfheal.diagnosis.loading import load_codebase
from selfheal.diagnosis.model import anomaly_set
from selfheal.diagnosis.performance import explain_slowness
from selfheal.diagnosis.traces import growth_between
from selfheal.diagnosis.traffic import mix_shift

APP = """def stock(db, id):
    return db.execute("SELECT n FROM stock WHERE id = ?", (id,)).fetchone()


def rank(items, liked):
    known = {item.id for item in liked}
    return [item for item in items if item.id in known]


def show(items):
    return [str(item) for item in items]


@app.get("/items/<int:page>")
def page(db, items, liked):
    chosen = rank(items, liked)
    return show(chosen)
"""
LISTED = APP.replace("{item.id for item in liked}", "[item.id for item in liked]")
ASKING = APP.replace(
    "return show(chosen)", "return show([(item, stock(db, item.id)) for item in chosen])"
)
DECOY = APP.replace("str(item)", "repr(item)")


def trace(
    release: str, number: int, spans: Sequence[tuple[str, str | None, float, Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Spans of one trace as (name, parent's name, ms, more)."""
    found = []
    for position, (name, parent, duration, more) in enumerate(spans):
        owner = next((i for i, (other, *_) in enumerate(spans) if other == parent), None)
        found.append(
            {
                "trace_id": f"{release}-{number}",
                "span_id": f"s{position}",
                "parent_span_id": None if owner is None else f"s{owner}",
                "service": "items",
                "release": release,
                "operation": name,
                "kind": "server" if parent is None else "internal",
                "status": "ok",
                "duration_ms": duration,
                **more,
            }
        )
    return found


def code(function: str) -> dict[str, Any]:
    return {"code_function": f"app.{function}", "code_file": "/srv/app.py"}


def diagnose(
    base: Path, stages: list[tuple[str, dict[str, str | None]]], dataset: Dataset, names: list[str]
) -> tuple[list[Cause], list[str]]:
    commits = make_repository(base / "repo", stages)
    releases = [
        Release(service="items", version=version, commit=sha, spans=1, logs=0)
        for version, sha in (("1.0", commits[0]), ("1.1", commits[-1]))
    ]
    found = [anomaly("performance", name, {"entry": name.startswith("GET")}) for name in names]
    loaded = load_codebase(
        History(base / "repo"),
        anomaly_set(found),
        telemetry_of(dataset, releases),
        DiagnoseConfig(),
    )
    return explain_slowness(found, loaded, dataset, DiagnoseConfig()), commits


def slow_rank(base: Path) -> Dataset:
    spans: list[dict[str, Any]] = []
    for release, each in (("1.0", 2.0), ("1.1", 20.0)):
        for number in range(20):
            spans += trace(
                release,
                number,
                [
                    ("GET /items/<int:page>", None, each + 3, {"http_route": "/items/<int:page>"}),
                    ("page", "GET /items/<int:page>", each + 2, code("page")),
                    ("rank", "page", each, code("rank")),
                    ("show", "page", 1.0, code("show")),
                ],
            )
    return spans_dataset(base, spans)


def test_entry_and_inner_spans_of_one_slow_function_are_one_cause(tmp_path: Path) -> None:
    causes, commits = diagnose(
        tmp_path,
        [
            ("First", {"app.py": APP}),
            ("Decoy", {"app.py": DECOY}),
            ("Guilty", {"app.py": LISTED.replace("str(item)", "repr(item)")}),
        ],
        slow_rank(tmp_path),
        ["GET /items/<int:page>", "page", "rank"],
    )
    assert len(causes) == 1
    cause = causes[0]
    assert len(cause.anomaly_ids) == 3
    assert cause.operation == "GET /items/<int:page>"
    assert (cause.verdict, cause.suspect_commits[0].sha) == ("code_cause", commits[2])
    assert (cause.locations[0].function, cause.locations[0].line) == ("rank", 7)
    assert cause.evidence["slow_pattern"] == "membership_in_list"
    assert cause.evidence["path"] == ["GET /items/<int:page>", "page", "rank"]
    assert cause.evidence["trace_ids"][0].startswith("1.1-")
    assert all(
        suspect.sha != commits[1] or suspect.score < 0.4 for suspect in cause.suspect_commits
    )


def test_an_inner_span_that_is_called_more_often_accuses_the_caller(tmp_path: Path) -> None:
    spans: list[dict[str, Any]] = []
    for release, calls in (("1.0", 0), ("1.1", 12)):
        for number in range(10):
            inner: list[tuple[str, str | None, float, Mapping[str, Any]]] = []
            for call in range(calls):
                inner.append((f"stock {call}", "page", 2.0, code("stock") | {"operation": "stock"}))
                query = {"operation": "SELECT", "db_statement": "SELECT n FROM stock WHERE id = ?"}
                inner.append((f"q{call}", f"stock {call}", 1.0, query))
            root = ("GET /items/<int:page>", None, 5.0 + 2 * calls, {})
            mine = ("page", "GET /items/<int:page>", 4.0 + 2 * calls, code("page"))
            spans += trace(release, number, [root, mine, *inner])
    causes, commits = diagnose(
        tmp_path,
        [("First", {"app.py": APP}), ("Guilty", {"app.py": ASKING}), ("Docs", {"README.md": "x"})],
        spans_dataset(tmp_path, spans),
        ["GET /items/<int:page>", "page"],
    )
    assert len(causes) == 1
    cause = causes[0]
    assert cause.locations[0].function == "page"
    assert cause.evidence["slow_pattern"] == "queries_in_loop"
    assert cause.suspect_commits[0].sha == commits[1]
    assert cause.suspect_commits[0].score == pytest.approx(0.95)


def test_without_code_attributes_the_route_leads_to_the_code(tmp_path: Path) -> None:
    spans: list[dict[str, Any]] = []
    for release, each in (("1.0", 2.0), ("1.1", 20.0)):
        for number in range(10):
            more = {"http_route": "/items/<int:page>"}
            spans += trace(release, number, [("GET /items/<int:page>", None, each, more)])
    causes, commits = diagnose(
        tmp_path,
        [("First", {"app.py": APP}), ("Guilty", {"app.py": LISTED})],
        spans_dataset(tmp_path, spans),
        ["GET /items/<int:page>"],
    )
    assert causes[0].suspect_commits[0].sha == commits[1]
    assert causes[0].locations[0].function == "rank"


def test_two_slow_functions_are_two_causes(tmp_path: Path) -> None:
    spans: list[dict[str, Any]] = []
    for release, each in (("1.0", 2.0), ("1.1", 20.0)):
        for number in range(10):
            spans += trace(release, number, [("GET /a", None, each, code("rank"))])
            spans += trace(release, 100 + number, [("GET /b", None, each, code("show"))])
    causes, _ = diagnose(
        tmp_path,
        [("First", {"app.py": APP}), ("Guilty", {"app.py": LISTED})],
        spans_dataset(tmp_path, spans),
        ["GET /a", "GET /b"],
    )
    assert [(cause.operation, cause.verdict) for cause in causes] == [
        ("GET /a", "code_cause"),
        ("GET /b", "no_code_cause"),
    ]


def mixed(base: Path, late: Mapping[str, int], slower: float = 1.0) -> Dataset:
    """Two inputs of 1 and 30 ms; the candidate is asked `late` of each."""
    spans: list[dict[str, Any]] = []
    cost = {"/cheap": 1.0, "/dear": 30.0}
    for release, counts in (("1.0", {"/cheap": 40, "/dear": 10}), ("1.1", late)):
        number = 0
        for path, count in counts.items():
            for _ in range(count):
                each = cost[path] * (slower if release == "1.1" else 1.0)
                more = {"http_path": path, **code("rank")}
                spans += trace(release, number, [("GET /a", None, each, more)])
                number += 1
    return spans_dataset(base, spans)


def test_dearer_inputs_asked_for_more_often_are_a_traffic_mix(tmp_path: Path) -> None:
    causes, _ = diagnose(
        tmp_path,
        [("First", {"app.py": APP}), ("Changed", {"app.py": LISTED})],
        mixed(tmp_path, {"/cheap": 10, "/dear": 40}),
        ["GET /a"],
    )
    assert causes[0].verdict == "traffic_mix"
    assert "input by input" in causes[0].reason


def test_standardised_growth_is_not_fooled_by_the_mix(tmp_path: Path) -> None:
    same = mix_shift(
        mixed(tmp_path / "1", {"/cheap": 10, "/dear": 40}), "items", "GET /a", "1.0", "1.1"
    )
    assert same is not None
    assert (same.standardised, same.matched) == (1.0, 1.0)
    assert same.crude == pytest.approx(24.2 / 6.8, rel=1e-3)
    both = mix_shift(
        mixed(tmp_path / "2", {"/cheap": 10, "/dear": 40}, slower=3.0),
        "items",
        "GET /a",
        "1.0",
        "1.1",
    )
    assert both is not None
    assert both.standardised == pytest.approx(3.0)
    assert not both.explains


def test_without_a_second_release_there_is_no_growth(tmp_path: Path) -> None:
    dataset = slow_rank(tmp_path)
    assert growth_between(dataset, None, "1.1").nodes == []
    assert growth_between(dataset, "1.1", "1.1").nodes == []


def test_own_time_leaves_out_what_children_took(tmp_path: Path) -> None:
    growth = growth_between(slow_rank(tmp_path), "1.0", "1.1")
    node = growth.node(("items", "page"))
    assert node is not None
    assert (node.own, node.late_own, node.growth) == (1.0, 1.0, 18.0)
    assert growth.descend(("items", "GET /items/<int:page>"))[-1] == ("items", "rank")


def test_equal_commits_of_both_releases_accuse_nobody(tmp_path: Path) -> None:
    causes, _ = diagnose(tmp_path, [("First", {"app.py": APP})], slow_rank(tmp_path), ["rank"])
    assert causes[0].verdict == "no_code_cause"
    assert "same code" in causes[0].reason
