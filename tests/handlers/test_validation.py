"""The beats of the validate phase, each on a real project."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from selfheal_handlers.validation import HANDLERS

from selfheal.contract import Failed, Handler
from selfheal.sandbox.evidence import Checked, Tested


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What the example of a beat gives; each is run once."""

    @cache
    def run(name: str) -> Any:
        return beat(name)(**beat(name).example(tmp_path_factory.mktemp(name)))

    return run


def beat(name: str) -> Handler[..., Any]:
    return next(each for each in HANDLERS if each.name == name)


def test_the_regression_test_fails_without_and_passes_with_the_fix(
    results: Callable[[str], Any],
) -> None:
    tested: Tested = results("run_tests")
    checks = tested.candidates["candidate-1"].checks
    assert [(check.name, check.verdict) for check in checks] == [
        ("regression_test", "passed"),
        ("shuffled_runs", "passed"),
        ("suite", "passed"),
        ("examples", "unavailable"),
        ("mutants", "passed"),
        ("behaviour", "passed"),
    ]
    assert checks[1].counts == {"tests": 1, "runs": 20, "passed": 20}
    assert checks[4].counts["killed"] > 0
    assert checks[2].counts["passed"] == 2
    assert tested.candidates["candidate-1"].coverage == {"teahouse.py": {11: True, 12: True}}


def test_without_a_service_the_detector_is_unavailable_and_speed_is_by_the_client(
    results: Callable[[str], Any],
) -> None:
    checked: Checked = results("verify_performance")
    detector, speed = checked.checks["candidate-1"]
    assert (detector.verdict, detector.required) == ("unavailable", False)
    assert "service.start" in detector.summary
    assert speed.verdict in {"unavailable", "passed"}
    assert {"calls_before", "calls_after"} <= set(speed.counts)


def test_what_may_only_run_isolated_is_refused_where_nothing_isolates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFHEAL_SANDBOX__LEVEL", "limits")
    arguments = beat("load_patch").example(tmp_path)
    refused = beat("load_patch")(**arguments)
    assert isinstance(refused, Failed)
    assert "sandbox.allow_unisolated" in refused.hint
    monkeypatch.setenv("SELFHEAL_SANDBOX__ALLOW_UNISOLATED", "true")
    config = arguments["config"].model_copy(update={"allow_unisolated": False})
    assert isinstance(beat("load_patch")(**{**arguments, "config": config}), Failed)
    assert not isinstance(beat("load_patch")(**arguments), Failed)


def test_a_proven_candidate_is_selected(results: Callable[[str], Any]) -> None:
    validation = results("store_validation_results")
    assert validation.selected == "candidate-1"
    assert validation.selections[0].tried == 1
    assert validation.results[0].verdict == "passed"
