"""Runs of toy sequences on real worker processes: outcomes, policies, resume, replay, imports."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from selfheal.config import Settings
from selfheal.engine import api
from selfheal.engine.api import BeatStatus, RunResult
from selfheal.engine.lock import RunLock
from selfheal.errors import (
    ConfigurationError,
    InvalidInput,
    LockedError,
    MissingArtifact,
    MissingExtra,
    NotFound,
)

TOY = Path(__file__).parents[1] / "resources" / "toy"


class Toy:
    """A project with the toy handlers, one artifacts folder, and the world outside."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.artifacts = folder / "artifacts"
        self.world = folder / "world"
        self.world.mkdir()
        self.folder = folder
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("TOY_WORLD", str(self.world))
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    def set(self, **switches: str) -> None:
        for name, value in switches.items():
            self.monkeypatch.setenv(f"TOY_{name}", value)

    def run(self, **more: Any) -> RunResult:
        options: dict[str, Any] = {
            "settings": Settings.model_validate(more.pop("settings", {})),
            "repository": None,
            "artifacts": self.artifacts,
            "phases": ("parse", "deploy"),
            "project": TOY,
            "sequences": TOY / "sequences",
            "packages": False,
            **more,
        }
        return api.start_run(**options)

    def only(self, *beats: dict[str, Any], **more: Any) -> RunResult:
        """Run one phase of these beats."""
        run_more = {key: more.pop(key) for key in ("settings", "observer") if key in more}
        folder = self.folder / "sequences"
        folder.mkdir(exist_ok=True)
        sequence = {
            "id": "s",
            "name": "S",
            "movements": [{"id": "m", "beats": list(beats)}],
            **more,
        }
        (folder / "s.json").write_text(json.dumps(sequence))
        row = {"phase": "only", "sequence": "s", "file": "s.json"}
        index = {"schema": "selfheal/sequence-index/1", "phases": [row]}
        (folder / "index.json").write_text(json.dumps(index))
        return self.run(sequences=folder, phases=("only", "only"), **run_more)

    def resume(self, run_id: str | None = None) -> RunResult:
        return api.resume_run(self.artifacts, run_id)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    return Toy(tmp_path, monkeypatch)


def beat(result: RunResult, name: str) -> BeatStatus:
    return next(found for found in result.beats if found.beat == name)


def states(result: RunResult) -> dict[str, str]:
    return {found.beat: found.state for found in result.beats}


def test_a_full_run_leaves_what_the_run_folder_promises(toy: Toy) -> None:
    result = toy.run(run_id="r1")
    assert result.state == "succeeded", result
    folder = result.folder
    assert (toy.artifacts / "latest").resolve() == folder
    anomalies = json.loads((folder / "anomalies.json").read_bytes())
    telemetry_sha = api.status(toy.artifacts).artifacts["telemetry"]
    assert anomalies["inputs"] == [{"artifact": "telemetry", "sha256": telemetry_sha}]
    assert anomalies["produced_by"] == "detect/toy_aggregate"
    assert anomalies["payload"]["health"]["score"] == 13 + 17
    assert beat(result, "toy_third").state == "skipped"
    assert beat(result, "toy_third").reason == "there is no third"
    assert beat(result, "unwanted").state == "skipped"
    assert beat(result, "toy_requested").summary == "3 numbers"
    assert json.loads((folder / "results/detect/toy_square.json").read_bytes()) == [169]
    assert (toy.world / "one").read_text() == "done\n"
    assert json.loads((folder / "run.json").read_bytes())["started_at"].startswith("2023-11-14")
    assert not list(folder.rglob("*.tmp*"))


