"""``selfheal report learning``: what was learned over all runs, measured and with its sources."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from repair_problems import problem_of
from test_learning_retirement import after

from selfheal.artifacts import Deployment, Diagnoses, Diagnosis, Patterns
from selfheal.artifacts.envelope import envelope
from selfheal.artifacts.times import RunTimes
from selfheal.cli.main import main
from selfheal.engine.folder import RunFolder
from selfheal.engine.journal import encode
from selfheal.engine.times import run_times
from selfheal.learning.report import LearningReport, build


def cause(title: str, *, affected: int, severity: str = "high", kind: str = "error") -> Diagnosis:
    found = problem_of("def f(x):\n    return x\n", 2, {}, kind=kind).diagnosis
    place = found.locations[0].model_copy(update={"function": title})
    impact = found.impact.model_copy(update={"affected_requests": affected, "severity": severity})
    return found.model_copy(
        update={"title": title, "impact": impact, "id": title, "locations": [place]}
    )


def run(
    artifacts: Path, name: str, causes: list[Diagnosis], outcome: str | None = None
) -> RunTimes:
    folder = artifacts / "runs" / name
    (folder / "measurements").mkdir(parents=True)
    payloads = {"diagnosis": Diagnoses(diagnoses=causes)}
    if outcome is not None:
        payloads["deployment"] = Deployment(candidate_id=None, outcome=outcome, reason="r")  # type: ignore[arg-type,assignment]
    for artifact, payload in payloads.items():
        stored = envelope(artifact, payload, run_id=name, produced_by="test", inputs=[])
        (folder / f"{artifact}.json").write_bytes(stored.to_bytes())
    return RunTimes(
        run_id=name,
        started_at="2026-01-02T03:04:05+00:00",
        phases={"parse": 1.0, "detect": 2.0, "fix": 4.0, "validate": 8.0},
        waited=16.0,
    )


def library(artifacts: Path, *patterns: object) -> None:
    stored = envelope(
        "patterns", Patterns(patterns=list(patterns)), run_id="r", produced_by="test", inputs=[]
    )
    artifacts.mkdir(exist_ok=True)
    (artifacts / "patterns.json").write_bytes(stored.to_bytes())


def test_without_runs_and_patterns_there_is_nothing_and_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path, []).empty == (
        "no run has found a cause yet, and the pattern library is empty"
    )
    assert main(["report", "learning", "--artifacts", str(tmp_path)]) == 0
    assert "no run has found a cause yet" in capsys.readouterr().out


def test_each_incident_tells_its_phases_and_the_wait_for_people_apart(tmp_path: Path) -> None:
    found = build(tmp_path, [run(tmp_path, "r1", [cause("a", affected=3)], "rejected")])
    (incident,) = found.incidents
    assert (incident.detect, incident.diagnose, incident.fix, incident.deploy) == (
        3,
        None,
        12,
        None,
    )
    assert (incident.waited, incident.outcome) == (16, "rejected")


def test_what_is_worth_fixing_next_goes_by_severity_requests_and_the_chance_to_heal(
    tmp_path: Path,
) -> None:
    """Nine of ten candidates for errors held; of slowness nothing is known."""
    library(tmp_path, after(["merged"] * 9 + ["failed"]))
    causes = [
        cause("rare", affected=10),
        cause("slow", affected=100, kind="performance"),
        cause("frequent", affected=100),
        cause("harmless", affected=100, severity="low"),
    ]
    found = build(tmp_path, [run(tmp_path, "r1", causes)])
    assert [row.title for row in found.next] == ["frequent", "slow", "harmless", "rare"]
    best, slow = found.next[:2]
    assert best.worth == pytest.approx(0.6 * 100 * best.chance, rel=1e-3)
    assert best.chance == pytest.approx(10 / 12)
    assert slow.chance == pytest.approx(1 / 2)


def test_a_cause_that_a_later_run_healed_is_not_worth_fixing_again(tmp_path: Path) -> None:
    runs = [
        run(tmp_path, "r1", [cause("a", affected=3), cause("b", affected=3)]),
        run(tmp_path, "r2", [cause("a", affected=3)], "deployed"),
    ]
    assert [row.title for row in build(tmp_path, runs).next] == ["b"]


def test_effects_are_those_measured_with_their_control(tmp_path: Path) -> None:
    timed = run(tmp_path, "r1", [cause("a", affected=3)], "deployed")
    measured = {
        "anomaly_id": "x",
        "operation": "GET /a",
        "measure": "p95_ms",
        "improvement": 0.8,
        "interval": [0.7, 0.9],
        "controlled": True,
        "comparison": {"before": 20.0, "after": 2.0},
    }
    told = {
        "observed": "o",
        "improvements": [measured],
        "assessments": {"verdicts": [{"anomaly_id": "x", "verdict": "success"}]},
    }
    path = tmp_path / "runs" / "r1" / "measurements" / "learning.json"
    path.write_text(json.dumps(told))
    (effect,) = build(tmp_path, [timed]).effects
    assert (effect.effect, effect.low, effect.high) == (0.8, 0.7, 0.9)
    assert (effect.beyond_control, effect.verdict) == ("taken off", "success")


def test_retired_patterns_are_shown_with_the_reason(tmp_path: Path) -> None:
    library(tmp_path, after(["rolled_back"] * 3))
    found: LearningReport = build(tmp_path, [])
    (row,) = found.patterns
    assert row.state.startswith("retired: 3 of 3 shipped fixes were taken back")


def test_times_count_work_of_all_sessions_and_waits_for_decisions_only(tmp_path: Path) -> None:
    def at(second: int, event: str, **fields: object) -> dict[str, object]:
        return {"at": f"2026-01-02T00:00:{second:02d}+00:00", "event": event, **fields}

    events = [
        at(0, "session_started"),
        at(3, "phase_finished", phase="parse", elapsed=3.0, state="succeeded"),
        at(3, "session_finished", state="failed"),
        at(10, "session_started"),
        at(12, "phase_finished", phase="parse", elapsed=2.0, state="succeeded"),
        at(12, "session_finished", state="waiting"),
        at(32, "session_started"),
    ]
    folder = RunFolder(tmp_path / "r1")
    folder.path.mkdir()
    folder.journal.write_bytes(b"".join(encode(e | {"seq": n}) for n, e in enumerate(events)))
    assert run_times(folder) == RunTimes(
        run_id="r1", started_at="2026-01-02T00:00:00+00:00", phases={"parse": 5.0}, waited=20.0
    )
