"""The command as a user types it: processes, exit codes, stdout and stderr."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "selfheal.cli.main"]
Done = subprocess.CompletedProcess[str]


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SELFHEAL_")}
    return kept | {"NO_COLOR": "1"} | more


def selfheal(folder: Path, *arguments: str, code: int = 0, **more: str) -> Done:
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


def in_json(folder: Path, *arguments: str) -> object:
    return json.loads(selfheal(folder, *arguments, "--json").stdout)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, small_telemetry: Path) -> Path:
    """A folder in which the first two phases ran on two releases' telemetry."""
    folder = tmp_path_factory.mktemp("place")
    selfheal(folder, "run", "--to", "detect", "--telemetry", str(small_telemetry))
    return folder


def nothing_written(folder: Path) -> bool:
    return not (folder / "artifacts").exists()


# What a run tells


def test_stdout_is_data_and_stderr_is_progress(small_telemetry: Path, tmp_path: Path) -> None:
    done = selfheal(tmp_path, "run", "--to", "parse", "--telemetry", str(small_telemetry), "--json")
    result = json.loads(done.stdout)
    assert result["state"] == "succeeded"
    assert [beat["state"] for beat in result["beats"]] == ["succeeded"] * 7
    progress = [line.split() for line in done.stderr.splitlines()]
    assert [line[2] for line in progress if line[:2] == ["parse", "✓"]] == [
        beat["beat"] for beat in result["beats"]
    ]
    assert "\x1b" not in done.stderr


def test_logs_in_json_are_one_object_a_line(small_telemetry: Path, tmp_path: Path) -> None:
    done = selfheal(
        tmp_path,
        "run",
        "--to",
        "parse",
        "--telemetry",
        str(small_telemetry),
        "--log-format",
        "json",
    )
    events = [json.loads(line) for line in done.stderr.splitlines()]
    finished = [event for event in events if event["event"] == "beat_finished"]
    assert len(finished) == 7
    assert {"phase", "beat", "state", "elapsed_seconds", "summary"} <= finished[0].keys()


def test_what_was_found_can_be_shown(place: Path) -> None:
    telemetry = in_json(place, "show", "telemetry")
    assert isinstance(telemetry, dict)
    assert telemetry["schema"] == "selfheal/telemetry/1"
    assert {release["version"] for release in telemetry["payload"]["releases"]} == {"1.0", "1.1"}
    anomalies = in_json(place, "show", "anomalies")
    assert isinstance(anomalies, dict)
    found = anomalies["payload"]["anomalies"]
    assert {anomaly["kind"] for anomaly in found} >= {"performance", "error"}
    text = selfheal(place, "show", "anomalies").stdout
    assert all(anomaly["id"] in text for anomaly in found)
    one = in_json(place, "show", found[0]["id"][:-2])
    assert one == found[0]
    assert found[0]["title"] in selfheal(place, "show", found[0]["id"]).stdout


def test_status_runs_and_show_of_a_run_agree(place: Path) -> None:
    status = in_json(place, "status")
    runs = in_json(place, "runs")
    assert isinstance(status, dict)
    assert isinstance(runs, list)
    assert status["state"] == "succeeded"
    assert status["run_id"] in [run["run_id"] for run in runs]
    assert in_json(place, "show", status["run_id"]) == status
    assert "detect_error_patterns" in selfheal(place, "status").stdout
    assert status["run_id"] in selfheal(place, "runs").stdout


def test_replay_gives_the_same_bytes(place: Path) -> None:
    report = in_json(place, "replay")
    assert isinstance(report, dict)
    assert report["identical"] is True
    replayed = [beat for beat in report["beats"] if beat["state"] == "identical"]
    assert len(replayed) >= 10


def test_a_phase_alone_takes_its_inputs_from_the_latest_run(place: Path) -> None:
    before = in_json(place, "show", "anomalies")
    selfheal(place, "run", "--phase", "detect")
    after = in_json(place, "show", "anomalies")
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert after["payload"] == before["payload"]
    assert after["run_id"] != before["run_id"]


def test_resuming_a_finished_run_does_nothing_again(place: Path) -> None:
    done = selfheal(place, "resume")
    assert " ✓ " not in done.stderr


def test_the_beats_of_a_phase_can_be_listed_and_drawn(place: Path) -> None:
    beats = in_json(place, "beats", "--phase", "detect")
    assert isinstance(beats, list)
    assert [beat["beat"] for beat in beats][2:4] == [
        "detect_performance_anomalies",
        "detect_behavioral_anomalies",
    ]
    assert selfheal(place, "sequences", "graph", "detect").stdout.startswith("flowchart")
    assert selfheal(place, "sequences", "validate").stdout.endswith("no problems\n")