def test_equal_inputs_give_equal_bytes(toy: Toy, tmp_path: Path) -> None:
    first = toy.run(run_id="same").folder
    second = toy.run(run_id="same", artifacts=tmp_path / "elsewhere").folder
    for name in ("telemetry.json", "anomalies.json", "dataset/spans.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_resuming_a_finished_run_runs_nothing(toy: Toy) -> None:
    toy.run(run_id="r1")
    before = {path: path.stat().st_mtime_ns for path in toy.artifacts.rglob("results/**/*.json")}
    again = toy.resume()
    assert again.state == "succeeded"
    assert {found.attempts for found in again.beats if found.state == "succeeded"} == {1}
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_independent_beats_overlap(toy: Toy) -> None:
    """Each waits for the other's file, so that neither can end alone."""
    result = toy.only(
        {"handler": "toy_requested"},
        {
            "handler": "toy_meet",
            "name": "a",
            "needs": ["toy_requested"],
            "with": {"me": "a", "other": "b"},
        },
        {
            "handler": "toy_meet",
            "name": "b",
            "needs": ["toy_requested"],
            "with": {"me": "b", "other": "a"},
        },
        settings={"run": {"workers": 2}},
    )
    for name in "ab":
        assert json.loads((result.folder / f"results/only/{name}.json").read_bytes()) is True


def test_a_failing_beat_fails_the_phase_and_the_others_results_are_kept(toy: Toy) -> None:
    toy.set(BREAK="first")
    result = toy.run()
    assert result.state == "failed"
    assert "toy_first failed: RuntimeError: broken on purpose" in result.reason
    assert "traceback" in result.hint
    assert "broken on purpose" in (result.folder / "logs/detect.toy_first.txt").read_text()
    found = states(result)
    assert found["toy_second"] == "succeeded"
    assert found["toy_aggregate"] == found["toy_ask"] == "pending"
    status = api.status(toy.artifacts)
    reasons = {b.beat: b.reason for phase in status.phases for b in phase.beats}
    assert reasons["toy_aggregate"] == "not reached: toy_first"
    toy.set(BREAK="")
    mended = toy.resume()
    assert mended.state == "succeeded"
    assert beat(mended, "toy_second").attempts == 1
    assert beat(mended, "toy_first").attempts == 2


def test_waiting_stops_the_run_until_a_human_decides(toy: Toy) -> None:
    toy.set(ASK="1")
    result = toy.run(run_id="r1")
    assert result.state == "waiting"
    assert "selfheal approve r1 --by NAME" in result.hint
    assert not (toy.world / "one").exists()
    assert toy.resume().state == "waiting"
    api.record_approval(toy.artifacts, "r1", "approved", "Ada", "looks right")
    assert toy.resume().state == "succeeded"
    assert json.loads((result.folder / "results/deploy/toy_ask.json").read_bytes()) == "Ada"


def test_a_rejection_reaches_the_handler(toy: Toy) -> None:
    toy.set(ASK="1")
    toy.run()
    api.record_approval(toy.artifacts, None, "rejected", "Ada", "no")
    result = toy.resume()
    assert (result.state, result.hint) == ("failed", "Ask again.")
    assert "Ada said no" in result.reason


def test_an_approval_is_void_once_other_bytes_stand(toy: Toy) -> None:
    toy.set(ASK="1")
    folder = toy.run().folder
    api.record_approval(toy.artifacts, None, "approved", "Ada")
    run = json.loads((folder / "run.json").read_bytes())
    run["settings"]["detect"]["significance"] = 0.5
    (folder / "run.json").write_text(json.dumps(run))
    assert toy.resume().state == "waiting"


def test_a_decision_needs_a_name_and_something_to_decide_on(toy: Toy) -> None:
    toy.only({"handler": "toy_number", "with": {"value": 1}, "approval": {}})
    with pytest.raises(InvalidInput, match="--by"):
        api.record_approval(toy.artifacts, None, "approved", " ")
    with pytest.raises(MissingArtifact, match="no artifact to decide on"):
        api.record_approval(toy.artifacts, None, "approved", "Ada")


@pytest.mark.parametrize(("broken", "state"), [("", "succeeded"), ("first", "failed")])
def test_a_run_that_waits_for_nothing_takes_no_decision(toy: Toy, broken: str, state: str) -> None:
    """A late rejection would contradict the change that is already deployed."""
    toy.set(BREAK=broken)
    folder = toy.run(run_id="r1").folder
    before = (folder / "journal.jsonl").read_bytes()
    for decision in ("approved", "rejected"):
        with pytest.raises(NotFound, match=f"the run r1 is {state}, it waits for nothing"):
            api.record_approval(toy.artifacts, "r1", decision, "Ada")
    assert (folder / "journal.jsonl").read_bytes() == before
    assert api.status(toy.artifacts).approval is None


def test_a_gated_beat_waits_by_itself(toy: Toy) -> None:
    gated = {"handler": "toy_number", "with": {"value": 1}, "approval": {}}
    assert toy.only(gated).state == "waiting"
    gated["approval"] = {"timeout": 0.01, "on_timeout": "approve"}
    assert toy.only(gated).state == "waiting"
    time.sleep(0.05)
    assert toy.resume().state == "succeeded"


def test_a_timeout_ends_the_whole_process_group_and_is_no_success(toy: Toy) -> None:
    result = toy.only({"handler": "toy_sleep", "with": {"seconds": 600}, "timeout": 1.5})
    assert beat(result, "toy_sleep").state == "timed_out"
    assert "took too long" in result.reason
    child = int((toy.world / "child").read_text())
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_the_time_of_a_sequence_limits_its_beats(toy: Toy) -> None:
    result = toy.only({"handler": "toy_sleep", "with": {"seconds": 600}}, timeout=1.5)
    assert beat(result, "toy_sleep").state == "timed_out"


def test_a_retry_policy_is_followed(toy: Toy) -> None:
    policy = {"max_attempts": 3, "interval": 0.01, "retry_on": ["ConnectionError"]}
    flaky = {"handler": "toy_flaky", "with": {"good_from": 3}, "retry": policy}
    result = toy.only(flaky)
    assert result.state == "succeeded"
    assert beat(result, "toy_flaky").attempts == 3


@pytest.mark.parametrize(
    "policy",
    [
        {"max_attempts": 2, "interval": 0},
        {"max_attempts": 9, "interval": 0, "retry_on": ["timed_out"]},
        {"max_attempts": 9, "interval": 0, "except_on": ["OSError"]},
    ],
)
def test_a_retry_policy_has_bounds(toy: Toy, policy: dict[str, Any]) -> None:
    flaky = {"handler": "toy_flaky", "with": {"good_from": 5}, "retry": policy}
    assert toy.only(flaky).state == "failed"


def test_a_killed_worker_costs_one_attempt(toy: Toy) -> None:
    assert toy.only({"handler": "toy_killed", "with": {"good_from": 2}}).state == "succeeded"


def test_a_handler_that_kills_its_worker_every_time_fails(toy: Toy) -> None:
    result = toy.only(
        {"handler": "toy_killed", "with": {"good_from": 99}}, {"handler": "toy_requested"}
    )
    assert "SIGKILL" in result.reason
    assert beat(result, "toy_requested").state == "pending"


def test_a_catch_gives_another_result_or_skips(toy: Toy) -> None:
    result = toy.only(
        {"handler": "toy_fails", "catch": [{"on": ["failed"], "result": 5}]},
        {"handler": "toy_follower"},
        {"handler": "toy_nan", "catch": [{"on": ["HandlerError"], "reason": "no number"}]},
    )
    assert result.state == "succeeded"
    assert json.loads((result.folder / "results/only/toy_follower.json").read_bytes()) == 6
    assert (beat(result, "toy_nan").state, beat(result, "toy_nan").reason) == (
        "skipped",
        "no number",
    )


def test_continue_on_error_hands_none_to_who_allows_it_and_skips_others(toy: Toy) -> None:
    result = toy.only(
        {"handler": "toy_fails", "continue_on_error": True},
        {"handler": "toy_tolerant"},
        {"handler": "toy_follower"},
    )
    assert result.state == "succeeded"
    assert states(result) == {
        "toy_fails": "failed",
        "toy_tolerant": "succeeded",
        "toy_follower": "skipped",
    }
    assert "the answer is no" in beat(result, "toy_follower").reason


def test_what_cannot_be_stored_is_a_failure_that_says_why(toy: Toy) -> None:
    assert "cannot be stored" in toy.only({"handler": "toy_nan"}).reason


def test_foreach_keeps_the_order_and_the_limit(toy: Toy) -> None:
    result = toy.only(
        {"handler": "toy_requested"},
        {"handler": "toy_square", "foreach": "toy_requested.values", "max_items": 2},
    )
    assert json.loads((result.folder / "results/only/toy_square.json").read_bytes()) == [9, 1]
    assert beat(result, "toy_square").summary == "2 items, the first 2 of 3"
    assert api.replay_run(toy.artifacts).identical


def test_a_failed_phase_is_compensated_last_first(toy: Toy) -> None:
    effect = {"handler": "toy_effect", "with": {"name": "one"}, "compensate": "toy_undo"}
    result = toy.run(sequences=_compensating(toy, effect), phases=("parse", "deploy"))
    assert result.state == "failed"
    assert (toy.world / "undone").read_text() == "undone\n"
    assert beat(result, "toy_effect").state == "pending"
    toy.set(MENDED="1")
    assert toy.resume().state == "succeeded"
    assert (toy.world / "one").read_text() == "done\ndone\n"


def _compensating(toy: Toy, effect: dict[str, Any]) -> Path:
    import shutil

    folder = toy.folder / "compensating"
    shutil.copytree(TOY / "sequences", folder)
    file = folder / "toy.deploy.json"
    document = json.loads(file.read_text())
    document["on_failure"] = "compensate"
    document["movements"][0]["beats"] = [{"handler": "toy_ask"}, effect, {"handler": "toy_fails"}]
    file.write_text(json.dumps(document))
    return folder


def test_replay_finds_other_bytes(toy: Toy) -> None:
    toy.run()
    report = api.replay_run(toy.artifacts)
    assert report.identical
    by_name = {found.beat: found for found in report.beats}
    assert by_name["toy_tables"].state == "identical"
    assert by_name["toy_store"].state == "not_replayed"
    toy.set(BREAK="first")
    assert not api.replay_run(toy.artifacts).identical


def test_status_explains_what_is_stale(toy: Toy) -> None:
    folder = toy.run().folder
    run = json.loads((folder / "run.json").read_bytes())
    run["settings"]["detect"]["significance"] = 0.5
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "results/parse/toy_requested.json").write_text("[]")
    stale = {b.beat: b.stale for phase in api.status(toy.artifacts).phases for b in phase.beats}
    assert stale["toy_second"] == "the setting detect changed"
    assert stale["toy_requested"] == "results/parse/toy_requested.json was changed"
    assert stale["toy_first"] is None
    again = toy.resume()
    attempts = {found.beat: found.attempts for found in again.beats}
    assert attempts["toy_requested"] == attempts["toy_second"] == attempts["toy_aggregate"] == 2
    assert attempts["toy_first"] == attempts["toy_tables"] == 1


