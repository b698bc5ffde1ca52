"""Causes are joined by root, weighed by measured counts, and given fitting strategies."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from selfheal_handlers.diagnosis._examples import anomaly, spans_dataset

from selfheal.artifacts import Anomaly
from selfheal.artifacts.diagnosis import Location, SuspectCommit, Verdict
from selfheal.artifacts.model import AnomalyKind
from selfheal.diagnosis import Cause
from selfheal.diagnosis.causes import join_causes
from selfheal.diagnosis.impact import assess, complexity
from selfheal.diagnosis.recommendations import recommend


def cause(
    kind: AnomalyKind,
    name: str,
    *,
    function: str = "f",
    sha: str = "c1",
    verdict: Verdict = "code_cause",
    **evidence: Any,
) -> Cause:
    return Cause(
        anomaly_ids=[name],
        kind=kind,
        service="items",
        operation="GET /a",
        title=name,
        verdict=verdict,
        reason="",
        locations=[Location(file="a.py", line=3, function=function, score=0.9)],
        suspect_commits=[SuspectCommit(sha=sha, score=0.9, reason="changes it")],
        root_service="items",
        evidence=evidence,
    )


def named(kind: AnomalyKind, name: str) -> Anomaly:
    return anomaly(kind, name, {}).model_copy(update={"id": name})


def test_what_one_library_lacks_is_one_cause() -> None:
    told = {"problem": "moved_name", "distribution": "collections", "manifest": "pyproject.toml"}
    joined = join_causes(
        [
            cause("dependency", "d1", **told, message="cannot import name 'Sized'"),
            cause("dependency", "d2", **told, message="cannot import name 'Sized'"),
            cause("dependency", "d3", **told, message="cannot import name 'Mapping'"),
        ],
        [],
    )
    assert sorted(item.anomaly_ids for item in joined) == [["d1", "d2"], ["d3"]]


def test_the_failing_tests_of_one_cause_are_all_of_them_its_reproducer() -> None:
    for name, other in itertools.permutations(["e1", "e2", "e3", "e4"], 2):
        many = cause("error", name, exception_type="KeyError", failing_tests=["t::b", "t::c"])
        one = cause("error", other, exception_type="KeyError", failing_tests=["t::a"])
        (joined,) = join_causes([one, many], [])
        assert joined.title == name, "the one of which most is known leads"
        assert joined.evidence["failing_tests"] == ["t::b", "t::c", "t::a"]


def test_errors_raised_at_one_place_are_one_cause() -> None:
    joined = join_causes(
        [
            cause("error", "e1", exception_type="KeyError", trace_ids=["a"]),
            cause("error", "e2", exception_type="KeyError", trace_ids=["b"]),
            cause("error", "e3", exception_type="TypeError"),
        ],
        [],
    )
    assert sorted(item.anomaly_ids for item in joined) == [["e1", "e2"], ["e3"]]
    both = next(item for item in joined if len(item.anomaly_ids) == 2)
    assert sorted(both.evidence["trace_ids"]) == ["a", "b"]


def test_changed_steps_join_the_error_that_they_follow_from() -> None:
    follows = cause(
        "behavioral", "b1", verdict="no_code_cause", follows_errors=True, trace_ids=["a"]
    )
    joined = join_causes([follows, cause("error", "e1", trace_ids=["a"])], [])
    assert [item.anomaly_ids for item in joined] == [["b1", "e1"]]
    assert joined[0].kind == "error"


def test_an_error_that_follows_from_another_joins_it_whatever_the_order() -> None:
    follows = cause(
        "error", "a2", verdict="no_code_cause", function="g", follows_fingerprints=["x"]
    )
    for order in (
        [follows, cause("error", "z1", fingerprint="x")],
        [cause("error", "z1", fingerprint="x"), follows],
    ):
        joined = join_causes(order, [])
        assert [item.anomaly_ids for item in joined] == [["a2", "z1"]]
        assert joined[0].locations[0].function == "f"


def test_different_roots_stay_apart() -> None:
    joined = join_causes(
        [
            cause("error", "e1"),
            cause("performance", "p1"),
            cause("behavioral", "b1", function="g"),
            cause("coverage", "c1"),
        ],
        [],
    )
    assert len(joined) == 4


def test_every_anomaly_is_in_a_cause_even_if_nobody_explained_it() -> None:
    joined = join_causes([cause("error", "e1")], [named("error", "e1"), named("state", "s1")])
    assert [(item.anomaly_ids, item.verdict) for item in joined] == [
        (["e1"], "code_cause"),
        (["s1"], "insufficient_data"),
    ]
    assert "kind state" in joined[1].reason


def test_a_cause_that_convicts_nobody_names_no_suspect() -> None:
    (spared,) = join_causes(
        [cause("error", "e1", verdict="no_code_cause", change={"lines": 3})], []
    )
    assert spared.suspect_commits == []
    assert spared.evidence == {
        "not_convicted": [{"sha": "c1", "score": 0.9, "reason": "changes it"}]
    }


def test_impact_counts_requests_of_the_candidate_release(tmp_path: Path) -> None:
    spans = [
        {"trace_id": f"{release}-{number}", "span_id": "s", "service": "items", "release": release,
         "operation": "slow" if number < 2 else "fast", "duration_ms": 1.0}
        for release, count in (("1.0", 5), ("1.1", 8))
        for number in range(count)
    ]  # fmt: skip
    slow = cause("performance", "p1", span_operation="slow")
    found = assess(slow, [named("performance", "p1")], spans_dataset(tmp_path, spans))
    assert (found.impact.affected_requests, found.impact.all_requests) == (2, 8)
    assert found.impact.share == 0.25
    assert found.impact.severity == "critical"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "medium"),
        ({"functions": 1, "lines": 4, "files": 1}, "low"),
        ({"functions": 3, "lines": 60, "files": 2}, "medium"),
        ({"functions": 9, "lines": 400, "files": 2}, "high"),
    ],
)
def test_complexity_is_the_size_of_the_guilty_change(change: dict[str, int], expected: str) -> None:
    assert complexity(change) == expected


@pytest.mark.parametrize(
    ("kind", "evidence", "expected"),
    [
        ("error", {"exception_type": "KeyError", "expression_kind": "subscript"}, "default_value"),
        ("error", {"exception_type": "AttributeError", "message": "'NoneType' object has no attribute 'x'"}, "guard_none"),
        ("error", {"exception_type": "ZeroDivisionError"}, "guard_zero_division"),
        ("error", {"exception_type": "decimal.InvalidOperation", "expression_kind": "call"}, "guard_conversion"),
        ("error", {"exception_type": "IndexError"}, "guard_index"),
        ("error", {"exception_type": "TypeError", "expression_kind": "call", "message": "int() argument must be … not 'NoneType'"}, "guard_conversion"),
        ("error", {"exception_type": "shop.OutOfStock"}, "handle_exception"),
        ("performance", {"slow_patterns": [{"name": "queries_in_loop", "line": 3}]}, "batch_queries"),
        ("performance", {"slow_patterns": [{"name": "queries_in_loop", "line": 3}, {"name": "repeated_call", "line": 3}]}, "hoist_call"),
        ("performance", {"slow_patterns": [{"name": "nested_loops", "line": 3}]}, "index_join"),
        ("performance", {}, "revert_hunk"),
        ("coverage", {}, "add_test"),
        ("behavioral", {}, "revert_hunk"),
    ],
)  # fmt: skip
def test_strategies_fit_the_facts_and_a_convicted_commit_can_be_reverted(
    tmp_path: Path, kind: AnomalyKind, evidence: dict[str, Any], expected: str
) -> None:
    found = assess(cause(kind, "x", **evidence), [named(kind, "x")], spans_dataset(tmp_path, []))
    strategies = [item.strategy for item in recommend(found).recommendations]
    assert strategies[0] == expected
    assert kind == "coverage" or strategies[-1] == "revert_hunk"


def test_a_verdict_that_accuses_nobody_recommends_nothing(tmp_path: Path) -> None:
    spared = cause("error", "e1", verdict="traffic_mix", exception_type="KeyError")
    found = assess(spared, [named("error", "e1")], spans_dataset(tmp_path, []))
    assert recommend(found).recommendations == []