# A beat and a detector of one's own


def test_a_detector_of_ones_own_joins_the_anomalies(small_telemetry: Path, tmp_path: Path) -> None:
    selfheal(tmp_path, "beats", "new", "often_failing", "--phase", "detect", "--contributes")
    selfheal(tmp_path, "run", "--to", "detect", "--telemetry", str(small_telemetry))
    shown = in_json(tmp_path, "show", "anomalies")
    assert isinstance(shown, dict)
    mine = [a for a in shown["payload"]["anomalies"] if a["detector"]["name"] == "often_failing"]
    assert [anomaly["operation"] for anomaly in mine] == ["GET /cart"]


def test_a_beat_is_never_written_over(tmp_path: Path) -> None:
    selfheal(tmp_path, "beats", "new", "check_licence", "--phase", "fix")
    handler = tmp_path / "selfheal_beats" / "handlers" / "check_licence.py"
    handler.write_text("mine = 1\n")
    done = selfheal(tmp_path, "beats", "new", "check_licence", "--phase", "fix", code=2)
    assert "--force" in done.stderr
    assert handler.read_text() == "mine = 1\n"


def test_a_beat_cannot_take_the_name_of_another(tmp_path: Path) -> None:
    done = selfheal(tmp_path, "beats", "new", "create_patch", "--phase", "fix", code=2)
    assert "name of a beat" in done.stderr
    assert not (tmp_path / "selfheal_beats").exists()


# Input problems: one paragraph, exit 2, nothing written


def one_paragraph(done: Done, *expected: str) -> None:
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    for text in expected:
        assert text in done.stderr


def test_no_telemetry(tmp_path: Path) -> None:
    done = selfheal(tmp_path, "run", "--to", "detect", code=2)
    one_paragraph(done, "error[telemetry]", "--telemetry")
    assert nothing_written(tmp_path)


def test_a_file_that_is_not_telemetry(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    done = selfheal(tmp_path, "run", "--to", "detect", "--telemetry", str(picture), code=2)
    one_paragraph(done, "error[telemetry]", "picture.png")
    assert nothing_written(tmp_path)


def test_a_telemetry_path_that_does_not_exist(tmp_path: Path) -> None:
    done = selfheal(tmp_path, "run", "--to", "detect", "--telemetry", "nowhere", code=2)
    one_paragraph(done, "error[telemetry]", "nowhere")
    assert nothing_written(tmp_path)


def test_a_path_that_is_no_repository(tmp_path: Path, small_telemetry: Path) -> None:
    other = tmp_path / "plain"
    other.mkdir()
    telemetry = str(small_telemetry)
    done = selfheal(tmp_path, "run", "--repo", str(other), "--telemetry", telemetry, code=2)
    one_paragraph(done, "error[repository]", str(other))
    assert nothing_written(tmp_path)


def test_a_phase_that_needs_a_repository_outside_of_one(
    tmp_path: Path, small_telemetry: Path
) -> None:
    done = selfheal(tmp_path, "run", "--telemetry", str(small_telemetry), code=2)
    one_paragraph(done, "error[repository]", "--repo", "--to detect")
    assert nothing_written(tmp_path)


def test_a_missing_artifact_names_the_command_that_makes_it(tmp_path: Path) -> None:
    done = selfheal(tmp_path, "run", "--phase", "detect", code=2)
    one_paragraph(done, "error[missing-artifact]", "selfheal run")
    assert nothing_written(tmp_path)


def write_overlay(folder: Path, document: str) -> None:
    overlays = folder / "selfheal_beats" / "sequences"
    overlays.mkdir(parents=True)
    (overlays / "mine.json").write_text(document)


def test_a_broken_sequence(tmp_path: Path, small_telemetry: Path) -> None:
    write_overlay(tmp_path, '{"extends": "anomaly.detect", "beats": [{"handler": 7}]}')
    done = selfheal(tmp_path, "run", "--to", "detect", "--telemetry", str(small_telemetry), code=2)
    one_paragraph(done, "error[sequence]", "mine.json", "/beats/0/handler")
    assert nothing_written(tmp_path)


def test_an_unknown_handler(tmp_path: Path, small_telemetry: Path) -> None:
    write_overlay(
        tmp_path, '{"extends": "anomaly.detect", "beats": [{"handler": "detect_eror_patterns"}]}'
    )
    done = selfheal(tmp_path, "run", "--to", "detect", "--telemetry", str(small_telemetry), code=2)
    one_paragraph(done, "detect_eror_patterns", "detect_error_patterns")
    assert nothing_written(tmp_path)


def test_a_mistake_in_the_configuration(tmp_path: Path, small_telemetry: Path) -> None:
    (tmp_path / "selfheal.yaml").write_text("detect:\n  minimum_rato: 2\n")
    done = selfheal(tmp_path, "run", "--to", "detect", "--telemetry", str(small_telemetry), code=2)
    one_paragraph(done, "error[configuration]", "selfheal.yaml:2", "minimum_ratio")
    assert nothing_written(tmp_path)


def test_a_run_id_that_is_taken(place: Path, small_telemetry: Path) -> None:
    taken = in_json(place, "status")
    assert isinstance(taken, dict)
    done = selfheal(
        place,
        "run",
        "--to",
        "parse",
        "--telemetry",
        str(small_telemetry),
        "--run",
        taken["run_id"],
        code=2,
    )
    one_paragraph(done, "selfheal resume")


# What is not there: exit 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["resume"],
        ["show", "anomalies"],
        ["show", "anomaly-123"],
        ["patch"],
        ["replay"],
        ["approve", "none", "--by", "me"],
    ],
)
def test_asking_where_nothing_ran(tmp_path: Path, arguments: Sequence[str]) -> None:
    one_paragraph(selfheal(tmp_path, *arguments, code=1), "error[not-found]")
    assert nothing_written(tmp_path)