def test_the_status_of_a_run_outlives_the_beats_that_made_it(toy: Toy) -> None:
    project = toy.folder / "project"
    shutil.copytree(TOY, project)
    toy.run(project=project)
    before = api.status(toy.artifacts)
    assert before.staleness_unknown == ""
    for file in (project / "selfheal_beats/handlers").glob("*.py"):
        file.unlink()
    after = api.status(toy.artifacts)
    assert "toy_requested" in after.staleness_unknown
    assert (after.state, [phase.phase for phase in after.phases]) == (
        "succeeded",
        [phase.phase for phase in before.phases],
    )
    for old, new in zip(before.phases, after.phases, strict=True):
        assert {b.beat: (b.state, b.output) for b in new.beats} == {
            b.beat: (b.state, b.output) for b in old.beats
        }
    (after.folder / "definition/toy.parse.json").write_text("{")
    assert {b.beat for b in api.status(toy.artifacts).phases[0].beats} == {
        b.beat for b in before.phases[0].beats
    }


def test_changed_tables_are_noticed(toy: Toy) -> None:
    folder = toy.run().folder
    (folder / "results/parse/toy_tables/numbers.parquet").write_bytes(b"x")
    assert beat(toy.resume(), "toy_tables").attempts == 2


def test_caches_may_be_switched_off(toy: Toy) -> None:
    toy.only(
        {"handler": "toy_requested", "cache": "recompute"},
        {"handler": "toy_tables", "with": {"factor": 1}},
    )
    again = {found.beat: found.attempts for found in toy.resume().beats}
    assert again == {"toy_requested": 2, "toy_tables": 1}
    toy.only(
        {"handler": "toy_requested", "cache": "disable"},
        {"handler": "toy_tables", "with": {"factor": 1}},
    )
    again = {found.beat: found.attempts for found in toy.resume().beats}
    assert again == {"toy_requested": 2, "toy_tables": 2}


