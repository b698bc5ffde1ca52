"""The beats of the validate phase, each on a real project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from selfheal_handlers.validation import HANDLERS

from selfheal.artifacts.canonical import canonical_bytes
from selfheal.contract import Failed, Handler
from selfheal.sandbox import isolation
from selfheal.sandbox.evidence import Checked, Tested


@pytest.mark.parametrize("beat", HANDLERS, ids=lambda beat: beat.name)
def test_the_example_runs_and_its_result_survives_storage(
    beat: Handler[..., Any], tmp_path: Path
) -> None:
    result = beat(**beat.example(tmp_path))
    adapter = TypeAdapter(beat.returns)
    stored = canonical_bytes(adapter.dump_python(result, mode="json"))
    again = adapter.validate_json(stored)
    assert canonical_bytes(adapter.dump_python(again, mode="json")) == stored
    assert str(tmp_path) not in stored.decode()


def beat(name: str) -> Handler[..., Any]:
    return next(each for each in HANDLERS if each.name == name)


def run(name: str, folder: Path, **changed: Any) -> Any:
    return beat(name)(**(beat(name).example(folder) | changed))


def test_the_regression_test_fails_without_and_passes_with_the_fix(tmp_path: Path) -> None:
    tested: Tested = run("run_tests", tmp_path)
    checks = tested.candidates["candidate-1"].checks
    assert [(check.name, check.verdict) for check in checks] == [
        ("regression_test", "passed"),
        ("suite", "passed"),
    ]
    assert checks[1].counts["passed"] == 2
    assert tested.candidates["candidate-1"].coverage == {"teahouse.py": {11: True, 12: True}}


def test_without_a_service_the_detector_is_unavailable_and_speed_is_by_the_client(
    tmp_path: Path,
) -> None:
    checked: Checked = run("verify_performance", tmp_path)
    detector, speed = checked.checks["candidate-1"]
    assert (detector.verdict, detector.required) == ("unavailable", False)
    assert "service.start" in detector.summary
    assert speed.verdict in {"unavailable", "passed"}
    assert {"calls_before", "calls_after"} <= set(speed.counts)


def test_what_may_only_run_isolated_is_refused_where_nothing_isolates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "bubblewrap", lambda: None)
    arguments = beat("load_patch").example(tmp_path)
    config = arguments["config"].model_copy(update={"allow_unisolated": False})
    refused = beat("load_patch")(**{**arguments, "config": config})
    assert isinstance(refused, Failed)
    assert "bubblewrap" in refused.hint


def test_a_proven_candidate_is_selected(tmp_path: Path) -> None:
    validation = run("store_validation_results", tmp_path)
    assert validation.selected == "candidate-1"
    assert validation.selections[0].tried == 1
    assert validation.results[0].verdict == "passed"