def test_no_patch_was_chosen(place: Path) -> None:
    one_paragraph(selfheal(place, "patch", code=1), "error[not-found]", "selfheal run")


def test_an_id_that_fits_nothing(place: Path) -> None:
    one_paragraph(selfheal(place, "show", "anomaly-zzz", code=1), "anomaly-zzz")


def test_no_runs_is_an_answer_to_runs(tmp_path: Path) -> None:
    assert in_json(tmp_path, "runs") == []


# Where things are


def test_the_environment_moves_the_artifacts_and_quiet_says_nothing(
    tmp_path: Path, small_telemetry: Path
) -> None:
    """Read from a single file, packed by gzip."""
    packed = tmp_path / "traces.jsonl.gz"
    with (small_telemetry / "traces.jsonl").open("rb") as source, gzip.open(packed, "wb") as out:
        shutil.copyfileobj(source, out)
    arguments = ["run", "--to", "parse", "--telemetry", str(packed), "--quiet"]
    done = selfheal(tmp_path, *arguments, SELFHEAL_RUN__ARTIFACTS="there")
    assert done.stderr == ""
    assert (tmp_path / "there" / "latest" / "telemetry.json").is_file()
    assert nothing_written(tmp_path)
    assert in_json(tmp_path, "runs", "--artifacts", "there") != []


def test_the_configuration_of_the_repository_is_read_first(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    (repository / "selfheal.yaml").write_text("run: {workers: 3}\n")
    (tmp_path / "selfheal.yaml").write_text("run: {workers: 4}\n")
    shown = in_json(tmp_path, "config", "show", "--repo", "repository")
    assert isinstance(shown, dict)
    assert shown["settings"]["run"]["workers"] == 3
    assert shown["folder"] == str(repository)


# Interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_with_130_and_can_be_resumed(
    tmp_path: Path, small_telemetry: Path, number: signal.Signals
) -> None:
    arguments = ["run", "--to", "detect", "--telemetry", str(small_telemetry), "--json"]
    selfheal(tmp_path, "beats", "new", "slow_beat", "--phase", "detect")
    handler = tmp_path / "selfheal_beats" / "handlers" / "slow_beat.py"
    waits = (
        f"import time\n    while not Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.05)\n"
    )
    handler.write_text(
        handler.read_text().replace("    findings = ", f"    {waits}    findings = ")
    )
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    journal = tmp_path / "artifacts" / "latest" / "journal.jsonl"
    while not (journal.exists() and '"beat":"slow_beat"' in journal.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(out)["state"] == "cancelled"
    (tmp_path / "go").touch()
    done = selfheal(tmp_path, "resume", "--json")
    assert json.loads(done.stdout)["state"] == "succeeded"


def test_a_reader_that_stops_early_is_no_error(place: Path) -> None:
    command = " ".join([*COMMAND, "show", "telemetry", "--json"]) + " | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == ""