def test_a_phase_alone_takes_its_inputs_from_an_earlier_run(toy: Toy) -> None:
    first = toy.run(run_id="first", phases=("parse", "parse"))
    second = toy.run(run_id="second", phases=("detect", "detect"))
    assert second.state == "succeeded"
    for name in ("telemetry.json", "dataset/spans.parquet", "measurements/toy.json"):
        assert (second.folder / name).read_bytes() == (first.folder / name).read_bytes()
    third = toy.run(run_id="third", phases=("deploy", "deploy"), source_run="second")
    assert third.state == "succeeded"
    assert api.status(toy.artifacts).imports == {"telemetry": "second", "anomalies": "second"}


def test_a_missing_input_names_the_command_and_writes_nothing(toy: Toy) -> None:
    with pytest.raises(MissingArtifact, match="selfheal run --phase detect"):
        toy.run(phases=("deploy", "deploy"))
    assert not toy.artifacts.exists()
    with pytest.raises(NotFound):
        toy.run(phases=("deploy", "deploy"), source_run="nobody")
    assert not toy.artifacts.exists()


@pytest.mark.parametrize(
    ("executor", "error", "installed"),
    [
        ("bogus", ConfigurationError, True),
        ("dask://nowhere", ConfigurationError, True),
        ("dask://127.0.0.1:x", ConfigurationError, True),
        ("dask://127.0.0.1:8786", MissingExtra, False),
        ("dask://127.0.0.1:1", ConfigurationError, True),
    ],
)
def test_an_executor_that_cannot_be_is_refused_before_anything_is_written(
    toy: Toy, executor: str, error: type[InvalidInput], installed: bool
) -> None:
    if installed and executor.startswith("dask"):
        pytest.importorskip("distributed")
    if not installed:
        toy.monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(error):
        toy.run(settings={"run": {"executor": executor}})
    assert not toy.artifacts.exists()


