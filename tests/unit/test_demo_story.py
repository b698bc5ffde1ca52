"""The table at the end of the demo says what a run knows, and no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selfheal_handlers import examples

from selfheal.artifacts import Anomalies, Deployment, Model, Patch
from selfheal.artifacts.anomalies import DataWindow, Detector, Health
from selfheal.artifacts.deployment import ApprovalRecord, CiRun, Gate, RolloutStep
from selfheal.artifacts.diagnosis import Location, SuspectCommit
from selfheal.artifacts.envelope import envelope
from selfheal.artifacts.validation import Check
from selfheal.demo.story import WIDTH, Story, continuous_integration, tell

ANOMALY = examples.anomaly(
    kind="performance",
    service="shop",
    operation="GET /deals",
    title="GET /deals is slower",
    count=10,
    detector=Detector(name="d", parameters={}, window=DataWindow()),
    evidence={"baseline": {"p95_ms": 2.0}, "candidate": {"p95_ms": 31.25}},
)
DIAGNOSIS = examples.diagnosis(
    kind="performance",
    service="shop",
    operation="GET /deals",
    title="GET /deals is slower in deals",
    reason="the evidence convicts",
    locations=[Location(file="shop/prices.py", line=7, function="deals", score=0.9)],
    suspect_commits=[
        SuspectCommit(
            sha="0123456789abcdef", score=0.8, reason="", summary="Tidy", author="Mara <m@x>"
        )
    ],
    impact=examples.impact(1, 2, "half"),
)
CANDIDATE = examples.candidate(
    strategy="hoist_call",
    files=["shop/prices.py"],
    explanation="the call is done once.",
    base_commit="0123",
)


def write(folder: Path, **artifacts: Model) -> None:
    for name, payload in artifacts.items():
        stored = envelope(name, payload, run_id="r", produced_by="test", inputs=[])
        (folder / f"{name}.json").write_bytes(stored.to_bytes())


def found() -> dict[str, Model]:
    health = Health(state="measured", score=56.2, components=[])
    return {
        "anomalies": Anomalies(anomalies=[ANOMALY], health=health),
        "diagnosis": examples.diagnoses(DIAGNOSIS),
    }


def proven() -> dict[str, Model]:
    check = Check(name="suite", verdict="passed", summary="49 tests pass")
    skipped = Check(name="latency", verdict="unavailable", summary="no clock")
    return {
        "patch": Patch(candidates=[CANDIDATE]),
        "validation": examples.validation(
            [examples.result(checks=[check, skipped])], isolation="none"
        ),
        "deployment": Deployment(
            candidate_id="candidate-1",
            approval=ApprovalRecord(state="approved", by="ada"),
            rollout=[RolloutStep(percent=10, gate=Gate(state="pass", judgements={}, reason=""))],
            outcome="deployed",
            reason="it carries all traffic",
        ),
    }


def test_a_healed_cause_is_told_from_symptom_to_proof(tmp_path: Path) -> None:
    write(tmp_path, **found(), **proven())
    text = tell(Story.read(tmp_path), health_after=98.6)
    assert "1 cause found, 1 with a proven fix; deployed" in text
    assert "p95 2.0 ms → 31.2 ms (high)" in text
    assert "shop/prices.py:7 in deals" in text
    assert "commit 0123456 “Tidy” by Mara\n" in text
    assert "hoist_call: the call is done once." in text
    assert "49 tests pass" in text
    assert "no clock" not in text
    assert "10 % pass" in text
    assert "approved by ada" in text
    assert "56 before, 99 after (of 100)" in text


def test_what_was_not_reached_is_not_claimed(tmp_path: Path) -> None:
    write(tmp_path, **found())
    text = tell(Story.read(tmp_path))
    assert "1 cause found, 0 with a proven fix; not deployed" in text
    assert "none: the evidence convicts" in text
    assert "56 before, not measured after" in text
    assert "rollout" not in text


def test_an_empty_run_tells_that_nothing_was_found(tmp_path: Path) -> None:
    assert "0 causes found" in tell(Story.read(tmp_path))


def test_production_after_the_rollout_is_told_by_anomaly(tmp_path: Path) -> None:
    write(tmp_path, **found(), **proven())
    (tmp_path / "measurements").mkdir()
    learned = {
        "assessments": {
            "verdicts": [{"anomaly_id": "anomaly-1", "verdict": "success", "reason": "quiet"}]
        },
        "improvements": [
            {
                "anomaly_id": "anomaly-1",
                "operation": "GET /deals",
                "comparison": {"measure": "p95_ms", "before": 31.25, "after": 2.5},
            }
        ],
    }
    (tmp_path / "measurements" / "learning.json").write_text(json.dumps(learned))
    assert "GET /deals: p95 31.2 ms → p95 2.5 ms, success: quiet" in tell(Story.read(tmp_path))


def test_lines_fit_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "artifacts" / "runs" / "r"
    run.mkdir(parents=True)
    write(run, **found(), **proven())
    lines = tell(Story.read(run), health_after=98.0).splitlines()
    assert max(len(line) for line in lines if "─" not in line) <= WIDTH + 4


def test_the_commands_work_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo's runs lie below its folder, and the user stands outside of it."""
    run = tmp_path / "my demo" / "artifacts" / "runs" / "r"
    run.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    text = tell(Story.read(run))
    for verb in ("status", "show diagnosis", "patch"):
        assert f"selfheal {verb} --artifacts 'my demo/artifacts'\n" in text
    monkeypatch.chdir(run)
    assert f"selfheal status --artifacts '{run.parents[1]}'\n" in tell(Story.read(run))


def test_the_judge_of_ci_is_named() -> None:
    command = ["{python}", "-m", "pytest", "-k", "a b"]
    passed = CiRun(verdict="passed", command=command, exit_code=0, summary="exit code 0")
    assert continuous_integration(passed) == "python -m pytest -k 'a b': exit code 0"
    assert continuous_integration(CiRun(verdict="not_run", summary="no command")) == "no command"
