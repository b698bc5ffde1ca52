"""Rollouts by the user's own scripts: what they are told, and what their failures mean."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from selfheal.config import RolloutCommandConfig
from selfheal.delivery.command_target import CommandTarget, begin_command, run
from selfheal.errors import ConfigurationError, ServiceError

SCRIPT = """
import json, pathlib, sys
state = pathlib.Path(sys.argv[1])
told = json.loads(state.read_text())
action, *values = sys.argv[2:]
if action == "current":
    print(json.dumps({"release": "1.4.2", "percent": told["percent"]}))
elif action == "health":
    sys.exit(told["sick"])
else:
    told["calls"].append([action, *values])
    if action == "shift":
        told["percent"] = int(values[0])
    state.write_text(json.dumps(told))
"""


@pytest.fixture
def config(tmp_path: Path) -> RolloutCommandConfig:
    (tmp_path / "rollout.py").write_text(SCRIPT)
    (tmp_path / "state.json").write_text(json.dumps({"percent": 0, "sick": 0, "calls": []}))
    script = [sys.executable, str(tmp_path / "rollout.py"), str(tmp_path / "state.json")]
    return RolloutCommandConfig(
        current=[*script, "current"],
        prepare=[*script, "prepare", "{percent}", "{commit}"],
        shift=[*script, "shift", "{percent}", "{old}", "{new}"],
        health=[*script, "health"],
        retire=[*script, "retire", "{old}"],
        telemetry=[str(tmp_path / "traces.jsonl")],
        timeout_seconds=20,
    )


def state(folder: Path, **changes: object) -> dict[str, object]:
    told: dict[str, object] = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(told | changes))
    return told


def test_each_step_is_the_scripts_own_with_percent_and_commit(
    config: RolloutCommandConfig, tmp_path: Path
) -> None:
    begin = begin_command(config, "0123456789")
    assert (begin.old, begin.new) == ("1.4.2", "1.4.2-selfheal.0123456")
    target = CommandTarget(config, begin, "0123456789", tmp_path / "rollout")
    assert (target.share(), target.stands_at(0)) == (0, True)
    target.prepare(10)
    target.shift(10)
    assert (target.share(), target.stands_at(10), target.stands_at(0)) == (10, True, False)
    assert target.step_began_ns() > 0
    target.retire(begin.old)
    assert state(tmp_path)["calls"] == [
        ["prepare", "10", "0123456789"],
        ["shift", "10", "1.4.2", begin.new],
        ["retire", "1.4.2"],
    ]


def test_a_shift_that_a_crash_cut_off_is_found_out_by_the_script(
    config: RolloutCommandConfig, tmp_path: Path
) -> None:
    begin = begin_command(config, "0123456789")
    target = CommandTarget(config, begin, "0123456789", tmp_path / "rollout")
    target.shift(10)
    state(tmp_path, percent=0)
    assert not target.stands_at(10)


def test_the_health_command_says_when_the_new_release_is_dead(
    config: RolloutCommandConfig, tmp_path: Path
) -> None:
    target = CommandTarget(config, begin_command(config, "abc"), "abc", tmp_path / "rollout")
    assert target.dead() == []
    state(tmp_path, sick=1)
    assert target.dead() == ["1.4.2-selfheal.abc (by the health command)"]


def _runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_a_script_that_fails_or_hangs_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="shift ended with 3"):
        run([sys.executable, "-c", "raise SystemExit(3)"], {}, 20, "shift")
    code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    hanging = ["sh", "-c", f'{sys.executable} -c "{code}" {tmp_path}/pid & wait']
    with pytest.raises(ServiceError, match="did not end within 2 s"):
        run(hanging, {}, 2, "shift")
    pid = int((tmp_path / "pid").read_text())
    # What is killed is gone when the kernel comes to it, which on a busy machine is later.
    deadline = time.monotonic() + 30
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(pid)
    with pytest.raises(ServiceError, match="cannot be run"):
        run([f"{tmp_path}/none{os.sep}at-all"], {}, 20, "shift")


def test_scripts_that_are_missing_or_name_no_release_are_refused_in_words(
    config: RolloutCommandConfig,
) -> None:
    with pytest.raises(ConfigurationError, match="needs the script shift"):
        begin_command(config.model_copy(update={"shift": []}), "abc")
    mute = config.model_copy(update={"current": [sys.executable, "-c", "print('{}')"]})
    with pytest.raises(ConfigurationError, match="names no release"):
        begin_command(mute, "abc")


def test_only_telemetry_since_the_beginning_is_read(
    config: RolloutCommandConfig, tmp_path: Path
) -> None:
    traces = tmp_path / "traces.jsonl"
    line = json.dumps({"timestamp": "2026-01-01T00:00:00Z", "level": "info", "message": "x"}) + "\n"
    traces.write_text(line)
    begin = begin_command(config, "abc")
    assert begin.offsets == {str(traces): len(line)}
    target = CommandTarget(config, begin, "abc", tmp_path / "rollout")
    assert target.observe(tmp_path / "look") is None
    assert target.earlier(tmp_path / "earlier") is not None