def test_a_broken_artifact_is_not_taken_and_leaves_nothing_behind(toy: Toy) -> None:
    source = toy.run(run_id="first", phases=("parse", "parse")).folder
    (source / "journal.jsonl").write_bytes(b"")  # so that its bytes are not on record
    (source / "telemetry.json").write_text("{")
    with pytest.raises(InvalidInput, match=r"telemetry.json:1: this artifact is not JSON"):
        toy.run(phases=("detect", "detect"))
    assert [path.name for path in (toy.artifacts / "runs").iterdir()] == ["first"]


def test_a_folder_that_is_no_run_is_left_out(toy: Toy) -> None:
    toy.run(run_id="r1", phases=("parse", "parse"))
    (toy.artifacts / "runs/foreign").mkdir()
    assert [found.run_id for found in api.list_runs(toy.artifacts)] == ["r1"]
    assert api.status(toy.artifacts, "r").run_id == "r1"
    for absent in ("foreign", "nope"):
        with pytest.raises(NotFound):
            api.status(toy.artifacts, absent)


def test_artifacts_that_cannot_be_written_are_a_mistake_in_the_configuration(toy: Toy) -> None:
    file = toy.folder / "file"
    file.write_text("mine")
    for place in (file, file / "below"):
        with pytest.raises(ConfigurationError, match=r"run.artifacts: no run can be written"):
            toy.run(artifacts=place)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("epoch", ["x", "1e3", "9" * 30])
def test_a_source_date_that_is_none_is_refused(toy: Toy, epoch: str) -> None:
    toy.monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(ConfigurationError, match="SOURCE_DATE_EPOCH"):
        toy.run()
    assert not toy.artifacts.exists()


def test_a_taken_run_id_is_refused(toy: Toy) -> None:
    toy.run(run_id="r1", phases=("parse", "parse"))
    with pytest.raises(InvalidInput, match="selfheal resume r1"):
        toy.run(run_id="r1")
    with pytest.raises(InvalidInput, match="cannot name a run"):
        toy.run(run_id="../r1")


def test_one_writer_at_a_time(toy: Toy) -> None:
    folder = toy.run(phases=("parse", "parse")).folder
    lock = RunLock(folder / "lock")
    with pytest.raises(LockedError, match=f"process {os.getpid()} is working on this run"):
        toy.resume()
    assert api.status(toy.artifacts).state == "running"
    lock.release()
    assert toy.resume().state == "succeeded"


def test_an_interrupt_leaves_a_consistent_journal_and_no_process(toy: Toy) -> None:
    class Interrupting(api.Observer):
        def beat_started(self, phase: str, beat: str, attempt: int) -> None:  # noqa: ARG002
            deadline = time.monotonic() + 20
            while beat == "second" and not (toy.world / "begun").exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            if beat == "second":
                raise KeyboardInterrupt

    after = {"needs": ["toy_requested"]}
    result = toy.only(
        {"handler": "toy_requested"},
        {"handler": "toy_sleep", "with": {"seconds": 600}, **after},
        {"handler": "toy_number", "name": "second", "with": {"value": 1}, **after},
        observer=Interrupting(),
    )
    assert result.state == "cancelled"
    assert states(result)["toy_sleep"] == "cancelled"
    assert "selfheal resume" in result.hint
    assert not _runs(int((toy.world / "child").read_text()))
    assert api.status(toy.artifacts).state == "cancelled"


def test_runs_are_listed_newest_first(toy: Toy) -> None:
    for run_id in ("b", "a"):
        toy.run(run_id=run_id, phases=("parse", "parse"))
    assert [found.run_id for found in api.list_runs(toy.artifacts)] == ["a", "b"]
    assert api.status(toy.artifacts, "b").run_id == "b"


def test_a_run_of_another_release_goes_on(toy: Toy) -> None:
    """Settings and fields that this release does not know do not strand a run."""
    folder = toy.run(phases=("parse", "parse")).folder
    run = json.loads((folder / "run.json").read_bytes())
    run["settings"]["detect"]["from_the_future"] = 1
    run["settings"]["run"]["durability"] = "cosmic"
    del run["settings"]["learn"]
    run["of_the_future"] = True
    run["selfheal_version"] = "99.0"
    (folder / "run.json").write_text(json.dumps(run))
    again = toy.resume()
    assert again.state == "succeeded"
    assert {found.attempts for found in again.beats} == {1}


def test_durability_power_syncs_and_gives_the_same_bytes(toy: Toy, tmp_path: Path) -> None:
    one = toy.run(run_id="r").folder
    settings = {"run": {"durability": "power"}}
    two = toy.run(run_id="r", artifacts=tmp_path / "b", settings=settings).folder
    assert (one / "anomalies.json").read_bytes() == (two / "anomalies.json").read_bytes()
